"""Nobody can put something of theirs between a function and what it names: pgspot's rules.

pgspot reads a file as it is installed: into a schema of its own, under a search_path of that schema and
pg_temp, in that order.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.static.programs import FUNCTIONS, program

_INSTALLED = "create schema meter;\nset search_path = meter, pg_temp;\n"
_PINNED = "set search_path = meter, pg_temp"

# rule -> why it does not apply to any function
EXEMPT = {
    "PS002": "CREATE OR REPLACE takes over a function that somebody else made before; nobody else may create"
    " in the schema, and the installer refuses one that is not its own",
}
# Bodies that its parser cannot read, because they assign to a field of a row or return rows one by one;
# plpgsql itself can. Their declarations are looked at all the same.
UNREAD = "unread"
# To a helper that is inlined, and so has the search_path of its caller, which is pinned:
# tests/schema/test_functions.py shows that it names nothing outside pg_catalog.
EXEMPT_FOR_INLINED = {"PS001", "PS005", "PS009", "PS016", "PS017"}


def functions(files: Iterable[Path]) -> dict[str, str]:
    """The statement of each function, and what follows it up to the next, by the function's name."""
    found = {}
    for file in files:
        for text in re.split(r"(?m)^(?=create or replace function )", file.read_text(encoding="utf-8")):
            if match := re.match(r"create or replace function (\w+)", text):
                found[match[1]] = text
    return found


def problems(statements: dict[str, str], directory: Path) -> set[tuple[str, str, str]]:
    """(function, rule, what was found)."""
    pgspot = program("pgspot")
    copies = []
    for name, text in statements.items():
        copy = directory / f"{name}.sql"
        copy.write_text(_INSTALLED + text.replace("set search_path from current", _PINNED), encoding="utf-8")
        copies.append(str(copy))
    ignored = [option for rule in EXEMPT for option in ("--ignore", rule)]
    done = subprocess.run([pgspot, *ignored, *copies], capture_output=True, text=True, check=False)
    found, name = set(), ""
    for line in (done.stdout + done.stderr).splitlines():
        assert "Traceback" not in line, done.stderr
        if match := re.fullmatch(rf"{re.escape(str(directory))}/(.+)\.sql: ?", line):
            name = match[1]
        elif match := re.match(r"(PS\d+): (.*)", line):
            found.add((name, match[1], match[2]))
        elif re.search(r"is not a known variable|syntax error|NoneType", line):
            found.add((name, "unread", line.strip()))
    return found


def test_pgspot_has_nothing_to_say_that_has_no_answer_here(tmp_path: Path) -> None:
    ours = functions(FUNCTIONS)
    inlined = {name for name, text in ours.items() if "search_path" not in text}
    assert {
        problem
        for problem in problems(ours, tmp_path)
        if not (problem[0] in inlined and problem[1] in EXEMPT_FOR_INLINED) and problem[1] != UNREAD
    } == set()


@pytest.mark.parametrize(
    ("attributes", "body"),
    [
        ("language plpgsql security definer", "begin return count(*) from things; end"),
        ("language plpgsql security definer set search_path = public", "begin return 1; end"),
        ("language sql", "select count(*) from things"),
        ("language plpgsql set search_path = ''", "begin return a + b from meter.things; end"),
    ],
)
def test_pgspot_sees_a_function_that_can_be_led_astray(tmp_path: Path, attributes: str, body: str) -> None:
    bad = f"create or replace function bad() returns bigint {attributes} as $$ {body} $$;\n"
    assert {rule for _, rule, _ in problems({"bad": bad}, tmp_path)} - {UNREAD}
