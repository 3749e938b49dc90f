"""A life of one subject in unmistakable words, which are looked for after it was erased."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

# No text of the meter has this in it by chance.
MARK = "zqxj"
SUBJECT = f"{MARK}_'\"\\subject"
ROLE = "erased_reader"
OLD = at("2024-03-05 10:20")


class Words:
    """Calls functions with unmistakable words, and notes which were called."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.called: set[str] = set()
        self._numbers = itertools.count()

    def word(self, what: str) -> str:
        return f"{MARK}_{what}_{next(self._numbers)}"

    def metadata(self) -> Jsonb:
        return Jsonb({self.word("field"): self.word("value")})

    def call(self, function: str, **named: Any) -> list[Any]:
        self.called.add(function)
        return self.ledger.call(function, **named)

    def event(
        self, metric: str, quantity: Any = None, member: str | None = None, **named: Any
    ) -> dict[str, Any]:
        event = {
            "subject": SUBJECT,
            "metric": metric,
            "quantity": quantity,
            "member": member,
            "idempotency_key": self.word("key"),
            **named,
        }
        return {name: value for name, value in event.items() if value is not None}

    def record(self, metric: str, quantity: Any = None, member: str | None = None, **named: Any) -> Any:
        event = self.event(metric, quantity, member, **named)
        return self.call("record", metadata=self.metadata(), **event)[0]


def use_everything(words: Words) -> None:
    """A life of the subject in which every function that takes a text of it is called."""
    ledger = words.ledger
    ledger.define("tokens", "sum")
    ledger.define("peak", "max")
    ledger.define("striped", "count", striped=True)
    ledger.define("users", "unique", period="week", rollup="day")
    drop_a_month(words)
    for kind, url in {
        "standard": "https://example.com",
        "slack": "https://example.com",
        "email": "mailto:a@example.com",
    }.items():
        types = ["*", "usage.recorded", "usage.aggregated"]
        words.call("define_endpoint", name=kind, url=url, types=types, format=kind)
    report(words)
    words.call("set_limit", metric="tokens", quota=100, subject=SUBJECT)
    words.call("set_limit", metric="users", quota=2, subject=SUBJECT, action="alert")
    words.call("set_limit", metric="peak", quota=1000, subject=SUBJECT)
    words.call("remove_limit", metric="peak", subject=SUBJECT)
    words.call("set_spike_alert", metric="tokens", factor=2, subject=SUBJECT)
    words.call("set_spike_alert", metric="striped", factor=2, subject=SUBJECT)
    words.call("remove_spike_alert", metric="striped", subject=SUBJECT)
    words.call("close_home", subject=SUBJECT, target="s2")
    words.call("reopen_home", subject=SUBJECT)
    words.call("set_billing_cycle", subject=SUBJECT, anchor=at("2026-01-15"))
    ledger.call("define_plan", plan="pro")
    words.call("subscribe", subject=SUBJECT, plan="pro")
    words.call("unsubscribe", subject=SUBJECT, plan="pro", at=ledger.value("SELECT now() + '1 day'"))
    price = Jsonb({"model": "flat", "flat_amount": 5})
    words.call("define_price", plan="pro", item="base", price=price, subject=SUBJECT)
    words.call("retire_price", plan="pro", item="base", subject=SUBJECT)
    words.call("grant_access", role=ROLE, level="read", subject=SUBJECT)
    words.call("revoke_access", role=ROLE, level="read", subject=SUBJECT)
    words.call("grant_access", role=ROLE, level="read", subject=SUBJECT)
    record(words)
    hold(words)
    correct(words)
    close(words)
    deliver(words)


def drop_a_month(words: Words) -> None:
    members = [words.word("member") for _ in range(2)]
    for when in (OLD, OLD + timedelta(days=2)):
        words.record("users", member=members[0], at=when)
        words.record("users", member=members[1], at=when)
        words.record("tokens", 3, at=when)
    for _ in range(2):  # a partition is made, then dropped
        words.ledger.upkeep(keep=timedelta(days=365))
    assert words.ledger.value("SELECT count(*) FROM meter.dropped_members") > 0


def record(words: Words) -> None:
    members = [words.word("member") for _ in range(4)]
    for member in members:
        words.record("users", member=member)
    words.record("tokens", 5)
    words.record("peak", 7)
    words.record("striped")
    batch = [
        words.event("tokens", 4, metadata={"field": words.word("value")}),
        words.event("users", member=members[0], metadata={"field": words.word("value")}),
    ]
    words.call("record_batch", events=Jsonb(batch))
    words.call("known_events", events=Jsonb(batch))


def hold(words: Words) -> None:
    given = {"subject": SUBJECT, "metric": "tokens", "quantity": 2}
    for end in ("held", "settled", "released"):
        held = words.call("reserve", **given, idempotency_key=words.word("key"), metadata=words.metadata())[0]
        if end == "settled":
            words.call("settle", reservation_id=held.reservation_id, quantity=1, metadata=words.metadata())
        elif end == "released":
            words.call("release", reservation_id=held.reservation_id)
    requests = [given | {"idempotency_key": words.word("key"), "metadata": {"field": words.word("value")}}]
    words.call("reserve_batch", requests=Jsonb(requests))
    named = {"subject": SUBJECT, "metric": "tokens", "quantity": 10, "reason": words.word("reason")}
    words.call("top_up", **named, idempotency_key=words.word("key"))
    other = words.call("top_up", **named, idempotency_key=words.word("key"))[0]
    words.call("void_top_up", top_up_id=other.top_up_id, reason=words.word("reason"))
    money = {"subject": SUBJECT, "amount": 10, "currency": "EUR", "reason": words.word("reason")}
    words.call("grant_credit", **money, idempotency_key=words.word("key"))
    credit = words.call("grant_credit", **money, idempotency_key=words.word("key"))[0]
    words.call("void_credit", credit_id=credit.credit_id, reason=words.word("reason"))
    words.call("create_api_key", level="read", subject=SUBJECT, name=words.word("name"))
    words.call("set_tax", subject=SUBJECT, percent=19, name="VAT")
    words.call("set_budget", subject=SUBJECT, amount=0, currency="EUR", action="block")
    words.ledger.call("judge_budgets")
    words.call("set_budget", subject=SUBJECT, amount=5, currency="EUR", period="day")
    words.call("remove_budget", subject=SUBJECT, currency="EUR", period="day")


def correct(words: Words) -> None:
    given = {"subject": SUBJECT, "metric": "users"}
    events = [words.record("users", member=words.word("member")) for _ in range(4)]
    words.call("void_event", **given, event_id=events[0].event_id, reason=words.word("reason"))
    words.call(
        "amend_event",
        **given,
        event_id=events[1].event_id,
        member=words.word("member"),
        metadata=words.metadata(),
        reason=words.word("reason"),
    )
    credit = {"subject": SUBJECT, "metric": "tokens", "quantity": -1, "reason": words.word("reason")}
    words.call("adjust", **credit, idempotency_key=words.word("key"))
    # One correction of this subject and another, whose reason names it; it is taken back.
    other = {"entry": "record", "subject": "other", "metric": "tokens", "quantity": 1}
    entries = [
        {"entry": "record", "metadata": {"field": words.word("value")}} | words.event("tokens", 2),
        {"entry": "void", **given, "event_id": events[2].event_id, "reason": words.word("reason")},
        other,
    ]
    for end in ("approved", "rejected"):
        ((opened,),) = words.call("open_correction", reason=f"what {SUBJECT} asked for")
        words.call("stage_correction", id=opened, entries=Jsonb(entries))
        if end == "rejected":
            words.call("reject_correction", id=opened, reason=f"what {SUBJECT} does not need")
        else:
            words.call("approve_correction", id=opened)
            words.call("revert_correction", id=opened, reason=f"{SUBJECT} has changed its mind")


def close(words: Words) -> None:
    since, until = at("2026-01-01"), at("2026-02-01")
    ((statement, *_),) = words.call("close_period", subject=SUBJECT, since=since, until=until)
    words.record("tokens", 3, at=since)
    words.call(
        "settle_late_usage",
        statement_id=statement,
        metric="tokens",
        delta=3,
        decision="waive",
        reason=words.word("reason"),
    )
    words.record("tokens", 2, at=since)  # late, and not decided
    words.call("watermark", subject=SUBJECT)


def report(words: Words) -> None:
    """To a biller that knows the subject as a customer, and to one whose customer the text is."""
    words.call("define_biller", biller="plain", subject_is_customer=True)
    for biller in ("stripe", "plain"):
        words.call("report_metric", metric="tokens", event_name="tokens", biller=biller)
    words.call("report_subject", subject=SUBJECT, customer="cus_1")


def deliver(words: Words) -> None:
    ledger = words.ledger
    # Behind the clock's bucket; so that two spikes are to be told of.
    for biller in ("stripe", "plain"):
        while ledger.call("plan_pushes", biller=biller)[0][0]:
            pass
        claimed = ledger.call("claim_pushes", biller=biller, worker="w")
        while claimed:
            results = [
                {"push_id": c.push_id, "attempt": c.attempt, "outcome": "rejected", "error": SUBJECT}
                if n == 0
                else {"push_id": c.push_id, "attempt": c.attempt, "outcome": "delivered"}
                for n, c in enumerate(claimed)
            ]
            ledger.call("settle_pushes", biller=biller, worker="w", results=Jsonb(results))
            claimed = ledger.call("claim_pushes", biller=biller, worker="w")
        words.call("leave_pushes", biller=biller, reason="too_old")
    ledger.execute(
        "INSERT INTO meter.detected_spikes SELECT spike_alert_id, subject, now() FROM meter.spike_alerts"
    )
    ledger.call("judge_spikes")
    ledger.execute(
        "INSERT INTO meter.projection_rounds SELECT metric, subject FROM meter.series ON CONFLICT DO NOTHING"
    )
    words.call("test_endpoint", name="standard")
    while ledger.call("plan_deliveries")[0][0]:
        pass
    for claimed_one in ledger.call("claim_deliveries", worker="w"):
        results = [
            {
                "delivery_id": claimed_one.delivery_id,
                "attempt": claimed_one.attempt,
                "message_id": claimed_one.message_id,
                "outcome": "failed" if claimed_one.subject == SUBJECT else "delivered",
                "error": f"no {SUBJECT} here" if claimed_one.subject == SUBJECT else None,
            }
        ]
        ledger.call("settle_deliveries", worker="w", results=Jsonb(results))
