"""CSV cells that a spreadsheet would run as formulas: how they are written, and how they are read again.

Such a cell begins with an apostrophe, which spreadsheets take for "this is text". The row's last column,
`escaped`, names the columns that were given one, so reading takes away exactly these.
"""

from __future__ import annotations

import re

ESCAPED_COLUMN = "escaped"
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - the wide forms are run too
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def defused(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet would run it. A negative number stays one."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restored(text: str) -> str:
    """The text of a cell that has been given an apostrophe."""
    return text.removeprefix("'")
