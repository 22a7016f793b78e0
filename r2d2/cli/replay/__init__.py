"""`r2d2 replay`: export the replay of a run as a dataset, and start a run from one."""
