"""What an invoice's page says, and the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

from pymeter.invoice_page import moments
from pymeter.invoice_page.lines import Amount, Lines, capitalised, money, sentence
from pymeter.invoice_page.words import TOTAL, Line, metric_names, sums
from pymeter.models import Invoice, StatementHeader, StatementLine
from pymeter.visible import visible

_TEMPLATE = "invoice.html.jinja"


@dataclass(frozen=True)
class Letter:
    """What the seller adds: texts, each a line."""

    seller: Sequence[str] = ()
    buyer: Sequence[str] = ()
    """Default: the subject."""
    note: Sequence[str] = ()
    """Such as how to pay."""


@dataclass(frozen=True)
class Draft:
    """Why an invoice is not final."""

    reason: str
    as_of: datetime


@dataclass(frozen=True)
class SumRow:
    """A row of the totals."""

    title: str
    about: str
    amount: Amount
    is_total: bool


def draft_page(
    found: Invoice,
    draft: Draft,
    letter: Letter,
    timezone: str = "UTC",
    *,
    names: Mapping[str, str | None] = MappingProxyType({}),
) -> str:
    """The page of an invoice that no statement holds. `names`: the display names of metrics, by key."""
    head = found.header
    totals = {currency: total.amount for currency, total in found.totals.items()}
    about = {
        "draft": {
            "reason": draft.reason,
            "as_of": f"{moments.moment(draft.as_of, timezone)} {timezone}",
        },
        "details": [],
        "seal": [],
    }
    return _page(
        head.subject,
        (head.since, head.until),
        found.lines,
        totals,
        about,
        letter,
        timezone,
        metric_names(names),
    )


def statement_page(
    header: StatementHeader,
    lines: Sequence[StatementLine],
    letter: Letter,
    timezone: str = "UTC",
    *,
    names: Mapping[str, str | None] = MappingProxyType({}),
) -> str:
    """The page of a statement. `names`: the display names of metrics, by key."""
    closed = moments.moment(header.closed_at, timezone)
    recorded = header.watermark.astimezone(UTC).replace(tzinfo=None).isoformat()
    seal = [
        f"Statement {header.statement_id}, closed {closed} {timezone}, contains what was recorded up to"
        f" {recorded}Z. What was recorded later is on a later statement.",
        f"SHA-256 {header.hash}",
        *([] if header.previous_hash is None else [f"follows {header.previous_hash}"]),
    ]
    about = {
        "draft": None,
        "details": [
            ("Statement", str(header.statement_id)),
            ("Closed", closed.rsplit(" ", 1)[0]),
        ],
        "seal": seal,
    }
    period = (header.since, header.until)
    return _page(header.subject, period, lines, header.totals, about, letter, timezone, metric_names(names))


def _page(
    subject: str,
    period: tuple[datetime, datetime],
    lines: Sequence[Line],
    totals: Mapping[str, Decimal | None],
    about: Mapping[str, object],
    letter: Letter,
    timezone: str,
    names: Mapping[str, str],
) -> str:
    currencies = {line.currency for line in lines if line.currency is not None} | set(totals)
    is_priced = bool(currencies)
    table = Lines(lines, period, timezone, with_currency=len(currencies) > 1, names=names)
    return _rendered(
        {
            **about,
            "title": "Invoice" if is_priced else "Usage statement",
            "subject": visible(subject),
            "period": moments.period(*period, timezone),
            "timezone": timezone,
            "seller": _texts(letter.seller),
            "buyer": _texts(letter.buyer),
            "note": _texts(letter.note),
            "is_priced": is_priced,
            "currency": min(currencies) if len(currencies) == 1 else "",
            "is_unknown": any(amount is None for amount in totals.values()),
            "totals": [money(amount, currency) for currency, amount in sorted(totals.items())],
            "sections": table.sections(),
            "sums": [
                SumRow(
                    visible(capitalised(one.title)),
                    sentence(one.explanation),
                    money(one.amount, one.currency),
                    one.title == TOTAL,
                )
                for one in sums(lines, totals)
            ],
        }
    )


def _texts(given: Sequence[str]) -> list[str]:
    return [visible(line.strip()) for text in given for line in text.splitlines() if line.strip()]


def _rendered(values: Mapping[str, object]) -> str:
    # Of the extra cli; all else works without it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pymeter.invoice_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(_TEMPLATE).render(values)
