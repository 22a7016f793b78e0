"""Removers: which items are given up."""
