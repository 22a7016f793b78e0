"""Our replay and other libraries' side by side, in one run: `make bench`, or `python -m experiments.bench`.

Every subject runs in a process of its own, where each timed call alternates with a copy of the same bytes
(the floor). Quote the ratios: absolute times belong to one machine.
"""
