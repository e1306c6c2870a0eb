"""The ways to compute a spectrum, one a file."""
