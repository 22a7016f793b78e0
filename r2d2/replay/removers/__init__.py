"""Removers: which items leave when there is no room.

A new one is a file here and a line in `r2d2/config/parts.py`; the choices of the config, the pair tests and what
builds a run from it follow.
"""
