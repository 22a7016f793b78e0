"""Viewer: the replay of a run to look at, as a page of its own or served to this machine alone."""
