"""Speed and accuracy of label spectra, against the SVDs that a user would call instead."""
