"""Torsos: features of one observation."""
