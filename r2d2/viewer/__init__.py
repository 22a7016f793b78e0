"""Viewer: shows the replay of a run, as a self-contained page or served to this machine only."""
