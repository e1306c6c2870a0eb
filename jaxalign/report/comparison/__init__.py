"""A comparison's figure, page and table."""
