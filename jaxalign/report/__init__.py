"""What a run has to show: figures, a page, a table in the terminal."""
