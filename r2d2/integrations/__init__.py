"""Adapters through which other libraries use our replay. Each needs the extra of its name."""
