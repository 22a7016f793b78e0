"""Metrics: JSON lines, the terminal, Weights & Biases."""
