"""How a framed page looks: a few values of its query, strictly checked, as CSS variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pymeter.web.problems import bad_value

_COLOUR = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_RADIUS = re.compile(r"[0-9]|1[0-9]|2[0-4]")
_COLOURS = ("accent", "ink", "ground", "sheet")
# What follows from a colour, where it is given.
_MIXED = {
    "accent": "--accent-soft: color-mix(in srgb, var(--accent) 14%, var(--sheet));",
    "ink": (
        "--muted: color-mix(in srgb, var(--ink) 72%, var(--sheet));"
        " --rule: color-mix(in srgb, var(--ink) 14%, var(--sheet));"
    ),
}
FONTS = {
    "system": 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
    "sans": '"Helvetica Neue", Helvetica, Arial, sans-serif',
    "serif": 'Georgia, "Times New Roman", serif',
    "mono": "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
}
_SCHEMES = ("auto", "light", "dark")


@dataclass(frozen=True)
class Theme:
    """light, dark, or auto: as the browser is set; and the rules of a style sheet."""

    scheme: str
    css: str


def theme_of(query: Mapping[str, str]) -> Theme:
    """The theme of a query. Raises Problem 400 for a value that is not allowed."""
    scheme = query.get("theme") or "auto"
    if scheme not in _SCHEMES:
        raise bad_value("theme is unknown", "Use auto, light or dark.", "theme")
    rules = []
    for name in _COLOURS:
        if value := query.get(name):
            if not _COLOUR.fullmatch(value):
                raise bad_value(f"{name} is not a colour", "Write it like 2b5fd0.", name)
            rules.append(f"--{name}: #{value.removeprefix('#')}; {_MIXED.get(name, '')}".strip())
    if radius := query.get("radius"):
        if not _RADIUS.fullmatch(radius):
            raise bad_value("radius is not allowed", "Use pixels from 0 to 24.", "radius")
        rules.append(f"--radius: {radius}px;")
    if font := query.get("font"):
        if font not in FONTS:
            raise bad_value("font is unknown", f"Use one of: {', '.join(FONTS)}.", "font")
        rules.append(f"--font: {FONTS[font]};")
    return Theme(scheme, f":root:root {{ {' '.join(rules)} }}" if rules else "")
