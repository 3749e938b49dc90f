"""What the tests need to know about Markdown: fenced blocks, headings and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<language>[a-z]+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block. ``note`` is the HTML comment on the line above it, if there is one."""

    language: str
    text: str
    line: int
    note: str = ""


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, in order."""
    return [
        Block(m["language"], m["text"], text.count("\n", 0, m.start("text")), m["note"] or "")
        for m in _FENCE.finditer(text)
    ]


def prose(text: str) -> str:
    """The text without fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", _FENCE.sub("", text), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-")
        number = 0
        while (name := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(name)
    return found


def links(text: str) -> list[str]:
    """The targets of the links, in order."""
    return _LINK.findall(prose(text))


def broken_links(file: Path) -> list[str]:
    """The links of a Markdown file that lead to no file, no heading or, in a test file, to no test."""
    text = file.read_text(encoding="utf-8")
    broken = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = file.parent / path if path else file
        if not target.exists() or (anchor and anchor not in _anchors_of(target.resolve())):
            broken.append(link)
    return broken


@cache
def _anchors_of(file: Path) -> set[str]:
    return anchors(file.read_text(encoding="utf-8")) if file.suffix == ".md" else set()


def write_between_marks(path: Path, name: str, text: str) -> None:
    """Write `text` to a file: between ``<!-- name -->`` and ``<!-- end of name -->`` if it has these."""
    before, begin, rest = (path.read_text() if path.exists() else "").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    path.write_text(f"{before}{begin}\n{text.rstrip()}\n\n{end}{after}" if begin and end else text)
