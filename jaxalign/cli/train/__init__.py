"""`jaxalign train`."""
