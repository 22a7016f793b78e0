"""Stored state against burn-in: the R2D2 paper's question as one command, `python -m experiments.stored_state`."""
