"""`jaxalign compare`."""
