"""Every example of the pages does what the page shows, and every link leads somewhere."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import typer.main

from pymeter.cli.app import app
from tests.docs.examples import COMMAND, PAGES, README, ROLES, Runner, examples, outputs
from tests.docs.markdown import anchors, broken_links, links

TEXT = README.read_text(encoding="utf-8")
ROOT = README.parent

SCREEN_LINES = 60


@pytest.fixture
def roles(pymeter_server: str) -> Iterator[None]:
    """Those that the pages grant to. Set up before the database, so that they are dropped after it."""
    with psycopg.connect(pymeter_server, autocommit=True) as admin:
        there = {name for (name,) in admin.execute("select rolname from pg_roles")}
        created = [role for role in ROLES if role not in there]
        for role in created:
            admin.execute(f"create role {role}".encode())
        yield
        for role in created:
            admin.execute(f"drop role {role}".encode())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_prints_what_the_page_shows(
    roles: None, pymeter_server: str, meter_dsn: str, tmp_path: Path, page: Path
) -> None:
    runner = Runner(meter_dsn, pymeter_server, tmp_path, page)
    try:
        printed = outputs(page.read_text(encoding="utf-8"), runner)
    finally:
        runner.close()
    assert len(printed) > (20 if page == README else 2)
    differences = [
        line
        for example, output in printed
        for line in difflib.unified_diff(
            (example.expected or "").splitlines(),
            output.splitlines(),
            f"{page.name}:{example.block.line + 1}",
            f"what it prints; if that is right: {COMMAND}",
            lineterm="",
        )
    ]
    assert not differences, "\n".join(differences)


def test_only_what_installs_or_has_no_server_here_is_not_run() -> None:
    left_out = re.findall(r"<!-- not run -->\n```(\w+)\n(.*?)```", TEXT, re.DOTALL)
    needs_stripe = _section("Reporting to Stripe")
    left_out = [(language, text) for language, text in left_out if text not in needs_stripe]
    assert {language for language, _ in left_out} == {"sh"}
    commands = [line for _, text in left_out for line in text.splitlines()]
    assert [c.split()[0] for c in commands] == ["pip", "pip", "pymeter", "yoyo"]


def test_an_output_belongs_to_an_example() -> None:
    """A text block that is nobody's output would be checked by nobody."""
    assert len([e for e in examples(TEXT) if e.expected is not None]) == TEXT.count("```text\n") - 1
    assert "```text\npytest  " in TEXT, "the one exception: the commands for contributors"


def test_the_two_lines_are_on_the_first_screen() -> None:
    screen = TEXT.splitlines()[:SCREEN_LINES]
    assert "pip install '.[all]' && pymeter demo" in screen
    assert "pip install -e '.[dev]' && pytest" in screen
    assert screen.index("In SQL:") < screen.index("The same in Python:")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_guarantee_is_linked_to_its_tests() -> None:
    guarantees = re.split(r"^- (?=\*\*P\d)", _section("Guarantees"), flags=re.MULTILINE)[1:]
    assert [re.match(r"\*\*(P\d+)", g)[1] for g in guarantees][:3] == ["P1", "P2", "P3"]  # type: ignore[index]
    for guarantee in guarantees:
        files = [link for link in links(guarantee) if link.startswith("tests/")]
        assert files, guarantee
        for file in files:
            assert file.endswith(".py"), f"{file}: name the file"
            assert "def test_" in (ROOT / file).read_text(encoding="utf-8"), file


def test_the_contents_name_every_section() -> None:
    contents = TEXT[TEXT.index("Contents:") : TEXT.index("## Install")]
    named = {link.removeprefix("#") for link in links(contents) if link.startswith("#")}
    assert named == anchors(TEXT) - {"pymeter"}


def test_commands_and_options_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    used = re.findall(r"\bpymeter ([a-z]+)\b([^`|\n]*)", "\n".join(_code()))
    assert used
    for name, rest in used:
        assert name in commands, f"pymeter {name}"
        command = commands[name]
        words = rest.split()
        if words and not words[0].startswith("-") and words[0] in getattr(command, "commands", {}):
            command = command.commands[words[0]]
        known = {o for c in (command, typer.main.get_command(app)) for p in c.params for o in p.opts}
        known |= {o for p in command.params for o in p.secondary_opts} | {"--help"}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known, f"pymeter {name}{rest}"


def test_the_command_line_section_names_every_command() -> None:
    listed = re.search(r"`pymeter --help` lists the commands: (.*?)\. All take", TEXT, re.DOTALL)
    assert listed
    named = set(re.findall(r"[a-z]+", listed[1]))
    assert named == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_extras_that_are_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"extra `(\w+)`", TEXT)
    assert named
    assert set(named) <= project["optional-dependencies"].keys()


def _section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _code() -> list[str]:
    """Code spans, and the lines of shell blocks with their continuations."""
    shell = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    return [re.sub(r"\\\n\s*", "", block) for block in shell] + re.findall(r"`([^`\n]+)`", TEXT)
