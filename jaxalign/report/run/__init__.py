"""A run's figures, page and table."""
