"""One adapter for each other library, used as its own documentation recommends.

Where a library stores single steps, the recurrent state is left out rather than stored with every step (16 GB
more at the paper's size): these rows do less work than ours. Where it stores whole sequences, cutting them
out of the streams is the caller's work and is not timed.
"""
