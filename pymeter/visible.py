"""Text of others on a terminal: what would control it, or reorder what is shown, is written as an escape."""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), and what is invisible or changes direction: bidirectional controls, line
# separators, zero-width characters, byte order marks, annotations, tags, lone surrogates. Joiners stay:
# scripts and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """The text with every unsafe character as an escape: \\x1b, \\u202e."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
