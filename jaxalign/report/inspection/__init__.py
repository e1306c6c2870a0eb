"""An inspection's figure, page and table."""
