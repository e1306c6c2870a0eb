"""Data, networks and runs that several studies share."""
