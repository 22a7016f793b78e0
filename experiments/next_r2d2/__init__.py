"""What R2D2's successors bring: each change alone on top of `r2d2-small`, and what helps together."""
