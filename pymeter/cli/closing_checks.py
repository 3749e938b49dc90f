"""What `close` asks before it closes a period, and what it says where the period is a wrong one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from difflib import get_close_matches

import typer

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.client import Meter
from pymeter.errors import InvalidInput

_SUBJECTS_COMPARED = 1000
_KINDS = (("day", 1), ("week", 7), ("month", 31))


def check_both_ends(since: datetime | None, until: datetime | None) -> None:
    """Refuse one end without the other."""
    if (since is None) != (until is None):
        raise typer.BadParameter("--since is missing" if since is None else "--until is missing")


def check_recorded(meter: Meter, subject: str) -> None:
    """Refuse a subject without events: a name that is mistyped, or was erased, would get a statement."""
    try:
        meter.subjects(1, after_subject=subject)
    except InvalidInput as error:
        if error.parameter != "after_subject" or error.sqlstate != "22023":
            raise
    else:
        return
    known = get_close_matches(subject, [row.subject for row in meter.subjects(_SUBJECTS_COMPARED)])
    meant = f"Did you mean {' or '.join(map(repr, known))}? " if known else ""
    raise CliError(
        f"nothing was ever recorded for {subject!r}", f"{meant}To close it all the same: --new", SAYS_NO
    )


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
