"""Checkpoints: atomic, incremental, verified."""
