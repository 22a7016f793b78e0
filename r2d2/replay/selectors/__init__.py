"""Selectors: which items are replayed next."""
