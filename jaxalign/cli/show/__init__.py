"""`jaxalign show`."""
