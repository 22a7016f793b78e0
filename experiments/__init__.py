"""Studies that reproduce published results, and benchmarks; each writes small files to `results/`."""
