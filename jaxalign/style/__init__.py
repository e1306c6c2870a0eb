"""How everything that this project draws or shows looks."""
