"""The command simulate: scenarios in files, for people and for the CI of a price list."""

from __future__ import annotations

import sys
from glob import glob
from pathlib import Path
from typing import Annotated, Any

import typer

from pymeter import exact_json
from pymeter.cli.as_junit import write_junit
from pymeter.cli.commands import as_commands
from pymeter.cli.errors import COULD_NOT_RUN, SAYS_NO, CliError
from pymeter.cli.options import AsJson
from pymeter.cli.output import print_json, stdout
from pymeter.cli.simulation_display import Outcome, Run, shown, summary
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.errors import InvalidInput, NotFound

_GLOB = "*?["


def simulate(
    ctx: Context,
    files: Annotated[
        list[str],
        typer.Argument(help="JSON files with a scenario each, or patterns of them; - is the standard input."),
    ],
    validate: Annotated[
        bool, typer.Option("--validate", help="Only say which files are scenarios; compare nothing.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the outcomes as JUnit XML, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what scenarios would cost, and compare it.

        pymeter simulate launch.sim.json
        pymeter simulate 'prices/*.sim.json' --junit report.xml

    A scenario has usage, prices, credits and taxes, and may say what its invoice is expected to be. Nothing
    is stored. Status 1: an invoice is not as expected; 2: a file is no scenario.
    """
    paths = _expanded(files)
    with ctx.obj.meter() as meter:
        runs = [_run(meter, path, validate) for path in paths]
    if junit is not None:
        write_junit(junit, runs)
    if as_json:
        print_json([run.as_json() for run in runs])
    else:
        for run in runs:
            stdout().print(shown(run))
        stdout().print(summary(runs))
    outcomes = {run.outcome for run in runs}
    if Outcome.invalid in outcomes:
        raise typer.Exit(COULD_NOT_RUN)
    if Outcome.missed in outcomes:
        raise typer.Exit(SAYS_NO)


def _expanded(files: list[str]) -> list[str]:
    """The files in their order, each once; patterns that no shell has expanded are expanded here."""
    found: dict[str, None] = {}
    for name in files:
        if any(sign in name for sign in _GLOB) and not Path(name).exists():
            matches = sorted(glob(name, recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
            if not matches:
                raise CliError(f"no file matches {name}", "Check the pattern, and the directory.")
            found |= dict.fromkeys(matches)
        else:
            found[name] = None
    return list(found)


def _run(meter: Meter, path: str, validate: bool) -> Run:
    try:
        document = _read(path)
        found = meter.simulate(document)
    except (InvalidInput, NotFound) as error:
        problem = ": ".join(filter(None, (error.message, error.detail)))
        return Run(path, Outcome.invalid, problem=problem, hint=error.hint and as_commands(error.hint))
    if validate:
        return Run(path, Outcome.valid)
    outcome = {True: Outcome.passed, False: Outcome.missed, None: Outcome.unchecked}[found.passed]
    return Run(path, outcome, found)


def _read(path: str) -> Any:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
        document = exact_json.loads(text)
    except UnicodeDecodeError:
        raise InvalidInput("it is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        hint = "Scenarios are JSON. Convert YAML to it." if path.endswith((".yaml", ".yml")) else None
        raise InvalidInput(f"it is not JSON: {error}", hint=hint) from None
    if not isinstance(document, dict):
        raise InvalidInput("it is not a JSON object")
    return document
