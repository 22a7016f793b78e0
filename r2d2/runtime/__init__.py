"""Runs the parts with files, clocks and signals: training, evaluation and profiling."""
