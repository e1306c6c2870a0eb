"""Which model, on which data: the options and the loading that `train`, `inspect` and `layers`
share.
"""
