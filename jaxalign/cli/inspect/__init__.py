"""`jaxalign inspect` and `jaxalign layers`."""
