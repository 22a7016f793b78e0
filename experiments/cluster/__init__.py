"""Measurements of the cluster runtime: the cost of lost processes, the gain from more processes and machines."""
