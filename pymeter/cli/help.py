"""Help texts from docstrings.

The first paragraph is also the line in the list of commands, so it is one short sentence. Paragraphs are
folded at the width of the terminal; the lines of an indented one are examples, and stay as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer


def add_command(
    app: typer.Typer, command: Callable[..., None], panel: str | None = None, **settings: Any
) -> None:
    """Add a command, with the help text of its docstring."""
    app.command(help=help_text(command), rich_help_panel=panel, **settings)(command)


def help_text(command: Callable[..., None]) -> str:
    """The docstring, with a paragraph on one line and an example on each line of its own."""
    return "\n\n".join(
        "\n".join(f"$ {line.strip()}" for line in paragraph.splitlines())
        if paragraph.lstrip().startswith("pymeter ")
        else " ".join(paragraph.split())
        for paragraph in inspect.cleandoc(command.__doc__ or "").split("\n\n")
    )
