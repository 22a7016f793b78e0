"""Run folders: their files, locks and provenance, and exported policies."""
