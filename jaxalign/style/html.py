"""What all pages have in common: templates, numbers for people."""

from functools import cache

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def render(package: str, template: str, **values: object) -> str:
    """Fill a template of a package, which may extend and import those of ``jaxalign.style``.

    Every value is escaped, but for Markup. Bytes of a file's name that are not text are written as
    escapes, for a page is UTF-8.

    Raises:
      jinja2.UndefinedError: the template names a value that was not passed.
    """
    page = _environment(package).get_template(template).render(values)
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def percent(share: float) -> str:
    """A share for people: 0.4%, 43%, 99.6%."""
    if np.isnan(share):
        return "NaN"
    # One decimal where whole percents would hide how far the share is from 0 or from 1.
    near_an_end = share < 0.0995 or 0.995 < share < 0.9995
    return f"{share:.1%}" if near_an_end else f"{share:.0%}"


def number(value: float, digits: int) -> str:
    """A number for people, with so many decimals."""
    return "NaN" if np.isnan(value) else f"{value:.{digits}f}"


def unbroken(text: str) -> str:
    """Text that stays on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


@cache
def _environment(package: str) -> Environment:
    loaders = [PackageLoader(name, "") for name in (package, "jaxalign.style")]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Curves are most of a page, so their JSON has no blanks.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    return environment
