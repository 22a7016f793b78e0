"""Adapters through which other libraries learn from our replay. Each needs an extra of its own name."""
