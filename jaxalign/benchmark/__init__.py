"""How fast, and how right: label spectra against the SVDs that a user would call instead."""
