"""How far memory reaches: tasks, cores and states, and the peer, as one command, `python -m experiments.memory`."""
