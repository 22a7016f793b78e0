"""Run folders: where a run came from, and the seeds of its parts."""
