"""`r2d2 replay`: the replay of a run as a dataset, and a run that begins with one."""
