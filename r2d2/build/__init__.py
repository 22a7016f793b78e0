"""Builds objects from the config: the only package that knows both."""
