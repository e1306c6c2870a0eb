"""Several runs on one page: their curves, and how they differ."""
