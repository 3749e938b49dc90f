"""What a move copies: the log and its keys while recording goes on, and all of the rest while it does not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from pymeter.scale.errors import CopiesDiffer
from pymeter.scale.homes import Digest, Home, stream

Tell = Callable[[str, dict[str, Any]], None]


@dataclass
class Copied:
    """How much a run has copied."""

    events: int = 0
    bytes: int = 0


def copy_log(
    source: Home, target: Home, subject: str, run: UUID, copied: Copied, tell: Tell, wait: float
) -> int:
    """Copy what was recorded up to now; recording goes on. Returns how many events there were to copy.

    The marks are read first, then everybody is waited for who may still record below them.
    """
    with source.transaction():
        marks = source.rows("_log_marks")[0]
    with source.transaction():
        source.rows("_log_barrier", f"{wait} seconds")
    also = "deleted reservations" if not copied.bytes else "reservations"
    with target.transaction(), source.transaction("REPEATABLE READ"):
        part, numbers = _part(source, target, subject, run, marks)
        rows = _log(source, target, subject, numbers, part, also, copied)
        target.rows("_note_copied", subject, marks["up_to_id"], marks["up_to_at"])
        _compare(
            *_both(
                lambda: source.digests("_move_log_digests", subject, part, "nothing"),
                lambda: target.digests("_move_log_digests", subject, part, "nothing"),
            )
        )
    tell("copied", {"events": rows, "bytes": copied.bytes})
    return rows


def copy_rest(
    source: Home, target: Home, subject: str, run: UUID, copied: Copied, tell: Tell
) -> dict[str, Any]:
    """Copy the rest of a closed subject, and compare the copies. Returns the marks that no event is above."""
    with source.transaction():
        source.rows("_require_durable_commit")
        source.rows("_announce_apart_from_now", subject)
    with source.transaction():
        definitions = source.digests("_move_definitions")
    with target.transaction(), source.transaction("REPEATABLE READ"):
        facts = source.value("_move_facts", subject, False)
        known = target.rows("_begin_receiving", subject, run)[0]
        part, numbers = _part(source, target, subject, run, None, facts)
        _compare(definitions, target.digests("_move_definitions"))
        marks = source.rows("_own_marks", subject, known["copied_at"], part)[0]
        here = source.digests("_move_digests", subject)
        if here["sealed_subjects"].rows:
            target.rows("_receive_subject_id", subject)
            numbers = _numbers(target, subject, [])
        _log(source, target, subject, numbers, part, "reservations", copied)
        old = target.digests("_move_digests", subject)
        for name, digest in here.items():
            if digest.rows or old[name].rows:
                copied.bytes += stream(
                    source, source.value("_moved_rows", name, subject, numbers), target, name
                )
                if name == "series":
                    target.rows("_receive_totals", subject, marks["up_to_at"])
                else:
                    target.rows("_receive_rows", name, subject)
        target.rows("_receive_access", subject, facts["roles"])
        target.rows("_note_copied", subject, marks["up_to_id"], marks["up_to_at"])
        tell("compare", {})
        _compare_all(source, target, subject, part, here)
    tell("compared", {"events": copied.events, "bytes": copied.bytes})
    return marks


def _part(
    source: Home,
    target: Home,
    subject: str,
    run: UUID,
    marks: dict[str, Any] | None,
    facts: dict[str, Any] | None = None,
) -> tuple[str, Any]:
    """The condition for what the target does not have, and how it numbers the series."""
    known = target.rows("_begin_receiving", subject, run)[0]
    until = (marks["up_to_id"], marks["up_to_at"]) if marks else (None, None)
    part = source.value("_log_part", known["copied_id"], known["copied_at"], *until)
    metrics = (facts or source.value("_move_facts", subject, False))["metrics"]
    return part, _numbers(target, subject, metrics)


def _numbers(target: Home, subject: str, metrics: list[str]) -> Jsonb:
    """How the target numbers the series, which it makes if need be."""
    return Jsonb(target.value("_receive_series", subject, metrics))


def _log(source: Home, target: Home, subject: str, numbers: Any, part: str, also: str, copied: Copied) -> int:
    copied.bytes += stream(
        source, source.value("_moved_rows", "events", subject, numbers, part), target, "events"
    )
    rows: int = target.value("_receive_rows", "events", subject)
    copied.events += rows
    copied.bytes += stream(source, source.value("_moved_keys", subject, part, also), target, "keys")
    target.rows("_receive_rows", "keys", subject)
    return rows


def _compare_all(source: Home, target: Home, subject: str, part: str, here: dict[str, Digest]) -> None:
    def of_source() -> tuple[Any, Any]:
        return source.digests("_move_log_digests", subject, part, "reservations"), source.rows(
            "_event_counts", subject
        )

    def of_target() -> tuple[Any, Any, Any, Any]:
        return (
            target.digests("_move_log_digests", subject, part, "reservations"),
            target.rows("_event_counts", subject),
            target.digests("_move_digests", subject),
            target.rows("_move_drifts", subject),
        )

    (log_here, counts_here), (log_there, counts_there, there, drifts) = _both(of_source, of_target)
    _compare({**here, **log_here}, {**there, **log_there})
    if counts_here != counts_there:
        raise _differ("events", counts_here, counts_there)
    if drifts:
        raise CopiesDiffer(
            "the copy does not verify",
            detail="; ".join(str(next(iter(row.values()))) for row in drifts[:5]),
            hint="Run verify() and verify_statements() for it where it is, and rebuild() what differs.",
        )


def _compare(here: dict[str, Digest], there: dict[str, Digest]) -> None:
    for name, digest in here.items():
        if digest != there[name]:
            raise _differ(name, digest, there[name])


def _differ(name: str, here: Any, there: Any) -> CopiesDiffer:
    return CopiesDiffer(
        "the copies differ",
        detail=f"table {name}: {here} at the source, {there} at the target.",
        hint="Nothing was moved; it is recorded where it was. Try again, and report it if it repeats.",
    )


def _both(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    """The results of two functions that wait for different servers."""
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(second)
        return first(), other.result()
