"""What a confidence can be. Without jax, as statistics are."""


def require_within_one(confidence: float) -> None:
    """Raise unless a confidence is a share in (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), found {confidence}; 95 % are 0.95")
