"""Data, networks and runs that several studies use."""
