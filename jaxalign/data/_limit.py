"""How much memory a file may ask for: a few bytes can unpack to more than there is."""

MAX_BYTES = 2**31
"""Of the arrays in a file, unless the caller allows more."""
MAX_IMAGE_BYTES = 2**28
"""Of an image: 89 million pixels."""


def require_within(size: int, max_bytes: int, what: str) -> None:
    """Raise if something of ``size`` bytes is over the limit.

    Raises:
      ValueError: it is; a limit that is not positive.
    """
    if not isinstance(max_bytes, int | float) or max_bytes < 1:
        raise ValueError(f"max_bytes must be a number of at least 1, found {max_bytes!r}")
    if size > max_bytes:
        raise ValueError(
            f"{what} unpacks to {size:,} bytes, more than max_bytes={max_bytes:,}; "
            "raise that if the file can be trusted"
        )
