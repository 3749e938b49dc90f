"""What `close` asks before it closes a period, and what is said of wrong periods and unknown subjects."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from difflib import get_close_matches

import typer

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.output import note, stderr
from pymeter.client import Meter
from pymeter.errors import InvalidInput

_SUBJECTS_COMPARED = 1000
_NOTHING = "nothing was ever recorded for {}"
_KINDS = (("day", 1), ("week", 7), ("month", 31))


def check_both_ends(since: datetime | None, until: datetime | None) -> None:
    """Refuse one end without the other."""
    if (since is None) != (until is None):
        raise typer.BadParameter("--since is missing" if since is None else "--until is missing")


def check_recorded(meter: Meter, subject: str) -> None:
    """Refuse a subject without events: a name that is mistyped, or was erased, would get a statement."""
    if not _is_recorded(meter, subject):
        raise CliError(
            _NOTHING.format(repr(subject)),
            f"{_meant(meter, subject)}To close it all the same: --new",
            SAYS_NO,
        )


def note_unknown(meter: Meter, subject: str) -> None:
    """Say on standard error that an answer is empty because nothing was ever recorded for the subject."""
    if not _is_recorded(meter, subject):
        said = f"{_NOTHING.format(repr(subject))}. {_meant(meter, subject)}".strip()
        stderr().print(note(said), soft_wrap=True)


def _is_recorded(meter: Meter, subject: str) -> bool:
    try:
        meter.subjects(1, after_subject=subject)
    except InvalidInput as error:
        if error.parameter != "after_subject" or error.sqlstate != "22023":
            raise
        return False
    return True


def _meant(meter: Meter, subject: str) -> str:
    known = get_close_matches(subject, [row.subject for row in meter.subjects(_SUBJECTS_COMPARED)])
    return f"Did you mean {' or '.join(map(repr, known))}? " if known else ""


@contextmanager
def naming_the_last_period(subject: str, since: datetime | None, until: datetime | None) -> Iterator[None]:
    """Add to the error for a period that has not ended the line that closes the last one of its length."""
    try:
        yield
    except InvalidInput as error:
        if error.message == "the period has not ended" and since is not None and until is not None:
            kind = next((kind for kind, days in _KINDS if until - since <= timedelta(days=days)), "year")
            line = shlex.join(["pymeter", "close", subject, "--period", kind])
            error.hint = f"{error.hint or ''} The last {kind} that ended: {line}".strip()
        raise
