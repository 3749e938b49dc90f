"""Text from data never controls the terminal, forges a line or is taken for markup."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from pymeter import Meter
from pymeter.cli import output
from pymeter.models import Event
from pymeter.visible import visible

Run = Callable[..., Any]
EVIL = "x\x1b[31m\x1b]0;t\x07\x9b2J\r\b\u202eabc\u2028y[red]z[/red][/nothing]\u200b"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture
def evil(meter: Meter) -> str:
    meter.define_metric("tokens", "sum", EVIL, name=EVIL, description=EVIL)
    meter.define_metric(EVIL, "unique", EVIL)
    meter.record(EVIL, "tokens", 5, idempotency_key=EVIL, metadata={EVIL: EVIL, "m": EVIL})
    meter.record(EVIL, EVIL, member=EVIL)
    meter.define_biller(EVIL)
    meter.report_metric("tokens", EVIL, biller=EVIL)
    meter.report_subject(EVIL, EVIL, biller=EVIL)
    meter.record(EVIL, "tokens", 6)
    meter.define_plan("pro")
    when = {"model": "matrix", "dimensions": [EVIL], "cells": [{"when": {EVIL: EVIL}, "unit_amount": 1}]}
    meter.define_price("pro", "cells", when, metric="tokens", name=EVIL)
    meter.define_price("pro", "base", {"model": "flat", "flat_amount": 20}, name=EVIL, subject=EVIL)
    meter.subscribe(EVIL, "pro")
    return EVIL


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("catalog",),
    ("define", EVIL, "unique", EVIL),
    ("record", EVIL, "tokens", "1", "--key", EVIL),
    ("record", EVIL, EVIL, "1"),
    ("usage", EVIL, "tokens"),
    ("usage", EVIL, "tokens", "--by", "m"),
    ("usage", EVIL, "tokens", "--by", EVIL),
    ("usage", EVIL, f"{EVIL}?"),
    ("summary", EVIL),
    ("series", EVIL, "tokens"),
    ("check", EVIL, "tokens", "100"),
    ("totals", "tokens"),
    ("subjects",),
    ("events", EVIL),
    ("events", "--all"),
    ("verify",),
    ("rebuild",),
    ("status",),
    ("price", "list"),
    ("price", "list", "--subject", EVIL),
    ("price", "retire", "pro", "base", "--subject", EVIL),
    ("price", "define", "pro", EVIL, "{}"),
    ("invoice", EVIL),
    ("invoice", f"{EVIL}?"),
    ("project", EVIL),
    ("project", f"{EVIL}?"),
    ("retire", EVIL),
    ("report", "status", "--biller", EVIL),
    ("report", "mappings", "--biller", EVIL),
    ("report", "--dry-run", "--biller", EVIL),
    ("report", "metric", "tokens", EVIL, "--biller", EVIL),
    ("report", "subject", EVIL, EVIL, "--biller", EVIL),
    ("import", f"{EVIL}.csv"),
    ("import", "evil.csv"),
    ("import", "header.csv"),
    ("import", f"{EVIL}".replace("/", "") + ".jsonl"),
)


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consoles believe that they write to a terminal without colours."""
    original = output.SafeConsole.__init__

    def init(self: Any, **options: Any) -> None:
        original(self, **{**options, "force_terminal": True, "color_system": None})

    monkeypatch.setattr(output.SafeConsole, "__init__", init)


def test_no_command_passes_control_characters_on(pymeter: Run, evil: str) -> None:
    Path("evil.csv").write_text(f'subject,metric,quantity\n"{EVIL}",tokens,x\n')
    Path("header.csv").write_text(f'subject,metric,"{EVIL}"\na,tokens,x\n')
    Path(EVIL.replace("/", "") + ".jsonl").write_text('{"subject":"a"}\n')
    for command in COMMANDS:
        ran = pymeter(*command)
        shown = ran.out + ran.err
        assert not UNSAFE.search(shown), (command, shown)
        assert "bug in pymeter" not in shown, (command, shown)
        if command[0] in ("subjects", "events", "summary"):
            assert "x\\x1b[31m" in shown.replace("\n", ""), (command, shown)
        if command[0] in ("subjects", "record"):
            assert "[red]z[/red]" in re.sub(r"\s", "", shown), "markup is text"


def test_json_stays_exact(pymeter: Run, evil: str) -> None:
    rows = pymeter("events", EVIL, "--json").json
    assert {row["subject"] for row in rows} == {EVIL}
    assert json.loads(pymeter("catalog", "--json").out)[0]["unit"] == EVIL


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_csv_is_exact_in_a_file_and_visible_on_a_terminal(pymeter: Run, meter: Meter, evil: str) -> None:
    for command in (
        ("subjects", "--csv"),
        ("events", EVIL, "--csv"),
        ("export", EVIL),
        ("export", EVIL, "--raw"),
    ):
        assert EVIL in next(csv.reader(io.StringIO(pymeter(*command).out.split("\n", 1)[1], newline=""))), (
            command
        )
    screen = Screen()
    output.write_csv(screen, Event, meter.events(EVIL), mark_escaped=True)
    assert not UNSAFE.search(screen.getvalue())
    assert "x\\x1b[31m" in screen.getvalue()


def test_a_status_line_and_a_progress_bar_are_safe_too(on_a_terminal: None, pymeter: Run, evil: str) -> None:
    for command in (("rebuild",), ("import", EVIL.replace("/", "") + ".csv")):
        Path(EVIL.replace("/", "") + ".csv").write_text("subject,metric,quantity\na,tokens,1\n")
        ran = pymeter(*command)
        assert "\x1b]0;" not in ran.out + ran.err
        assert "\x9b" not in ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err


def test_a_console_makes_visible_whatever_is_printed() -> None:
    console = output.SafeConsole(file=io.StringIO(), width=200, highlight=False)
    console.print(Text(EVIL))
    console.print(EVIL, markup=False)
    console.print(output.good(EVIL))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert not UNSAFE.search(text)
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich 東京 \U0001f469\u200d\U0001f4bb \u200cx", "Zürich 東京 \U0001f469\u200d\U0001f4bb \u200cx"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x9b\x7f\x00", "\\x9b\\x7f\\x00"),
        ("\u202ea\u2066\ufeff", "\\u202ea\\u2066\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
