"""What the pages of one object share: its number in the address, and what to say if there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pymeter.web.pages.site import Page
from pymeter.web.problems import Problem, bad_value

_WHOLE = re.compile(r"[0-9]{1,18}")
_SHORT = 160


def whole(page: Page, name: str) -> int | None:
    """A whole number of the query; None if it is not there. Raises Problem 400 for anything else."""
    text = page.given(name)
    return None if text is None else _read(text, name)


def required(page: Page, name: str) -> int:
    """A whole number that the query has to have. Raises Problem 400."""
    found = whole(page, name)
    if found is None:
        raise bad_value(f"{name} is missing", "Follow a link of the list.", name)
    return found


def of_form(fields: Mapping[str, str], name: str) -> int:
    """A whole number of a form. Raises Problem 400."""
    return _read(fields.get(name, ""), name)


def _read(text: str, name: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise bad_value(f"{name} is not a whole number", "Follow a link of the list.", name)
    return int(text)


def missing(what: str, hint: str) -> Problem:
    """404: there is no such object."""
    return Problem(404, f"no such {what}", hint=hint)


def short(text: str | None) -> str:
    """The beginning of a text that may be long, on one line."""
    line = " ".join((text or "").split())
    return line if len(line) <= _SHORT else f"{line[:_SHORT]}\N{HORIZONTAL ELLIPSIS}"
