"""Report: one self-contained HTML page about runs, with PNG and CSV files beside it. Needs no torch."""
