"""import --as-correction: a file that is staged, previewed and approved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from pymeter.cli.correcting import corrections
from pymeter.cli.effects import added_up, describe_effects
from pymeter.cli.errors import SAYS_NO
from pymeter.cli.import_reports import ImportBar, print_reports
from pymeter.cli.options import read_moment
from pymeter.cli.output import good, print_json, stdout
from pymeter.cli.patience import when_free
from pymeter.cli.target import Settings
from pymeter.importing import ImportOptions, ImportReport, Window, stage_file

_SHOWN = 50


@dataclass(frozen=True)
class Backfill:
    """A file that becomes a correction."""

    file: str
    reason: str
    replaces: tuple[Window, ...]
    options: ImportOptions
    rejects: Path | None
    approve: bool

    def run(self, settings: Settings, as_json: bool) -> None:
        """Stage it, show what it changes, and approve it if that was asked for. Status 1: rejected lines."""
        report = ImportReport(self.file)
        with corrections(settings) as meter, ImportBar(report) as bar:
            opened = stage_file(
                self.file,
                settings.database().connect,
                self.reason,
                replaces=self.replaces,
                schema=settings.schema,
                options=self.options,
                rejects=self.rejects,
                progress=bar,
                report=report,
            )
        with corrections(settings) as meter:
            if self.approve:
                effects = when_free(lambda: meter.approve_correction(opened))
            else:
                effects = meter.preview_correction(opened)
            aggregates = {metric.key: metric.aggregate for metric in meter.catalog()}
        if as_json:
            print_json({"correction_id": opened, "report": report.as_dict(), "effects": effects})
        else:
            print_reports([report], False, self.options)
            stdout().print(describe_effects(effects, aggregates, self.options.timezone, _SHOWN))
            stdout().print(
                good(f"correction {opened} is approved: {added_up(effects)}")
                if self.approve
                else good(
                    f"correction {opened} is open; to make it count: pymeter correction approve {opened}"
                )
            )
        if report.rejected:
            raise typer.Exit(SAYS_NO)


def read_windows(texts: list[str] | None, timezone: str) -> Iterator[Window]:
    """The windows of --replace; a subject may have commas in it."""
    for text in texts or ():
        parts = [part.strip() for part in text.rsplit(",", 3)]
        if len(parts) != 4 or not all(parts):
            raise typer.BadParameter(f"--replace: write 'SUBJECT, METRIC, SINCE, UNTIL', not {text!r}")
        subject, metric, *ends = parts
        since, until = (read_moment(end, timezone, "--replace") for end in ends)
        assert since is not None
        assert until is not None
        yield Window(subject, metric, since, until)
