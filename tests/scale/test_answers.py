"""Four shards give the answers of one meter over the same random history, for every function."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from pymeter import MeterError
from pymeter.scale import NotSharded
from tests.helpers import AGGREGATES, at, at_length
from tests.scale.twins import Pair, Refusal, Twins
from tests.schema.contract import names

NOW = at("2026-06-20 12:00")
SINCE, UNTIL = at("2026-05-01"), at("2026-07-01")
JUNE = {"since": at("2026-06-01"), "until": at("2026-07-01")}
SUBJECTS = (*(f"acct_{n}" for n in range(6)), "größe ☃", "acct'; --")
METRICS = tuple(AGGREGATES)
# What the owner of a meter is refused, and what there is nothing for.
REFUSED = {name for name in names() if name.startswith("own_")} | {"grant_access"}
ANSWERED = [
    "usage",
    "summary",
    "series",
    "usage_by",
    "totals",
    "subjects",
    "events",
    "all_events",
    "corrections",
    "statements",
    "late_usage",
    "overruns",
    "notifications",
    "reservations",
    "limits",
    "budgets",
    "credits",
    "taxes",
    "budget_status",
    "invoice",
    "invoice_json",
    "project_usage",
    "project_invoice",
    "compare_plans",
    "focus_charges",
    "preview_pushes",
    "pushes",
    "uncertain_hours",
    "reconcilable_ranges",
    "reconciliation",
    "report_status",
    "subscriptions",
]
COUNTED = ("sum", "count")


@pytest.mark.parametrize("seed", range(at_length(1, 20)))
@pytest.mark.at_length
def test_four_shards_answer_as_one_meter_does(twins: Twins, seed: int) -> None:
    compare(twins, random.Random(seed), at_length(160, 1500), SUBJECTS[:: at_length(2, 1)])


def compare(twins: Twins, chance: random.Random, steps: int, subjects: Sequence[str]) -> None:
    """Call every function of both: a random history of so many steps, then questions about these subjects."""
    _define(twins)
    history = History(twins, chance)
    _end_what_was_begun(twins)
    for _ in range(steps):
        history.step()
    _ask_about_all(twins)
    twins.moves()
    for subject in subjects:
        _ask_about(twins, subject)
    _correct_in_review(twins)
    _close(twins)
    _report(twins)
    _notify(twins)
    _give_keys(twins)
    _operate(twins)
    _erase_and_end(twins)
    _ask_about_all(twins)
    left = set(names()) - twins.called
    assert not left, f"not compared: {sorted(left)}"
    # Of what the history is about, both had something to say.
    assert set(ANSWERED) <= twins.said, set(ANSWERED) - twins.said
    in_vain = {name: why for name, why in twins.refused.items() if why.kind != "worked"}
    assert set(in_vain) == REFUSED, in_vain


def _define(twins: Twins) -> None:
    for aggregate in AGGREGATES:
        twins.define_metric(aggregate, aggregate, "unit", period="month", max_future=timedelta(days=900))
    twins.define_metric("old", "sum", "unit")
    twins.retire_metric("old")
    for plan in ("free", "pro"):
        twins.define_plan(plan)
        twins.define_price(
            plan,
            "tokens",
            {"currency": "USD", "model": "unit", "unit_amount": "0.5"},
            metric="sum",
            since=SINCE,
        )
        twins.define_price(
            plan, "seat", {"currency": "USD", "model": "flat", "flat_amount": "7"}, since=SINCE
        )
    twins.set_plan_minimum("pro", 20, since=SINCE)
    twins.set_limit("sum", 5000, since=SINCE)
    twins.set_limit("count", 40, plan="pro", since=SINCE)
    twins.set_budget(900, "USD", plan="pro", since=SINCE)
    twins.set_spike_alert("sum", 3)
    twins.set_setting("reservation_ttl_max", "2 days")
    twins.both("define_endpoint", lambda m: m.define_endpoint("hook", "https://example.com").url)


def _end_what_was_begun(twins: Twins) -> None:
    for name in ("settle", "release"):
        one, many = twins.reserve("acct_0", "sum", 9, ttl="1 day")
        pair = (one.reservation_id, many.reservation_id)
        twins.by_id("extend", pair, "2 hours")
        twins.by_id(name, pair, **({"quantity": 5, "at": NOW} if name == "settle" else {}))
    one, many = twins.top_up("acct_0", "sum", 500, "begun")
    twins.by_id("void_top_up", (one.top_up_id, many.top_up_id), "wrong")
    one, many = twins.grant_credit("acct_0", 50, "USD", "begun", since=SINCE)
    twins.by_id("void_credit", (one.credit_id, many.credit_id), "wrong")
    twins.set_tax("acct_0", 19, since=SINCE)
    twins.subscribe("acct_0", "pro", since=SINCE)
    twins.unsubscribe("acct_0", "pro", at=NOW)
    twins.grant_credit("acct_0", 70, "USD", "kept", since=SINCE)
    twins.set_budget(100, "USD", subject="acct_0", since=SINCE)
    twins.set_limit("sum", 1, subject="acct_0", name="passed", since=SINCE)
    twins.record("acct_0", "sum", 5, at=NOW, overflow=True, idempotency_key="beyond")


class History:
    """Random calls, the same in both."""

    def __init__(self, twins: Twins, chance: random.Random) -> None:
        self.twins = twins
        self.chance = chance
        self.ids: dict[str, list[tuple[int, int]]] = {
            "reservation": [],
            "top_up": [],
            "credit": [],
            "event": [],
        }
        self.keys: list[tuple[str, str, str]] = []
        self.number = 0

    def step(self) -> None:
        kinds = (self.record, self.batch, self.reserve, self.end, self.correct, self.set_up, self.pay)
        self.chance.choices(kinds, (40, 10, 8, 8, 10, 10, 6))[0]()

    def event(self) -> dict[str, Any]:
        self.number += 1
        metric, subject = self.chance.choice(METRICS), self.chance.choice(SUBJECTS)
        found: dict[str, Any] = {
            "subject": subject,
            "metric": metric,
            "at": SINCE + timedelta(minutes=self.chance.randrange(51 * 24 * 60), seconds=self.number),
            "metadata": {"model": self.chance.choice(["a", "b"])},
        }
        if metric == "unique":
            found["member"] = f"m{self.chance.randrange(5)}"
        else:
            found["quantity"] = f"{self.chance.randrange(1, 400)}.{self.chance.randrange(100)}"
        if self.chance.random() < 0.6:
            found["idempotency_key"] = f"key_{self.chance.randrange(200)}"
        return found

    def record(self) -> None:
        event = self.event()
        one, many = self.twins.record(**event)
        if getattr(one, "outcome", None) == "recorded":
            self.ids["event"].append((one.event_id, many.event_id))
            self.keys.append((event["subject"], event["metric"], event.get("idempotency_key", "")))

    def batch(self) -> None:
        events: list[dict[str, Any]] = [self.event() for _ in range(self.chance.randrange(1, 20))]
        if self.chance.random() < 0.5:
            events[self.chance.randrange(len(events))]["quantity"] = "-1"
            events.append({"metric": "sum"})
        self.twins.record_batch(events, on_invalid="skip")
        self.twins.known_events(events)
        if self.chance.random() < 0.2:
            self.twins.record_batch([events[0] | {"metric": "none"}])

    def reserve(self) -> None:
        subject, metric = self.chance.choice(SUBJECTS), self.chance.choice(COUNTED)
        wanted = {"subject": subject, "metric": metric, "quantity": self.chance.randrange(1, 900)}
        if self.chance.random() < 0.3:
            self.twins.reserve_batch([wanted])
            return
        one, many = self.twins.reserve(**wanted, ttl="1 day", idempotency_key=f"r{self.chance.randrange(99)}")
        if getattr(one, "outcome", None) == "held":
            self.ids["reservation"].append((one.reservation_id, many.reservation_id))

    def end(self) -> None:
        if not self.ids["reservation"]:
            return
        pair = self.chance.choice(self.ids["reservation"])
        what = self.chance.choice(["settle", "release", "extend"])
        used = self.chance.randrange(1, 900)
        self.twins.by_id(what, pair, **({"quantity": used, "at": NOW} if what == "settle" else {}))

    def correct(self) -> None:
        if not self.keys:
            return
        place = self.chance.randrange(len(self.keys))
        subject, metric, key = self.keys[place]
        what = self.chance.choice(["void", "amend", "adjust"])
        if what == "adjust":
            self.twins.adjust(
                subject,
                "sum",
                self.chance.randrange(-50, 90),
                at=NOW,
                reason="r",
                idempotency_key=f"a{self.number}",
            )
        elif what == "amend":
            changed = {"member": "other"} if metric == "unique" else {"quantity": self.chance.randrange(90)}
            pair = self.ids["event"][place]
            self.twins.both(
                "amend_event",
                lambda m: m.amend_event(subject, metric, self.twins.own(m, pair), reason="r", **changed),
            )
        elif key:
            self.twins.void_event(subject, metric, idempotency_key=key, reason="wrong")

    def set_up(self) -> None:
        subject, metric = self.chance.choice(SUBJECTS), self.chance.choice(COUNTED)
        at_most = self.chance.randrange(100, 9000)
        choice = self.chance.randrange(7)
        if choice == 0:
            self.twins.set_limit(metric, at_most, subject=subject, since=SINCE, action="notify")
        elif choice == 1:
            self.twins.remove_limit(metric, subject=subject)
        elif choice == 2:
            self.twins.subscribe(subject, self.chance.choice(["free", "pro"]), since=SINCE)
        elif choice == 3:
            self.twins.unsubscribe(subject, "pro", at=NOW)
        elif choice == 4:
            self.twins.set_billing_cycle(
                subject, SINCE + timedelta(days=self.chance.randrange(28)), since=SINCE
            )
        elif choice == 5:
            self.twins.set_budget(at_most, "USD", subject=subject, since=SINCE)
        else:
            self.twins.set_spike_alert(metric, 5, subject=subject)

    def pay(self) -> None:
        subject, key = self.chance.choice(SUBJECTS), f"p{self.chance.randrange(50)}"
        choice = self.chance.randrange(4)
        if choice == 0:
            one, many = self.twins.top_up(subject, "sum", 500, key)
            if not isinstance(one, Refusal):
                self.ids["top_up"].append((one.top_up_id, many.top_up_id))
        elif choice == 1:
            one, many = self.twins.grant_credit(subject, 50, "USD", key, since=SINCE)
            if not isinstance(one, Refusal):
                self.ids["credit"].append((one.credit_id, many.credit_id))
        elif choice == 2:
            self.twins.set_tax(subject, 19, since=SINCE)
        else:
            what = self.chance.choice(["top_up", "credit"])
            if self.ids[what]:
                self.twins.by_id(f"void_{what}", self.chance.choice(self.ids[what]), "wrong")


def _ask_about_all(twins: Twins) -> None:
    for name in ("catalog", "plans", "settings", "prices", "plan_minimums", "spike_alerts"):
        getattr(twins, name)()
    twins.metric("sum")
    twins.metric("none")
    twins.resolve_window("month", now=NOW)
    twins.rate({"currency": "USD", "model": "unit", "unit_amount": "0.5"}, 30)
    twins.shard_slot("acct_1")
    twins.simulate({"prices": {"plan": "pro"}, "usage": [{"metric": "sum", "quantity": 1500}]})
    for metric in METRICS:
        twins.totals(metric, **JUNE)
        _pages(twins, "iter_totals", metric, page_size=3, **JUNE)
    _pages(twins, "iter_subjects", page_size=3)
    twins.subjects(5)
    for name in ("all_events", "limits", "budgets", "reservations", "corrections", "statements"):
        twins.rows(name, max_rows=10000, dropped=_clocks(name))
    for page_size in (1, 7):
        _pages(twins, "iter_all_events", page_size=page_size, unordered=True)
    # Every shard tells of its own definitions, which have no subject.
    twins.both(
        "notifications",
        lambda m: [n for n in m.notifications(max_rows=10000) if n.subject],
        unordered=True,
        dropped=frozenset({"data"}),
    )
    twins.overruns(now=NOW)
    twins.verify()
    twins.verify_statements()
    twins.rows("late_usage")
    twins.compare_plans("free", "pro", SINCE, UNTIL)
    twins.compare_plans("free", "pro", SINCE, UNTIL, subjects=list(SUBJECTS[:5]))
    twins.rows("focus_charges", SINCE, UNTIL)
    twins.both("admin_log", _changes)


def _changes(meter: Any) -> set[tuple[str, str]]:
    """What was changed, without ids; each shard has its own entry of a definition."""
    return {(entry.action, re.sub(r"\d+$", "", entry.object)) for entry in meter.admin_log(max_rows=10000)}


def _clocks(name: str) -> frozenset[str]:
    return frozenset({"at", "settled_for"} if name == "reservations" else ())


def _pages(twins: Twins, name: str, *arguments: Any, unordered: bool = False, **named: Any) -> None:
    def rows(meter: Any) -> list[Any]:
        return list(getattr(meter, name)(*arguments, **named))

    twins.both(name, rows, unordered=unordered)


def _ask_about(twins: Twins, subject: str) -> None:
    twins.summary(subject, **JUNE)
    twins.events(subject, max_rows=500)
    _pages(twins, "iter_events", subject, page_size=3)
    for metric in METRICS:
        twins.usage(subject, metric, **JUNE)
        twins.series(subject, metric, JUNE["since"], JUNE["until"], step="week")
        twins.usage_by(subject, metric, "model", **JUNE)
    for metric in COUNTED:
        twins.check_quota(subject, metric, now=NOW)
        twins.effective_limits(subject, metric, at=NOW)
        twins.top_ups(subject, metric, at=NOW)
        twins.balance(subject, metric, at=NOW)
    for name in ("subscriptions", "billing_cycle", "credits", "taxes"):
        getattr(twins, name)(subject, at=NOW)
    for name in ("budget_status", "project_usage", "project_invoice", "invoice", "invoice_json"):
        getattr(twins, name)(subject, now=NOW)
    for name in (
        "limits",
        "budgets",
        "verify",
        "verify_statements",
        "statements",
        "reservations",
        "overruns",
    ):
        twins.rows(name, subject=subject, dropped=_clocks(name))
    twins.prices(subject=subject, at=NOW)
    twins.both("watermark", lambda m: type(m.watermark(subject)))
    _ask_as_bound(twins, subject)


def _ask_as_bound(twins: Twins, subject: str) -> None:
    """The questions of a role that is bound to one subject; the owner's role is refused alike."""
    arguments: dict[str, tuple[Any, ...]] = {
        "own_series": ("sum", JUNE["since"], JUNE["until"]),
        "own_usage_by": ("sum", "model"),
        "own_statement": (1,),
        **{f"own_{name}": ("sum",) for name in ("usage", "limits", "check_quota", "balance")},
    }
    for name in (name for name in names() if name.startswith("own_")):
        getattr(twins, name)(subject, *arguments.get(name, ()))


def _correct_in_review(twins: Twins) -> None:
    subject = SUBJECTS[0]
    entries = [{"entry": "adjust", "subject": subject, "metric": "sum", "quantity": 7, "at": NOW}]
    with pytest.raises(NotSharded):
        twins.many.open_correction("why")
    for decide in ("approve", "reject"):
        twins.called.add("open_correction")
        pair = (twins.one.open_correction("why"), twins.many.meter_of(subject).open_correction("why"))
        twins.by_id("stage_correction", pair, entries)
        for name in ("preview_correction", "correction_entries"):
            twins.by_id(name, pair)
        if decide == "reject":
            twins.by_id("reject_correction", pair, "no")
        else:
            twins.by_id("approve_correction", pair)
            _revert(twins, pair)
    elsewhere = next(
        s for s in SUBJECTS if twins.many.shard_map.shard_of(s) != twins.many.shard_map.shard_of(subject)
    )
    id_ = twins.many.meter_of(subject).open_correction("other")
    with pytest.raises(MeterError) as error:
        twins.many.stage_correction(id_, [entries[0], entries[0] | {"subject": elsewhere}])
    assert (error.value.sqlstate, error.value.detail[:8]) == ("22023", "Entry 2:")
    twins.many.reject_correction(id_, "no")
    other = twins.one.open_correction("other")
    twins.one.reject_correction(other, "no")


def _revert(twins: Twins, pair: Pair) -> None:
    reverting = tuple(
        meter.revert_correction(own, "undone")
        for meter, own in zip((twins.one, twins.many), pair, strict=True)
    )
    twins.called.add("revert_correction")
    twins.by_id("correction_entries", reverting)


def _close(twins: Twins) -> None:
    twins.close_period(SUBJECTS[0], since=SINCE, until=at("2026-06-01"), now=NOW)
    twins.rows("close_due", now=NOW)
    headers = twins.rows("statements", max_rows=1000)
    pairs = list(zip(*(sorted(rows, key=lambda h: (h.subject, h.since)) for rows in headers), strict=True))
    assert pairs
    for pair in pairs:
        ids = (pair[0].statement_id, pair[1].statement_id)
        twins.by_id("statement", ids)
        twins.by_id("what_changed", ids)
        assert _is_document(twins, ids)
    one, many = pairs[0]
    subject = one.subject
    twins.adjust(subject, "sum", 33, at=one.since, reason="late")
    twins.record(subject, "sum", 11, at=one.since, idempotency_key="late")
    ids = (one.statement_id, many.statement_id)
    late, _ = twins.both("late_usage", lambda m: m.late_usage(subject))
    twins.both("late_usage", lambda m: m.late_usage(statement_id=twins.own(m, ids)))
    delta = late[0].delta if late and not isinstance(late[0], type) else 1
    twins.by_id("settle_late_usage", ids, "sum", delta, "waive")


def _is_document(twins: Twins, ids: Pair) -> bool:
    twins.called.add("statement_document")
    return all(meter.statement_document(own) for meter, own in zip((twins.one, twins.many), ids, strict=True))


def _report(twins: Twins) -> None:
    twins.define_biller(subject_is_customer=True, max_age=timedelta(days=3000), sends="usage")
    twins.report_metric("sum", "tokens", "delta", since=SINCE)
    twins.report_mappings()
    twins.billers()
    twins.report_subject(SUBJECTS[1], "cus_1")
    twins.customer_subjects("cus_1")
    twins.rows("preview_pushes", now=NOW)
    twins.plan_pushes(now=NOW)
    twins.report_status()
    states: dict[int, dict[tuple[Any, ...], Any]] = {id(twins.one): {}, id(twins.many): {}}
    later = NOW + timedelta(days=1)

    def claim(meter: Any) -> list[Any]:
        found = meter.claim_pushes("stripe", "w", max_pushes=10000, now=later)
        states[id(meter)] = {(p.subject, p.stamped_at, p.value): p for p in found}
        return list(found)

    twins.both("claim_pushes", claim, unordered=True)
    claimed = sorted(states[id(twins.one)], key=repr)
    assert claimed
    first = claimed[0]

    def of(meter: Any, key: tuple[Any, ...]) -> Any:
        return states[id(meter)][key]

    twins.both("confirm_push", lambda m: m.confirm_push("stripe", "w", of(m, first).identifier, 1, now=later))
    outcomes = ("delivered", "unknown", "rejected")

    def settle(meter: Any) -> list[Any]:
        results = [
            {"push_id": of(meter, key).push_id, "attempt": 1, "outcome": outcomes[n % 3], "error": "x"}
            for n, key in enumerate(claimed)
        ]
        return list(meter.settle_pushes("stripe", "w", results, now=later))

    twins.both("settle_pushes", settle, unordered=True)
    twins.rows("pushes", max_rows=10000)
    twins.release_pushes("stripe", "w", now=later)
    for name in ("report_status", "reconciliation"):
        getattr(twins, name)()
    twins.both("report_journal", lambda m: m.report_journal())
    # Of what was sent and not confirmed, nobody knows any more whether it counts.
    much_later = NOW + timedelta(days=5)
    twins.both("claim_pushes", lambda m: len(m.claim_pushes("stripe", "w", 10000, now=much_later)))
    unsure, _ = twins.rows("pushes", state="uncertain", max_rows=10000)
    assert len(unsure) > 2
    lost = min((p.subject, p.stamped_at, f"{p.value}") for p in unsure)

    def identifier(meter: Any) -> str:
        found = meter.pushes(state="uncertain", max_rows=10000)
        return next(p.identifier for p in found if (p.subject, p.stamped_at, f"{p.value}") == lost)

    twins.both("resolve_push", lambda m: m.resolve_push(identifier(m), True, now=much_later))
    twins.settle_hour("stripe", SUBJECTS[2], "tokens", at("2026-06-01"), 3, now=much_later)
    hours, _ = twins.rows("uncertain_hours", now=much_later)
    for hour in hours[:3]:
        twins.settle_hour(
            "stripe", hour.customer, hour.event_name, hour.hour, hour.delivered_total, now=much_later
        )
    held = [key for n, key in enumerate(claimed) if outcomes[n % 3] == "rejected"]
    twins.both(
        "retry_pushes",
        lambda m: m.retry_pushes(identifier=of(m, held[0]).identifier, now=later),
        unordered=True,
    )
    twins.both("retry_pushes", lambda m: m.retry_pushes(identifier="nothing", now=later))
    twins.both(
        "leave_pushes",
        lambda m: m.leave_pushes(identifier=of(m, held[-1]).identifier, now=later),
        unordered=True,
    )
    twins.both(
        "fail_pushes", lambda m: m.fail_pushes("stripe", "evt", [of(m, first).identifier], "code", now=later)
    )
    twins.both("resolve_push", lambda m: m.resolve_push("nothing", True, now=later))
    ranges, _ = twins.both(
        "reconcilable_ranges", lambda m: m.reconcilable_ranges(now=much_later), unordered=True
    )
    for row in ranges[:3]:
        twins.reconcile_range(
            "stripe", row.customer, row.event_name, row.range_start, row.step, 5, now=much_later
        )
    twins.rows(
        "reconciliation",
    )
    twins.called.add("adopt_journal")
    with pytest.raises(NotSharded):
        twins.many.adopt_journal()


def _notify(twins: Twins) -> None:
    now = NOW + timedelta(days=900)
    planned, _ = twins.both("plan_deliveries", lambda m: m.plan_deliveries(now=now), compares=False)
    twins.both("test_endpoint", lambda m: m.test_endpoint("hook").type)
    claimed: dict[int, list[Any]] = {}
    for meter in (twins.one, twins.many):
        claimed[id(meter)] = meter.claim_deliveries("w", 10000, now=now)
    twins.called |= {"claim_deliveries", "settle_deliveries"}
    assert planned > 0
    for meter in (twins.one, twins.many):
        results = [
            {
                "delivery_id": d.delivery_id,
                "attempt": 1,
                "message_id": d.message_id,
                "outcome": "delivered",
                "status": 200,
            }
            for d in reversed(claimed[id(meter)])
        ]
        settled = meter.settle_deliveries("w", results, now=now)
        assert [s.delivery_id for s in settled] == [r["delivery_id"] for r in results] or meter is twins.one
        assert {s.state for s in settled} == {"delivered"}
    twins.both("endpoints", lambda m: [(e.name, e.dead_deliveries) for e in m.endpoints()])
    twins.both("deliveries", lambda m: [d.type for d in m.deliveries(state="dead")])
    twins.both("retry_deliveries", lambda m: m.retry_deliveries(now=now))
    twins.both("release_deliveries", lambda m: m.release_deliveries("w", now=now))
    twins.both("remove_endpoint", lambda m: m.remove_endpoint("hook").name)


def _give_keys(twins: Twins) -> None:
    twins.called |= {"create_api_key", "revoke_api_key"}
    for subject in (None, *SUBJECTS[:4]):
        created = [m.create_api_key("read", subject=subject, name="k") for m in (twins.one, twins.many)]
        assert plain_key(created[0]) == plain_key(created[1])
        digests = [hashlib.sha256(key.key.encode()).hexdigest() for key in created]
        holders = [m.authenticate(d) for m, d in zip((twins.one, twins.many), digests, strict=True)]
        assert plain_key(holders[0]) == plain_key(holders[1])
        twins.refused["authenticate"] = Refusal("worked", "", None)
        for meter, key in zip((twins.one, twins.many), created, strict=True):
            assert meter.revoke_api_key(key.key_id).revoked_at
    twins.both("authenticate", lambda m: m.authenticate("0" * 64))
    twins.both("api_keys", lambda m: m.api_keys(), unordered=True, dropped=frozenset({"revoked_at"}))


def plain_key(key: Any) -> tuple[Any, ...]:
    return (key.name, key.level, key.subject)


def _operate(twins: Twins) -> None:
    twins.both("check_drift", lambda m: m.check_drift())
    twins.both("rebuild", lambda m: m.rebuild() >= 0)
    twins.rebuild(SUBJECTS[0])
    twins.verify()
    for name in ("judge_spikes", "judge_projections", "judge_budgets"):
        getattr(twins, name)(now=NOW)
    twins.both("maintain", lambda m: {a.action for a in m.maintain()})
    twins.both("health", lambda m: m.health().healthy)
    twins.both("operational_metrics", lambda m: {(n.name, str(n.labels)) for n in m.operational_metrics()})
    kept = ("pymeter_events_recorded", "pymeter_reservations_open", "pymeter_limit_refused_subjects")
    twins.both(
        "operational_metrics",
        lambda m: {(n.name, str(n.labels)): n.value for n in m.operational_metrics() if n.name in kept},
    )
    twins.called |= {"archive_rows", "archive_month", "archives", "stage_archive", "restore_archive"}
    twins.called |= {"shard_state", "set_shard", "grant_access", "revoke_access", "access"}
    moving = {"close_home", "reopen_home", "leave_home", "expect_subject", "admit_subject"}  # test_gate.py
    twins.called |= moving
    for refused in (
        twins.many.shard_state,
        twins.many.archives,
        lambda: twins.many.set_shard(1),
        *(partial(getattr(twins.many, name), *["x"] * (1 + (name in _TWO_SHARDS))) for name in moving),
    ):
        with pytest.raises(NotSharded):
            refused()
    role = twins.one.access()
    assert role == twins.many.access()
    for call in _ACCESS:
        twins.both("grant_access", call)


# Which functions of a move name the other shard.
_TWO_SHARDS = {"close_home", "expect_subject"}
_ACCESS: tuple[Callable[[Any], Any], ...] = (
    lambda m: m.access.grant("pg_monitor_of_nothing", "read"),
    lambda m: m.access.revoke("pg_monitor_of_nothing"),
)


def _erase_and_end(twins: Twins) -> None:
    shard_map = twins.many.shard_map
    subject = "gone"
    twins.record(subject, "count", at=NOW)
    home = shard_map.shard_of(subject)
    near, far = (
        next(f"gone_{n}" for n in range(999) if (shard_map.shard_of(f"gone_{n}") == home) is same)
        for same in (True, False)
    )
    with pytest.raises(MeterError) as error:
        twins.many.erase_subject(subject, far)
    assert (error.value.sqlstate, error.value.parameter) == ("22023", "pseudonym")
    twins.both("erase_subject", lambda m: m.erase_subject(subject, near) >= 0)
    _ask_about(twins, near)
    twins.both("remove_budget", lambda m: m.remove_budget("USD", plan="pro").removed)
    twins.both("remove_limit", lambda m: m.remove_limit("sum").removed)
    twins.remove_spike_alert("sum")
    twins.retire_price("pro", "seat", at=NOW)
