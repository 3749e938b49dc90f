"""Every example of the pages does what the page shows, and every link leads to something."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from pymeter.cli.app import app
from tests.docs.examples import COMMAND, PAGES, README, Runner, examples, outputs
from tests.docs.markdown import broken_links, links

TEXT = README.read_text(encoding="utf-8")
ROOT = README.parent
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
WITH_EXAMPLES = [page for page in PAGES if any(e.expected is not None for e in examples(TEXTS[page]))]

SCREEN_LINES = 60
LINES_MAX = 225
# Pages with blocks of text that are nobody's output: code of other languages, and commands for contributors.
UNCHECKED_TEXT = {"sql/record": 1, "sql/usage": 1, "sql/operate": 1, "tests": 1}
# What no test runs, because it installs something or needs a server that is not there.
NOT_RUN = {
    "": ["pip", "pip", "export"],
    "migrations": ["pymeter", "yoyo"],
    "pymeter": ["pip"],
    "pymeter/contrib": ["pip"],
    "pymeter/scale": ["createdb", "pymeter"],
    "pymeter/web": ["pip", "pymeter", "curl"],
    "sql/archive": ["pip"],
    "sql/notify": ["export"],
}


def _name(page: Path) -> str:
    folder = page.parent.relative_to(ROOT).as_posix()
    return "" if folder == "." else folder


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=_name)
def test_every_example_prints_what_the_page_shows(
    roles: None, pymeter_server: str, meter_dsn: str, tmp_path: Path, page: Path
) -> None:
    runner = Runner(meter_dsn, pymeter_server, tmp_path, page)
    try:
        printed = outputs(TEXTS[page], runner)
    finally:
        runner.close()
    differences = [
        line
        for example, output in printed
        for line in difflib.unified_diff(
            (example.expected or "").splitlines(),
            output.splitlines(),
            f"{_name(page)}/README.md:{example.block.line + 1}",
            f"what it prints; if that is right: {COMMAND}",
            lineterm="",
        )
    ]
    assert not differences, "\n".join(differences)


def test_the_pages_are_where_a_reader_looks_for_them() -> None:
    rooms = {"catalog", "record", "usage", "correct", "close", "limits", "notify", "report", "access"} | {
        "operate",
        "pricing",
        "budgets",
        "credits",
        "project",
        "focus",
        "archive",
        "keys",
        "scale",
        "simulate",
        "repair",
    }
    expected = {"", "migrations", *(f"sql/{room}" for room in rooms)}
    expected |= {
        f"pymeter{room}" for room in ("", "/cli", "/contrib", "/importing", "/operate", "/scale", "/web")
    }
    expected |= {"tests", "tests/benchmarks", "tests/longrun"}
    assert {_name(page) for page in PAGES} == expected
    assert len(TEXT.splitlines()) <= LINES_MAX, "the front page is to be read in one go"


def test_only_what_installs_or_has_no_server_here_is_not_run() -> None:
    left_out = {
        _name(page): [
            text.split()[0]
            for language, text in re.findall(r"<!-- not run -->\n```(\w+)\n(.*?)```", text, re.DOTALL)
            if language == "sh"
        ]
        for page, text in TEXTS.items()
        if _name(page) not in ("sql/report", "tests")
    }
    assert {name: commands for name, commands in left_out.items() if commands} == NOT_RUN


def test_an_output_belongs_to_an_example() -> None:
    """A text block that is nobody's output would be checked by nobody."""
    unchecked = {
        _name(page): text.count("```text\n") - len([e for e in examples(text) if e.expected is not None])
        for page, text in TEXTS.items()
    }
    assert {name: count for name, count in unchecked.items() if count} == UNCHECKED_TEXT


def test_the_two_lines_are_on_the_first_screen() -> None:
    screen = TEXT.splitlines()[:SCREEN_LINES]
    assert "pip install '.[all]' && pymeter demo" in screen
    assert "pip install -e '.[dev]' && pytest" in screen
    assert screen.index("In SQL:") < TEXT.splitlines().index("The same in Python:")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_guarantee_is_linked_to_its_tests() -> None:
    guarantees = re.split(r"^- (?=\*\*P\d)", _section("What it promises"), flags=re.MULTILINE)[1:]
    assert [re.match(r"\*\*(P\d+)", g)[1] for g in guarantees][:3] == ["P1", "P2", "P3"]  # type: ignore[index]
    for guarantee in guarantees:
        files = [link for link in links(guarantee) if link.startswith("tests/")]
        assert files, guarantee
        for file in files:
            assert file.endswith(".py"), f"{file}: name the file"
            assert "def test_" in (ROOT / file).read_text(encoding="utf-8"), file


def test_the_map_names_every_page() -> None:
    linked = {(ROOT / link).resolve() for link in links(_section("Map"))}
    assert {page for page in PAGES if page != README} <= linked


def test_commands_and_options_exist() -> None:
    program = typer.main.get_command(app)
    commands = program.commands  # type: ignore[attr-defined]
    used = re.findall(r"\bpymeter ([a-z]+)\b([^`|\n]*)", "\n".join(_code()))
    assert used
    for name, rest in used:
        assert name in commands, f"pymeter {name}"
        command = commands[name]
        words = rest.split()
        if words and not words[0].startswith("-") and words[0] in getattr(command, "commands", {}):
            command = command.commands[words[0]]
        known = {o for c in (command, program) for p in c.params for o in p.opts}
        known |= {o for p in command.params for o in p.secondary_opts} | {"--help"}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known, f"pymeter {name}{rest}"


def test_the_command_line_section_names_every_command() -> None:
    page = (ROOT / "pymeter/cli/README.md").read_text(encoding="utf-8")
    listed = re.search(r"`pymeter --help` lists the commands: (.*?)\. All take", page, re.DOTALL)
    assert listed
    named = set(re.findall(r"[a-z][a-z-]*", listed[1]))
    assert named == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_extras_that_are_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "pymeter/README.md").read_text(encoding="utf-8")
    named = re.findall(r"extra `(\w+)`", page) + re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert named
    assert set(named) <= project["optional-dependencies"].keys()


def _section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _code() -> list[str]:
    """Code spans, and the lines of shell blocks with their continuations."""
    text = "\n".join(TEXTS.values())
    shell = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"\\\n\s*", "", block) for block in shell] + re.findall(r"`([^`\n]+)`", text)
