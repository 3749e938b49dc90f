"""``--help`` is read on a terminal of 80 columns: a line for each command, examples as they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pymeter.cli.app import app

LINES_MAX = 100


def _commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, *path, name)


COMMANDS = dict(_commands(typer.main.get_command(app)))
WITH_HELP = [path for path in COMMANDS if path != ("psql",)]


def _help(path: tuple[str, ...]) -> list[str]:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.output.splitlines()


@pytest.mark.parametrize("path", WITH_HELP, ids=" ".join)
def test_a_screen_or_two_of_help(path: tuple[str, ...]) -> None:
    lines = _help(path)
    assert len(lines) <= LINES_MAX
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("path", [path for path in COMMANDS if path], ids=" ".join)
def test_a_command_has_one_line_in_the_list_of_commands(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    first, _, _ = (command.short_help or command.help or "").partition("\n\n")
    assert first.endswith(".")
    assert len(first) <= 66, first


def test_examples_are_commands_that_exist() -> None:
    examples = [
        line.split()[2:]
        for command in COMMANDS.values()
        for line in (command.help or "").splitlines()
        if line.startswith("$ pymeter ")
    ]
    assert len(examples) >= 9
    for words in examples:
        command = COMMANDS[tuple(words[:2])] if tuple(words[:2]) in COMMANDS else COMMANDS[(words[0],)]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("-") and not word[1:].isdigit()} <= known
