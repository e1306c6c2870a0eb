"""`jaxalign benchmark`."""
