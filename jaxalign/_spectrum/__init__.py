"""From Φ and Y to the label spectrum."""
