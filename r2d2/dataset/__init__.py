"""Datasets: the replay of a run as checksummed numpy files."""
