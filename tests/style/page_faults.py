"""What keeps a page from being self-contained and well-formed, for the tests of several rooms."""

from html.parser import HTMLParser


class Checker(HTMLParser):
    """Collects what a page would load from elsewhere, and tags that are closed without being open,
    or never.
    """

    void = frozenset({"meta", "input", "br", "hr", "img", "link"})

    def __init__(self):
        super().__init__()
        self.open, self.faults = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.void:
            self.open.append(tag)
        if tag != "a":  # which loads nothing
            self.faults += [
                v
                for k, v in attributes
                if k in ("src", "href") and v and not v.startswith(("#", "data:"))
            ]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")


def faults(text: str) -> list[str]:
    """What a page loads from elsewhere, and the tags it leaves open or closes unopened."""
    checker = Checker()
    checker.feed(text)
    checker.close()
    return checker.faults + checker.open
