"""The compiled loops and nothing else. A kernel shares a file with those that it calls: numba caches by file."""
