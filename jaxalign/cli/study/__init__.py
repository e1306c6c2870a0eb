"""`jaxalign study`."""
