"""The page and the table of finished studies."""
