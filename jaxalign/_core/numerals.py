"""Numbers as text."""


def is_float(text: str) -> bool:
    """Whether Python parses the text as a float."""
    try:
        float(text)
    except ValueError:
        return False
    return True
