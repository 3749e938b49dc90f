"""How statements, late usage and what closing did are shown: tables that a customer could read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.effects import signed
from pymeter.cli.invoice_display import LineSheet
from pymeter.cli.output import (
    bad,
    counted,
    good,
    is_narrow,
    minute,
    moment,
    note,
    number,
    table,
    window,
)
from pymeter.cli.price_display import money
from pymeter.models import (
    Closing,
    StatementHeader,
    StatementLine,
    StatementProblem,
)
from pymeter.visible import visible

_HASH_SHOWN = 12
_CLOSED_SHOWN = 10


def closed_line(header: StatementHeader, timezone: str, *, was_closed: bool = False) -> Text:
    """What closing one period made, or that it had been closed before."""
    if was_closed:
        when = minute(header.closed_at, timezone)
        return good(f"already closed {when} as statement {header.statement_id}")
    period = window(header.since, header.until, timezone)
    return good(
        f"statement {header.statement_id} of {header.subject}: {period}, {counted(header.lines, 'line')}"
    )


def closings(done: Sequence[Closing], timezone: str) -> RenderableType:
    """What close_due() did: which periods were closed, and why others were not."""
    closed = [one for one in done if one.outcome == "closed"]
    postponed = [one for one in done if one.outcome == "postponed"]
    if not done:
        return good("nothing is due")
    subjects = len({one.subject for one in closed})
    sums = totals(add_totals({}, closed))
    first = f"closed {counted(len(closed), 'period')} of {counted(subjects, 'subject')}"
    lines: list[RenderableType] = [good(f"{first}: {sums}" if sums else first)]
    if closed:
        lines.append(_closed_table(closed[:_CLOSED_SHOWN], timezone))
    if len(closed) > _CLOSED_SHOWN:
        lines.append(note(f"and {number(len(closed) - _CLOSED_SHOWN)} more: pymeter statement lists them"))
    if postponed:
        result = table("subject", f"period ({timezone})", "why", "SQLSTATE", unfolded=("SQLSTATE",))
        for one in postponed:
            result.add_row(
                one.subject,
                _plain_period(one.since, one.until, timezone),
                one.message or "",
                one.sqlstate or "",
            )
        lines += [
            bad(f"postponed {counted(len(postponed), 'period')}; the next call tries again"),
            result,
        ]
    return Group(*lines)


def _closed_table(closed: Sequence[Closing], timezone: str) -> RenderableType:
    has_totals = any(one.totals for one in closed)
    more = ["total"] if has_totals else []
    result = table("statement", "subject", f"period ({timezone})", *more, numbers=("statement", "total"))
    for one in closed:
        total = [totals(one.totals or {}) or "-"] if has_totals else []
        result.add_row(
            str(one.statement_id), one.subject, period_cell(one.since, one.until, timezone), *total
        )
    return result


def totals(found: Mapping[str, Decimal | None]) -> str:
    """Amounts by currency: 95.00 EUR, 4 JPY."""
    return ", ".join(f"{money(amount)} {currency}" for currency, amount in sorted(found.items()))


def add_totals(sums: dict[str, Decimal | None], closed: Iterable[Closing]) -> dict[str, Decimal | None]:
    """Add what was closed to `sums`, by currency; None where an amount is unknown."""
    for one in closed:
        for currency, amount in (one.totals or {}).items():
            before = sums.get(currency, Decimal(0))
            sums[currency] = None if amount is None or before is None else before + amount
    return sums


def headers(found: Sequence[StatementHeader], timezone: str) -> RenderableType:
    """Statements, a line for each."""
    if not found:
        return note("no statements")
    period, closed = f"period ({timezone})", f"closed ({timezone})"
    last = [] if is_narrow() else ["hash"]
    has_totals = any(one.totals for one in found)
    result = table(
        *("id", "subject", period, "lines", *(["total"] if has_totals else []), closed, *last),
        numbers=("id", "lines", "total"),
        unfolded=(closed, *last),
    )
    for one in found:
        result.add_row(
            str(one.statement_id),
            one.subject,
            period_cell(one.since, one.until, timezone),
            number(one.lines),
            *([totals(one.totals) or "-"] if has_totals else []),
            minute(one.closed_at, timezone),
            *[f"{one.hash[:_HASH_SHOWN]}…" for _ in last],
        )
    return result


def statement(header: StatementHeader, lines: Sequence[StatementLine], timezone: str) -> RenderableType:
    """A statement as its subject may read it: with prices, as an invoice."""
    title = Text.assemble(
        (visible(f"Statement {header.statement_id} of {header.subject}"), "bold"),
        (f"  {window(header.since, header.until, timezone)}", "dim"),
    )
    if any(line.currency is not None for line in lines):
        priced = [line for line in lines if line.kind != "total"]
        sheet = LineSheet(priced, header.totals, (header.since, header.until), timezone)
        body: list[RenderableType] = [Text(""), sheet, Text("")]
    else:
        body = _quantities(lines, timezone)
    return Group(title, *body, *(note(line) for line in _seal(header, timezone)))


def _quantities(lines: Sequence[StatementLine], timezone: str) -> list[RenderableType]:
    """The lines of a statement without prices."""
    usage = [line for line in lines if line.kind == "usage"]
    late = [line for line in lines if line.kind == "late"]
    parts: list[RenderableType] = []
    if usage:
        result = table("metric", "quantity", "unit", "events", numbers=("quantity", "events"))
        for line in usage:
            result.add_row(line.metric, number(line.quantity), _unit(line), number(line.event_count))
        parts.append(result)
    else:
        parts.append(note("no usage"))
    if late:
        parts += [Text("Of earlier periods", style="bold"), _late_table(late, timezone)]
    if not any(line.quantity or line.event_count for line in lines):
        parts.append(note("nothing was recorded in this period"))
    return parts


def _late_table(late: Sequence[StatementLine], timezone: str) -> RenderableType:
    period = f"period ({timezone})"
    result = table("metric", "quantity", "unit", period, "statement", numbers=("quantity", "statement"))
    for line in late:
        result.add_row(
            line.metric,
            signed(line.quantity),
            _unit(line),
            period_cell(line.since, line.until, timezone),
            "" if line.late_of is None else str(line.late_of),
        )
    return result


def _seal(header: StatementHeader, timezone: str) -> list[str]:
    closed = moment(header.closed_at.replace(microsecond=0), timezone)
    sealed = header.watermark.astimezone(UTC).replace(tzinfo=None).isoformat()
    lines = [
        f"closed {closed} {timezone} by {header.closed_by}",
        f"as of {sealed}Z: what was recorded later is late usage",
        f"SHA-256 {header.hash}",
    ]
    return lines if header.previous_hash is None else [*lines, f"follows {header.previous_hash}"]


def _unit(line: StatementLine) -> str:
    return (line.unit or "") + (f" ({line.aggregate})" if line.aggregate not in {"sum", "count"} else "")


def _plain_period(since: datetime, until: datetime, timezone: str) -> str:
    """A period without its zone; a whole month as 2026-06."""
    first, last = (moment(edge, timezone) for edge in (since, until))
    if (
        first.endswith("-01 00:00:00")
        and last.endswith("-01 00:00:00")
        and _months(last) - _months(first) == 1
    ):
        return first[:7]
    return window(since, until, timezone).removesuffix(f" {timezone}")


def _months(text: str) -> int:
    return int(text[:4]) * 12 + int(text[5:7])


def period_cell(since: datetime, until: datetime, timezone: str) -> RenderableType:
    whole = _plain_period(since, until, timezone)
    if not is_narrow() or len(whole) <= len("2026-06"):
        return Text(whole)
    first, _, last = whole.partition(" → ")
    return Group(Text(f"{first} →"), Text(last))


def erased(pseudonym: str, rewritten: int) -> RenderableType:
    """What erasing a subject did, and what is left to do."""
    had = (
        f"{number(rewritten)} had keys, members or metadata"
        if rewritten
        else "none had keys, members or metadata"
    )
    return Group(
        good(f"erased: its usage is that of {pseudonym} now; every event is kept, {had}"),
        note("next: VACUUM the tables of the meter, and let backups expire; take the name off billing jobs"),
    )


def problems(found: Sequence[StatementProblem]) -> RenderableType:
    """What does not fit in statements."""
    if not found:
        return good("every statement is as it was closed")
    result = table("statement", "subject", "what", "line", "stated", "found", numbers=("statement",))
    for one in found:
        line = "" if one.line is None else f"{one.line} {one.metric}"
        result.add_row(
            "-" if one.statement_id is None else str(one.statement_id),
            one.subject,
            one.what,
            line,
            _shortened(one.stated),
            _shortened(one.found),
        )
    count = counted(len({one.statement_id for one in found}), "statement")
    does = "does" if count.startswith("1 ") else "do"
    return Group(result, bad(f"{count} {does} not fit: look for who changed it, and restore a backup beside"))


def _shortened(text: str | None) -> str:
    """A hash in a form that fits a table."""
    if text is None:
        return "none"
    return f"{text[:_HASH_SHOWN]}…" if len(text) == 64 and " " not in text else text
