"""What is told besides marks: usage as it is recorded, periods that have ended, spikes; and what it costs."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at_length, refused
from tests.notify.conftest import STEP, Outbox

HOUR = timedelta(hours=1)
RECORDED = "usage.recorded"
AGGREGATED = "usage.aggregated"


def told(ledger: Ledger, type: str) -> list[Any]:
    return ledger.call("notifications", type=type, max_rows=10_000)


def queued(ledger: Ledger) -> int:
    return int(ledger.value("SELECT count(*) FROM meter.unreported"))


# ------------------------------------------------------------------------------------------ usage.recorded


def test_recorded_usage_is_told_only_while_an_endpoint_asks_for_it(outbox: Outbox) -> None:
    ledger = outbox.ledger
    ledger.define("tokens", "sum", "token")
    outbox.endpoint("all", ["*"])
    ledger.record("a", "tokens", 1)
    assert (queued(ledger), told(ledger, RECORDED)) == (0, [])
    outbox.endpoint("events", [RECORDED])
    event = ledger.record("a", "tokens", "2.5", idempotency_key="k", metadata={"model": "m"})
    ledger.record("a", "tokens", "2.5", idempotency_key="k")  # a repetition
    ledger.call("define_metric", key="seats", aggregate="unique", unit="seat")
    ledger.record("b", "seats", member="ann")
    ledger.batch([{"subject": "a", "metric": "tokens", "quantity": 4}])
    outbox.plan()
    rows = told(ledger, RECORDED)
    found = [(row.subject, row.metric, row.data.get("quantity"), row.data.get("member")) for row in rows]
    assert found == [
        ("a", "tokens", Decimal("2.5"), None),
        ("b", "seats", None, "ann"),
        ("a", "tokens", 4, None),
    ]
    first = rows[0].data
    assert (first["event_id"], first["unit"], first["idempotency_key"]) == (event.event_id, "token", "k")
    assert {one.type for one in outbox.all(endpoint="events")} == {RECORDED}
    assert RECORDED not in {one.type for one in outbox.all(endpoint="all")}
    assert queued(ledger) == 0
    ledger.call("remove_endpoint", name="events")
    ledger.record("a", "tokens", 1)
    assert queued(ledger) == 0
    assert ledger.rows("SELECT key FROM meter.metrics WHERE billers IS NOT NULL") == []


def test_a_metric_that_is_also_reported_keeps_its_biller(outbox: Outbox) -> None:
    ledger = outbox.ledger
    ledger.define("tokens", "sum", "token")
    ledger.call("report_metric", metric="tokens", event_name="api_tokens")
    outbox.endpoint("events", [RECORDED])
    ledger.record("a", "tokens", 1)
    assert queued(ledger) == 2
    outbox.plan()
    assert len(told(ledger, RECORDED)) == 1
    assert queued(ledger) == 1
    ledger.call("remove_endpoint", name="events")
    assert ledger.value("SELECT billers FROM meter.metrics WHERE key = 'tokens'") == ["stripe"]


def test_usage_that_was_queued_for_an_endpoint_that_went_does_not_stay_in_the_queue(
    outbox: Outbox,
) -> None:
    outbox.endpoint("events", [RECORDED])
    outbox.ledger.record("a", "m")
    outbox.ledger.call("remove_endpoint", name="events")
    outbox.ledger.upkeep()
    assert queued(outbox.ledger) == 0


def test_a_recording_that_crosses_no_mark_writes_nothing_for_anybody(outbox: Outbox) -> None:
    """What the outbox costs it: nothing. The same statements run with and without an endpoint."""
    ledger = outbox.ledger
    ledger.define("tokens", "sum", "token")
    ledger.call("set_limit", metric="tokens", quota=1_000_000)
    ledger.record("a", "tokens", 1)

    def written() -> dict[str, int]:
        ledger.execute("SELECT pg_stat_force_next_flush()")
        return {
            row.relname: row.changes
            for row in ledger.rows(
                "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del AS changes FROM pg_stat_user_tables"
                " WHERE schemaname = 'meter' AND n_tup_ins + n_tup_upd + n_tup_del > 0"
            )
        }

    def cost() -> dict[str, int]:
        before = written()
        for _ in range(20):
            ledger.record("a", "tokens", 1)
        return {name: count - before.get(name, 0) for name, count in written().items()}

    without = cost()
    outbox.endpoint("ops", ["*"])
    outbox.ledger.call("set_spike_alert", metric="tokens", factor=3)
    with_endpoint = cost()
    for name in ("endpoints", "spike_alerts", "admin_log"):
        with_endpoint.pop(name, None)
    used = {name: count for name, count in without.items() if count}
    assert {name: count for name, count in with_endpoint.items() if count} == used
    assert not {"notifications", "deliveries", "unreported"} & used.keys()


def test_recorded_usage_is_told_in_order_wherever_it_lies_in_the_queue(outbox: Outbox) -> None:
    """Vacuum frees the first pages of the queue, and what is recorded next is written there."""
    ledger = outbox.ledger
    ledger.define("tokens", "sum", "token")
    outbox.endpoint("events", [RECORDED])

    def record(first: int, last: int) -> None:
        ledger.batch(
            [{"subject": "a", "metric": "tokens", "quantity": number} for number in range(first, last)]
        )

    record(0, 600)
    outbox.plan(max_notifications=300)
    ledger.execute("VACUUM meter.unreported")
    record(600, 900)
    while outbox.plan(max_notifications=300):
        pass
    assert [int(row.data["quantity"]) for row in told(ledger, RECORDED)] == list(range(900))


def test_usage_that_is_settled_limited_or_recorded_in_a_batch_is_told_once(outbox: Outbox) -> None:
    ledger = outbox.ledger
    ledger.define("tokens", "sum", "token")
    ledger.call("define_metric", key="busy", aggregate="sum", unit="token", striped=True)
    outbox.endpoint("events", [RECORDED])
    ledger.call("set_limit", metric="tokens", quota=10)
    reservation = ledger.call("reserve", subject="a", metric="tokens", quantity=4)[0]
    for _ in range(2):
        ledger.call("settle", reservation_id=reservation.reservation_id, quantity=3)
    ledger.record("a", "tokens", 2)
    assert ledger.record("a", "tokens", 99).outcome == "refused"
    ledger.batch(
        [{"subject": "a", "metric": "tokens", "quantity": quantity} for quantity in (4, 99, 1)],
    )
    for _ in range(3):
        ledger.record("b", "busy", 5)
    ledger.connection.execute("BEGIN")
    ledger.record("a", "tokens", "0.5")
    ledger.connection.execute("ROLLBACK")
    outbox.plan()
    found = [(row.subject, row.metric, row.data["quantity"]) for row in told(ledger, RECORDED)]
    assert found == [
        *(("a", "tokens", 3), ("a", "tokens", 2), ("a", "tokens", 4), ("a", "tokens", 1)),
        *[("b", "busy", 5)] * 3,
    ]


# ---------------------------------------------------------------------------------------- usage.aggregated


def test_an_ended_period_is_told_once_with_the_usage_of_each_subject(outbox: Outbox) -> None:
    ledger = outbox.ledger
    ledger.define("daily", "sum", "token", period="day")
    ledger.define("forever", "sum", "token", period="never")
    outbox.endpoint("periods", [AGGREGATED])
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for subject, quantity in (("a", 3), ("a", 4), ("b", 5)):
        ledger.record(subject, "daily", quantity, at=day)
        ledger.record(subject, "forever", quantity, at=day)
    outbox.now = day + 24 * HOUR
    outbox.plan()
    assert told(ledger, AGGREGATED) == []  # those that recorded at the last moment may still commit
    outbox.now += timedelta(minutes=1)
    while outbox.plan():
        pass
    rows = [row for row in told(ledger, AGGREGATED) if row.metric == "daily"]
    assert [(row.subject, row.data["quantity"], row.data["event_count"]) for row in rows] == [
        *(("a", 7, 2), ("b", 5, 1))
    ]
    assert datetime.fromisoformat(rows[0].data["since"]) == day
    assert datetime.fromisoformat(rows[0].data["until"]) == day + 24 * HOUR
    assert (rows[0].data["period"], rows[0].data["unit"], rows[0].data["aggregate"]) == (
        "day",
        "token",
        "sum",
    )
    outbox.now += 48 * HOUR
    while outbox.plan():
        pass
    assert len([row for row in told(ledger, AGGREGATED) if row.metric == "daily"]) == 2


def test_periods_are_told_page_by_page_and_none_that_ended_before_the_endpoint(outbox: Outbox) -> None:
    ledger = outbox.ledger
    ledger.define("hourly", "count", period="hour", rollup="hour")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    ledger.record("a", "hourly", at=hour - HOUR)
    outbox.endpoint("periods", [AGGREGATED])
    subjects = [f"s{n}" for n in range(7)]
    for subject in subjects:
        ledger.record(subject, "hourly", at=hour)
    outbox.now = hour + HOUR + timedelta(minutes=2)
    rounds = 0
    while outbox.plan(max_notifications=2):
        rounds += 1
    assert rounds >= 4
    rows = [row for row in told(ledger, AGGREGATED) if row.metric == "hourly"]
    assert [row.subject for row in rows] == subjects


def aggregated(outbox: Outbox) -> list[tuple[str, datetime]]:
    while outbox.plan():
        pass
    rows = told(outbox.ledger, AGGREGATED)
    return [(row.subject, datetime.fromisoformat(row.data["since"])) for row in rows if row.metric == "daily"]


@pytest.fixture
def days(outbox: Outbox) -> list[datetime]:
    """Five days of usage of the metric daily, the last of which is today."""
    outbox.ledger.define("daily", "sum", "token", period="day")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = [today - 24 * HOUR * back for back in (4, 3, 2, 1, 0)]
    for day in found:
        outbox.ledger.record("a", "daily", 1, at=day)
    return found


def test_an_endpoint_that_was_disabled_is_told_of_no_period_again(
    outbox: Outbox, days: list[datetime]
) -> None:
    outbox.endpoint("periods", [AGGREGATED])
    outbox.now = days[-1] + 25 * HOUR
    assert aggregated(outbox) == [("a", days[-1])]
    outbox.settle("gone", *outbox.claim())
    assert aggregated(outbox) == [("a", days[-1])]
    outbox.ledger.record("a", "daily", 1, at=days[-1] + 24 * HOUR)
    outbox.endpoint("periods", [AGGREGATED])
    assert aggregated(outbox) == [("a", days[-1])]
    outbox.now += 24 * HOUR
    assert aggregated(outbox) == [("a", days[-1]), ("a", days[-1] + 24 * HOUR)]


def test_an_old_endpoint_that_asks_for_periods_is_told_of_those_that_end_from_then_on(
    outbox: Outbox, days: list[datetime]
) -> None:
    outbox.endpoint("ops", ["metric.defined"])
    outbox.ledger.execute("UPDATE meter.endpoints SET since = since - interval '10 days'")
    outbox.ledger.execute("UPDATE meter.metrics SET defined_at = defined_at - interval '10 days'")
    outbox.endpoint("ops", ["metric.defined", AGGREGATED])
    outbox.now = days[-1] + 25 * HOUR
    assert aggregated(outbox) == [("a", days[-1])]


QUANTITIES = {"sum": 8, "max": 5, "min": 3, "last": 3, "avg": 4, "unique": 2}
LENGTHS = ("hour", "day", "week", "month", "year")


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("aggregate", "period"),
    at_length([*zip(QUANTITIES, LENGTHS * 2, strict=False)], [*product(QUANTITIES, LENGTHS)]),
)
def test_a_period_is_told_in_the_way_of_its_metric(outbox: Outbox, aggregate: str, period: str) -> None:
    ledger = outbox.ledger
    ledger.call("define_metric", key="x", aggregate=aggregate, unit="u", period=period, rollup="hour")
    outbox.endpoint("periods", [AGGREGATED])
    for number in (5, 3):
        ledger.record(
            "a", "x", **({"member": str(number)} if aggregate == "unique" else {"quantity": number})
        )
    outbox.now += timedelta(days=366)
    while outbox.plan():
        pass
    rows = [row for row in told(ledger, AGGREGATED) if row.metric == "x"]
    assert [(row.subject, row.data["quantity"], row.data["event_count"]) for row in rows] == [
        ("a", QUANTITIES[aggregate], 2)
    ]


def test_a_clock_that_was_a_year_ahead_does_not_silence_the_periods_until_then(
    outbox: Outbox, days: list[datetime]
) -> None:
    outbox.endpoint("periods", [AGGREGATED])
    outbox.now += timedelta(days=366)
    assert aggregated(outbox) == [("a", days[-1])]
    outbox.now = datetime.now(UTC)
    assert aggregated(outbox) == [("a", days[-1])]
    outbox.ledger.record("a", "daily", 1)
    outbox.now = days[-1] + 25 * HOUR
    assert aggregated(outbox) == [("a", days[-1])] * 2  # what the day has come to in the end


# ------------------------------------------------------------------------------------------------- top-ups


def test_a_top_up_that_is_used_up_is_told_by_the_next_planning_and_one_that_is_only_held_is_not(
    outbox: Outbox,
) -> None:
    ledger = outbox.ledger
    ledger.define("tokens", "sum", "token")
    ledger.call("set_limit", metric="tokens", quota=10)
    for key in ("first", "second"):
        ledger.call("top_up", subject="a", metric="tokens", quantity=5, idempotency_key=key)
    outbox.endpoint("ops", ["top_up.depleted"])

    def look() -> list[str]:
        ledger.execute("UPDATE meter.maintenance SET done_at = done_at - interval '2 minutes'")
        outbox.plan()
        return [row.data["idempotency_key"] for row in told(ledger, "top_up.depleted")]

    ledger.record("a", "tokens", 14)
    held = ledger.call("reserve", subject="a", metric="tokens", quantity=6)[0]
    assert look() == []  # the first has 1 left, the second all, but for the hold
    ledger.call("release", reservation_id=held.reservation_id)
    ledger.record("a", "tokens", 2)
    held = ledger.call("reserve", subject="a", metric="tokens", quantity=4)[0]
    assert look() == ["first"]
    ledger.call("settle", reservation_id=held.reservation_id, quantity=4)
    outbox.plan()
    assert len(told(ledger, "top_up.depleted")) == 1  # not within a minute
    assert look() == ["first", "second"]
    assert look() == ["first", "second"]
    assert len(outbox.all(endpoint="ops")) >= 1


# -------------------------------------------------------------------------------------------------- spikes


def spikes(ledger: Ledger, now: datetime) -> int:
    return int(ledger.call("judge_spikes", now=now)[0][0])


def history(ledger: Ledger, subject: str, hour: datetime, each: int = 10, hours: int = 48) -> None:
    ledger.batch(
        [
            {"subject": subject, "metric": "tokens", "quantity": each, "at": hour - n * HOUR}
            for n in range(1, hours + 1)
        ]
    )


@pytest.fixture
def hour(ledger: Ledger) -> datetime:
    ledger.define("tokens", "sum", "token")
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def test_a_spike_is_told_once_for_each_alert_subject_and_window(ledger: Ledger, hour: datetime) -> None:
    for subject in ("a", "b"):
        history(ledger, subject, hour)
    ledger.call("set_spike_alert", metric="tokens", factor=3, baseline="2 days")
    now = hour + timedelta(minutes=30)
    ledger.record("a", "tokens", 29, at=hour)
    assert spikes(ledger, now) == 0
    ledger.record("a", "tokens", 1, at=hour)
    assert spikes(ledger, now) == 1
    assert spikes(ledger, now) == 0
    (row,) = told(ledger, "spike.detected")
    assert (row.subject, row.metric) == ("a", "tokens")
    data = row.data
    assert (data["quantity"], data["expected"], data["factor"], data["ratio"]) == (30, 10, 3, 3)
    assert datetime.fromisoformat(row.data["since"]) == hour
    assert spikes(ledger, now + HOUR) == 0  # judged again as the window before
    ledger.record("b", "tokens", 100, at=hour)
    assert spikes(ledger, now + HOUR) == 1  # it came after the last look at its window


def test_an_alert_of_one_subject_judges_no_other_and_a_repetition_changes_it(
    ledger: Ledger, hour: datetime
) -> None:
    for subject in ("a", "b"):
        history(ledger, subject, hour)
        ledger.record(subject, "tokens", 100, at=hour)
    ledger.call("set_spike_alert", metric="tokens", factor=20, subject="a")
    assert spikes(ledger, hour + HOUR / 2) == 0
    ledger.call("set_spike_alert", metric="tokens", factor=2, subject="a")
    assert spikes(ledger, hour + HOUR / 2) == 1
    (alert,) = ledger.call("spike_alerts")
    assert (alert.factor, alert.within, alert.subject) == (2, HOUR, "a")
    ledger.call("remove_spike_alert", metric="tokens", subject="a")
    assert ledger.call("spike_alerts") == []
    with refused("UM007", "within"):
        ledger.call("remove_spike_alert", metric="tokens", subject="a")


def test_a_subject_without_history_is_no_spike_and_a_young_one_is_compared_with_its_own(
    ledger: Ledger, hour: datetime
) -> None:
    ledger.call("set_spike_alert", metric="tokens", factor=3)
    ledger.record("new", "tokens", 1000, at=hour)
    history(ledger, "young", hour, hours=6)
    ledger.record("young", "tokens", 29, at=hour)
    assert spikes(ledger, hour + HOUR / 2) == 0
    ledger.record("young", "tokens", 1, at=hour)
    assert spikes(ledger, hour + HOUR / 2) == 1
    assert [row.subject for row in told(ledger, "spike.detected")] == ["young"]


@pytest.mark.parametrize(
    ("named", "sqlstate", "parameter"),
    [
        ({"metric": "none"}, "UM001", "metric"),
        ({"factor": None}, "22004", "factor"),
        ({"factor": 1}, "22023", "factor"),
        ({"factor": "NaN"}, "22023", "factor"),
        ({"within": "0"}, "22023", "within"),
        ({"within": "1 month"}, "22023", "within"),
        ({"within": None}, "22004", "within"),
        ({"within": "90 minutes"}, "UM002", "within"),
        ({"baseline": "2 hours"}, "22023", "baseline"),
        ({"baseline": "2 years"}, "22023", "baseline"),
        ({"subject": " "}, "22023", "subject"),
        ({"metric": "level"}, "UM002", "metric"),
    ],
)
def test_an_alert_that_cannot_be_is_refused(
    ledger: Ledger, named: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    ledger.define("tokens", "sum")
    ledger.define("level", "last")
    with refused(sqlstate, parameter):
        ledger.call("set_spike_alert", **{"metric": "tokens", "factor": 3, **named})


# ------------------------------------------------------------------------------------------------- upkeep


def test_health_says_that_nothing_was_sent_for_an_hour(outbox: Outbox) -> None:
    ledger = outbox.ledger
    ledger.upkeep()

    def problems(after: timedelta) -> list[str]:
        at = datetime.now(UTC) + after
        return [p for p in ledger.call("health", now=at)[0].problems if "notifications" in p]

    outbox.tell("a")
    assert problems(2 * HOUR) == []  # nobody asks
    outbox.endpoint()
    outbox.tell("a")
    assert problems(HOUR / 2) == []
    assert problems(2 * HOUR) != []
    outbox.now = datetime.now(UTC)
    outbox.plan()
    assert problems(2 * HOUR) != []
    outbox.now += timedelta(seconds=1)
    outbox.send_all()
    assert problems(2 * HOUR) == []


def test_deliveries_are_deleted_with_their_notifications_and_what_is_to_be_sent_stays(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "b", "b")
    outbox.plan()
    outbox.settle("delivered", *(one for one in outbox.claim() if one.subject == "a"))
    ledger = outbox.ledger
    ledger.execute("UPDATE meter.notifications SET created_at = created_at - interval '91 days'")
    ledger.upkeep()
    assert [(one.subject, one.state) for one in outbox.all()] == [("b", "sending"), ("b", "waiting")]
    assert len(told(ledger, STEP)) == 2
    outbox.check()
    outbox.now += HOUR
    outbox.send_all()
    ledger.upkeep()
    assert (outbox.all(), told(ledger, STEP)) == ([], [])


# ------------------------------------------------------------------------------------------------- bodies


def test_the_body_of_each_format_says_what_happened(outbox: Outbox) -> None:
    outbox.endpoint("hook", ["*"])
    outbox.endpoint("chat", ["*"], url=None, format="slack", secret_name="SLACK_URL")
    outbox.endpoint("mail", ["*"], url="mailto:ops@example.com", format="email")
    outbox.tell("<a&b>")
    outbox.ledger.define("seats", "unique", "seat")
    outbox.plan()
    bodies = {(one.endpoint, one.type): json.loads(one.body) for one in outbox.all()}
    hook = bodies["hook", STEP]
    assert list(hook) == ["type", "timestamp", "subject", "metric", "data"]
    assert (hook["type"], hook["subject"], hook["metric"]) == (STEP, "<a&b>", "m")
    assert (hook["data"]["numerator"], hook["data"]["denominator"]) == (1, 1)
    assert datetime.fromisoformat(hook["timestamp"]).tzinfo is not None
    chat = bodies["chat", STEP]
    assert list(chat) == ["text", "mrkdwn"]
    assert chat["mrkdwn"] is False
    assert chat["text"].startswith("threshold.exceeded: &lt;a&amp;b&gt; has used 1 of 1 unit of m, mark")
    mail = bodies["mail", STEP]
    assert mail["subject"] == "threshold.exceeded m <a&b>"
    assert mail["text"].startswith("threshold.exceeded: <a&b> has used 1 of 1")
    assert bodies["chat", "metric.defined"]["text"].startswith("metric.defined: seats")
    assert len({one.message_id for one in outbox.all()}) == 2


def test_a_budget_is_told_in_words(outbox: Outbox) -> None:
    ledger = outbox.ledger
    outbox.endpoint("mail", ["budget.exceeded"], url="mailto:ops@example.com", format="email")
    ledger.define("calls", "count")
    ledger.call("define_plan", plan="pro")
    price = {"model": "unit", "unit_amount": "2.5", "currency": "EUR"}
    ledger.call("define_price", plan="pro", item="calls", price=Jsonb(price), metric="calls")
    ledger.call("subscribe", subject="acct_1", plan="pro")
    ledger.call("set_budget", subject="acct_1", amount=2, currency="EUR")
    ledger.record("acct_1", "calls")
    ledger.call("judge_budgets")
    outbox.plan()
    (sent,) = outbox.all()
    assert json.loads(sent.body)["text"] == (
        "budget.exceeded: acct_1 has spent 2.5 of 2 EUR, mark 100 % (cycle)."
    )


def test_a_changed_definition_is_told_with_what_it_was(outbox: Outbox) -> None:
    ledger = outbox.ledger
    outbox.endpoint("hook", ["metric.updated"])
    ledger.define("m", "count", name="Calls")
    ledger.define("m", "count", name="Calls")
    (row,) = told(ledger, "metric.updated")
    assert (row.metric, row.data["name"], row.data["before"]["name"]) == ("m", "Calls", None)


def test_what_people_read_is_short_and_what_programs_read_is_whole(outbox: Outbox) -> None:
    ledger = outbox.ledger
    outbox.endpoint("hook", [RECORDED])
    outbox.endpoint("chat", [RECORDED], url="https://chat.example.com/", format="slack")
    outbox.endpoint("mail", [RECORDED], url="mailto:ops@example.com", format="email")
    metadata = {"note": "<&>" * 20_000}
    ledger.record("a", "m", metadata=metadata)
    outbox.plan()
    bodies = {one.endpoint: json.loads(one.body) for one in outbox.all()}
    assert bodies["hook"]["data"]["metadata"] == metadata
    assert len(bodies["mail"]["text"]) == 3000
    assert bodies["mail"]["text"].endswith("...")
    assert html.unescape(bodies["chat"]["text"]) == bodies["mail"]["text"]
