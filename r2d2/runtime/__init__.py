"""Where the parts meet files, clocks and signals: the local run and evaluation."""
