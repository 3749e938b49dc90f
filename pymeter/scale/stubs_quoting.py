"""Names and values as SQL, for a script: it has no parameters."""

from __future__ import annotations

import re
from typing import Final

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")


def is_plain(name: str) -> bool:
    """Whether the name needs no quotes, unless it is a keyword: PL/Proxy does not read quoted ones."""
    return _PLAIN.fullmatch(name) is not None


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A constant, whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return f"E{quoted}".replace("\\", "\\\\") if "\\" in text else quoted
