"""The scenario that says what a ledger holds of a subject's cycle: written from lists of prices and usage."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from tests.helpers import Ledger
from tests.pricing.billing import SUBJECT
from tests.pricing.days import Account

Scenario = dict[str, Any]
_TERMS = ("metric", "name", "price", "currency", "bill", "prorate", "tiers_after_change")


def twin(
    ledger: Ledger, account: Account, aggregates: dict[str, str], header: Any, rule: Any, granted: list[Any]
) -> Scenario:
    """``header``: of the invoice; ``rule``: of the subject's cycles; ``granted``: its credits."""
    since, until = (datetime.fromisoformat(header[name]) for name in ("since", "until"))
    after = ledger.row("SELECT lower(c), upper(c) FROM meter.billing_cycle(%s, %s) c", [SUBJECT, until])
    lines = _lines(ledger, account, since, after[1])
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "cycle": {"anchor": rule.anchor.isoformat(), "timezone": rule.timezone, "every": rule.every},
        "currency": "EUR",
        "prices": [_as_json(line) for line in lines],
        "usage": _usage(ledger, aggregates, lines, since, until),
        "minimums": _minimums(account, since, until),
        "credits": [
            {
                "credit_id": c.credit_id,
                "currency": c.currency,
                "amount": str(c.amount),
                "remaining": str(c.remaining),
                "source": c.source,
                "priority": c.priority,
                "since": c.since.isoformat(),
                "expires_at": c.expires_at and c.expires_at.isoformat(),
            }
            for c in granted
        ],
        "taxes": [
            {"name": t.name, "percent": str(t.percent), "inclusive": t.inclusive}
            for t in ledger.call("taxes", subject=SUBJECT)
            if t.percent is not None
        ],
    }


def _held(account: Account, plan: str) -> list[tuple[datetime, datetime]]:
    """When the subject has the plan; subscriptions that touch are one."""
    found: list[tuple[datetime, datetime]] = []
    for _, start, end in sorted(s for s in account.subscriptions if s[0] == plan and s[1] < s[2]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _lines(ledger: Ledger, account: Account, since: datetime, until: datetime) -> list[Scenario]:
    """What prices() lists between two changes of anything, and what says the same as before put together."""
    lines: list[Scenario] = []
    for plan in sorted({plan for plan, _, _ in account.subscriptions}):
        changes = {v.since for (p, _, _), versions in account.lines.items() if p == plan for v in versions}
        for start, end in _held(account, plan):
            cuts = sorted({max(start, since), min(end, until)} | {c for c in changes if start < c < end})
            cuts = [cut for cut in cuts if max(start, since) <= cut <= min(end, until)]
            of_this: list[Scenario] = []
            for begin, stop in itertools.pairwise(cuts):
                for row in ledger.call("prices", plan=plan, at=begin, subject=SUBJECT):
                    _add(of_this, row, begin, stop)
            for item in {line["item"] for line in of_this}:
                first = min((one for one in of_this if one["item"] == item), key=lambda one: one["since"])
                first["tiers_after_change"] = "restart"  # another subscription begins anew
            lines += of_this
    return lines


def _add(lines: list[Scenario], row: Any, begin: datetime, stop: datetime) -> None:
    terms = {name: getattr(row, name) for name in _TERMS}
    for line in lines:
        if line["item"] == row.item and line["until"] == begin and line["terms"] == terms:
            line["until"] = stop
            return
    lines.append(
        {
            **terms,
            "plan": row.plan,
            "item": row.item,
            "price_version": row.price_version,
            "since": begin,
            "until": stop,
            "terms": terms,
        }
    )


def _as_json(line: Scenario) -> Scenario:
    times = {name: line[name].isoformat() for name in ("since", "until")}
    return {k: v for k, v in line.items() if k != "terms"} | times


def _usage(
    ledger: Ledger, aggregates: dict[str, str], lines: list[Scenario], since: datetime, until: datetime
) -> list[Scenario]:
    """Of a sum or a count, the usage of every day; of a value, that of each line's time."""
    found = []
    for metric, aggregate in aggregates.items():
        of_metric = [line for line in lines if line["metric"] == metric]
        times = {(max(line["since"], since), min(line["until"], until)) for line in of_metric}
        if aggregate in ("sum", "count"):
            days = range((until - since) // timedelta(days=1))
            times = {(since + timedelta(days=n), since + timedelta(days=n + 1)) for n in days}
        for start, end in sorted(times):
            if start < end:
                row = ledger.usage(SUBJECT, metric, since=start, until=end)
                found.append(
                    {
                        "metric": metric,
                        "quantity": str(row.quantity),
                        "event_count": row.event_count,
                        "aggregate": aggregate,
                        "unit": "unit",
                        "since": start.isoformat(),
                        "until": end.isoformat(),
                    }
                )
    return found


def _minimums(account: Account, since: datetime, until: datetime) -> list[Scenario]:
    found = []
    for plan, versions in account.minimums.items():
        ordered = sorted(versions)
        for start, end in _held(account, plan):
            cuts = sorted({max(start, since), min(end, until)} | {v[0] for v in ordered})
            cuts = [cut for cut in cuts if max(start, since) <= cut <= min(end, until)]
            for begin, stop in itertools.pairwise(cuts):
                held = [v for v in ordered if v[0] <= begin]
                if held:
                    found.append(
                        {
                            "plan": plan,
                            "amount": str(float(held[-1][2])),
                            "since": begin.isoformat(),
                            "until": stop.isoformat(),
                        }
                    )
    return found
