"""Relabelers: copies of items under another goal."""
