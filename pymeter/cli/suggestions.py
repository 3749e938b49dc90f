"""A group of commands that answers an unknown command with the one that was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from typer.core import TyperGroup

_SYNONYMS = {
    "chart": "series",
    "customers": "subjects",
    "grants": "access",
    "health": "status",
    "init": "migrate",
    "install": "migrate",
    "list": "catalog",
    "ls": "catalog",
    "log": "events",
    "quota": "check",
    "repair": "rebuild",
    "roles": "access",
    "total": "usage",
    "upgrade": "migrate",
    "users": "subjects",
}


class SuggestingGroup(TyperGroup):
    """Suggests commands by meaning (health: status), else by spelling (reocrd: record)."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if word not in self.commands and not word.startswith("-"):
            by_meaning = _SYNONYMS.get(word, "")
            meant = [by_meaning] if by_meaning in self.commands else get_close_matches(word, self.commands)
            if meant:
                ctx.fail(f"No such command {word!r}. Did you mean {' or '.join(map(repr, meant))}?")
        return super().resolve_command(ctx, args)
