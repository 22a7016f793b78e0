"""Stored state with linear cores: every core with every start and burn-in, `python -m experiments.cores`."""
