"""Networks, losses, actor and learner: what R2D2 computes. No files, clocks, threads or replay in here."""
