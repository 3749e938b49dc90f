"""Random lives of a few subjects that share plans: everything that an invoice is computed from changes."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg.errors import Error
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at
from tests.pricing import model

SUBJECTS = tuple(f"s{number}" for number in range(6))
METERED = {"tokens": "sum", "calls": "count", "peak": "max", "users": "unique", "disk": "last"}
PLANS = ("pro", "basic")
START, NOW = at("2026-03-01"), at("2026-06-17 15:30")


class Crowd:
    """Each step is one change, at any time from March to July; what is impossible is left out."""

    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        self.ledger, self.rng = ledger, rng
        self.done: Counter[str] = Counter()
        self._keys = itertools.count()
        self._credits: list[int] = []
        self._changes: dict[Callable[[], object], int] = {
            self.use: 8, self.correct: 2, self.price: 3, self.minimum: 1, self.subscribe: 2, self.leave: 2,
            self.cycle: 1, self.credit: 2, self.tax: 1, self.close: 2, self.decide: 1, self.setting: 1,
            self.retire: 1,
        }  # fmt: skip
        for metric, aggregate in METERED.items():
            ledger.define(metric, aggregate, carry=aggregate == "last" and rng.random() < 0.5)
        ledger.call("set_setting", name="currency", value="EUR")
        for plan in PLANS:
            ledger.call("define_plan", plan=plan)
        for subject in SUBJECTS:
            ledger.call(
                "subscribe", subject=subject, plan=rng.choice(PLANS), since=START - timedelta(days=400)
            )

    def step(self) -> None:
        (chosen,) = self.rng.choices(list(self._changes), list(self._changes.values()))
        chosen()
        self.done[chosen.__name__] += 1

    def prices(self) -> None:
        """Plans as most are: a few lines that hold all the time."""
        for plan in PLANS:
            for metric in self.rng.sample(list(METERED), 3):
                self._price(plan, metric, metric, None, None)
            for fee in ("base", "seat"):
                self._price(plan, fee, None, None, None)

    # --- what changes ---------------------------------------------------------------------------------------

    def use(self) -> None:
        for _ in range(6):
            subject, metric = self._subject(), self.rng.choice(list(METERED))
            named: dict[str, Any] = {"at": self._moment(), "idempotency_key": str(next(self._keys))}
            if METERED[metric] == "unique":
                named["member"] = str(self.rng.randrange(9))
            elif METERED[metric] != "count":
                named["quantity"] = Decimal(self.rng.choice(("0", "0.7", "3", "41", "700")))
            self._try("record", subject=subject, metric=metric, **named)

    def correct(self) -> None:
        subject, metric = self._subject(), self.rng.choice(list(METERED))
        events = [
            row for row in self.ledger.call("events", subject=subject, metric=metric) if row.kind == "usage"
        ]
        if events and self.rng.random() < 0.6:
            event = self.rng.choice(events)
            self._try("void_event", subject=subject, metric=metric, event_id=event.event_id, reason="a fault")
        else:
            quantity = Decimal(self.rng.choice((-40, -7, 9)))
            self._try(
                "adjust", subject=subject, metric=metric, quantity=quantity, at=self._moment(), reason="x"
            )

    def price(self) -> None:
        plan = self.rng.choice(PLANS)
        item = self.rng.choice((*METERED, "base", "seat"))
        subject = self._subject() if self.rng.random() < 0.3 else None
        if self.rng.random() < 0.2:
            self._try("retire_price", plan=plan, item=item, at=self._day(), subject=subject)
        else:
            self._price(plan, item, item if item in METERED else None, self._day(), subject)

    def minimum(self) -> None:
        amount = self.rng.choice((Decimal(0), Decimal(10), Decimal("99.99")))
        self._try("set_plan_minimum", plan=self.rng.choice(PLANS), amount=amount, since=self._day())

    def subscribe(self) -> None:
        since = self._day()
        until = self.rng.choice((None, since + timedelta(days=self.rng.randint(1, 50))))
        self._try("subscribe", subject=self._subject(), plan=self.rng.choice(PLANS), since=since, until=until)

    def leave(self) -> None:
        self._try("unsubscribe", subject=self._subject(), plan=self.rng.choice(PLANS), at=self._day())

    def cycle(self) -> None:
        anchor = datetime(2026, 1, self.rng.randint(1, 31), self.rng.choice((0, 2)), tzinfo=UTC)
        zone, every = self.rng.choice(("UTC", "Europe/Berlin")), self.rng.choice(("month", "week"))
        since = self.rng.choice((None, self._day()))
        self._try(
            "set_billing_cycle",
            subject=self._subject(),
            anchor=anchor,
            timezone=zone,
            every=every,
            since=since,
        )

    def credit(self) -> None:
        if self._credits and self.rng.random() < 0.3:
            self._try("void_credit", credit_id=self._credits.pop(), reason="x")
            return
        since = self._day()
        rows = self._try(
            "grant_credit", subject=self._subject(), currency="EUR",
            amount=Decimal(self.rng.choice(("3.5", "200"))),
            idempotency_key=str(next(self._keys)), since=since,
            expires_at=self.rng.choice((None, since + timedelta(days=self.rng.randint(1, 40)))),
        )  # fmt: skip
        self._credits += [row.credit_id for row in rows]

    def tax(self) -> None:
        percent = self.rng.choice((None, Decimal(7), Decimal("19.6")))
        inclusive, name = self.rng.random() < 0.3, self.rng.choice(("VAT", "city"))
        self._try(
            "set_tax",
            subject=self._subject(),
            percent=percent,
            inclusive=inclusive,
            name=name,
            since=self._day(),
        )

    def close(self) -> None:
        month = self.rng.choice((3, 4, 5, 6))
        since, until = at(f"2026-{month:02}-01"), at(f"2026-{month + 1:02}-01")
        if self.rng.random() < 0.2:
            until = since + timedelta(days=7)
        self._try("close_period", subject=self._subject(), since=since, until=until)

    def decide(self) -> None:
        for line in self.ledger.call("late_usage", subject=self._subject()):
            decision = self.rng.choice(("bill", "waive"))
            self._try(
                "settle_late_usage",
                statement_id=line.statement_id,
                metric=line.metric,
                delta=line.delta,
                decision=decision,
            )

    def setting(self) -> None:
        name, values = self.rng.choice(
            (("late_usage", ("ask", "bill", "waive")), ("rounding", ("total", "total", "line")))
        )
        self._try("set_setting", name=name, value=self.rng.choice(values))

    def retire(self) -> None:
        metric = self.rng.choice(list(METERED))
        if self.rng.random() < 0.3:
            self._try("retire_metric", key=metric)
        else:
            self._try("define_metric", key=metric, aggregate=METERED[metric], unit="unit")

    # --- short calls ----------------------------------------------------------------------------------------

    def _price(
        self, plan: str, item: str, metric: str | None, since: datetime | None, subject: str | None
    ) -> None:
        kinds = [kind for kind in model.MODELS if metric or kind in ("unit", "flat")]
        terms: dict[str, Any] = {"tiers_after_change": self.rng.choice(("continue", "restart"))}
        if metric is None:
            terms |= {
                "bill": self.rng.choice(("arrears", "arrears", "advance")),
                "prorate": self.rng.random() < 0.7,
            }
        price = Jsonb(model.random_price(self.rng, self.rng.choice(kinds)) | {"currency": "EUR"})
        self._try(
            "define_price",
            plan=plan,
            item=item,
            price=price,
            metric=metric,
            since=since,
            subject=subject,
            **terms,
        )

    def _subject(self) -> str:
        return self.rng.choice(SUBJECTS)

    def _day(self) -> datetime:
        return START + timedelta(days=self.rng.randint(0, 140))

    def _moment(self) -> datetime:
        return NOW - timedelta(
            days=self.rng.choice((0, 0, 0, 1, 5, 16, 40, 70)), seconds=self.rng.randrange(5000)
        )

    def _try(self, function: str, **named: Any) -> list[Any]:
        try:
            return self.ledger.call(function, **named)
        except Error as error:
            if (error.sqlstate or "")[:2] not in ("UM", "22"):
                raise
            self.done[f"{function} {error.sqlstate}"] += 1
            return []
