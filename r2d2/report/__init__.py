"""Report: what runs did, as one self-contained HTML page with PNG and CSV files beside it. Needs no torch."""
