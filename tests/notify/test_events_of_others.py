"""The events of ContractSpec and the alerts of StripeMeter, one by one: what tells the same here.

The tables of the page have the same rows. ContractSpec: lssm-tech/contractspec,
packages/libs/metering/src/events.ts. StripeMeter: apps/workers/src/workers/alert-monitor.ts.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Ledger
from tests.notify.conftest import Outbox

PAGE = Path(__file__).resolve().parents[2] / "sql" / "notify" / "README.md"


@pytest.fixture
def hook(ledger: Ledger) -> Outbox:
    """An endpoint that asks for everything."""
    made = Outbox(ledger)
    made.endpoint("hook", ["*", "usage.recorded", "usage.aggregated"])
    return made


def sent(hook: Outbox, type: str) -> list[dict[str, Any]]:
    """The bodies of a type, as the receiver gets them."""
    while hook.plan():
        pass
    return [json.loads(one.body) for one in hook.all() if one.type == type]


def has(body: dict[str, Any], **facts: Any) -> None:
    assert {name: body["data"].get(name) for name in facts} == facts


# ------------------------------------------------------------------------------------------- ContractSpec


def test_contractspec_metric_defined(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token", name="Tokens")
    (body,) = sent(hook, "metric.defined")
    assert body["metric"] == "tokens"
    has(body, key="tokens", name="Tokens", unit="token", aggregate="sum")
    assert datetime.fromisoformat(body["data"]["defined_at"])
    (entry,) = hook.ledger.call("admin_log", object="tokens")  # createdBy
    assert (entry.action, bool(entry.role)) == ("define_metric", True)


def test_contractspec_metric_updated(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token")
    hook.ledger.define("tokens", "sum", "kilotoken")
    (body,) = sent(hook, "metric.updated")
    has(body, key="tokens", unit="kilotoken")
    assert body["data"]["before"]["unit"] == "token"


def test_contractspec_usage_recorded(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token")
    event = hook.ledger.record("acct_1", "tokens", 5, metadata={"source": "api"})
    (body,) = sent(hook, "usage.recorded")
    assert (body["subject"], body["metric"]) == ("acct_1", "tokens")
    has(body, event_id=event.event_id, quantity=5, metadata={"source": "api"})
    assert datetime.fromisoformat(body["data"]["at"])


def test_contractspec_usage_batch_recorded(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token")
    event = {"subject": "acct_1", "metric": "tokens", "quantity": 5, "idempotency_key": "k"}
    hook.ledger.batch([event, event, {"subject": "acct_2", "metric": "tokens", "quantity": 6}])
    bodies = sent(hook, "usage.recorded")
    assert [(body["subject"], body["data"]["quantity"]) for body in bodies] == [("acct_1", 5), ("acct_2", 6)]


def test_contractspec_usage_aggregated(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token", period="day")
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for quantity in (5, 6):
        hook.ledger.record("acct_1", "tokens", quantity, at=day)
    hook.now = day + timedelta(days=1, minutes=2)
    (body,) = sent(hook, "usage.aggregated")
    assert (body["subject"], body["metric"]) == ("acct_1", "tokens")
    has(body, period="day", quantity=11, event_count=2)
    assert datetime.fromisoformat(body["data"]["since"]) == day
    assert datetime.fromisoformat(body["data"]["until"]) == day + timedelta(days=1)
    assert datetime.fromisoformat(body["timestamp"])  # aggregatedAt


def test_contractspec_threshold_created(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token")
    hook.ledger.call("set_limit", metric="tokens", quota=100, subject="acct_1", action="alert")
    entry = hook.ledger.call("admin_log", object="tokens")[0]
    assert entry.action == "set_limit"
    assert {name: entry.after[name] for name in ("metric", "subject", "quota", "action")} == {
        "metric": "tokens",
        "subject": "acct_1",
        "quota": 100,
        "action": "alert",
    }
    assert entry.after["limit_id"]
    assert entry.after["created_at"]


@pytest.mark.parametrize(("type", "used"), [("threshold.approaching", 80), ("threshold.exceeded", 100)])
def test_contractspec_threshold(hook: Outbox, type: str, used: int) -> None:
    hook.ledger.define("tokens", "sum", "token")
    limit = hook.ledger.call("set_limit", metric="tokens", quota=100, action="alert")[0]
    hook.ledger.record("acct_1", "tokens", used)
    body = sent(hook, type)[0]
    assert (body["subject"], body["metric"]) == ("acct_1", "tokens")
    has(body, limit_id=limit.limit_id, mark=used, numerator=used, denominator=100, action="alert")
    assert datetime.fromisoformat(body["timestamp"])  # triggeredAt


# -------------------------------------------------------------------------------------------- StripeMeter


@pytest.mark.parametrize("kind", ["threshold", "budget"])
def test_stripemeter_alerts_of_a_threshold_and_of_a_budget(hook: Outbox, kind: str) -> None:
    hook.ledger.define("cost", "sum", "cent")
    period = "cycle" if kind == "budget" else None
    hook.ledger.call("set_limit", metric="cost", quota=100, action="alert", marks=[100], period=period)
    for _ in range(3):
        assert hook.ledger.record("acct_1", "cost", 60).outcome == "recorded"
    (body,) = sent(hook, "threshold.exceeded")  # once a period, however often it is looked at
    has(body, numerator=120, denominator=100, mark=100)
    assert (body["subject"], body["metric"]) == ("acct_1", "cost")


def test_stripemeter_alert_of_a_spike(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token")
    hook.ledger.call("set_spike_alert", metric="tokens", factor=2, within="24 hours", baseline="14 days")
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days in range(1, 10):
        hook.ledger.record("acct_1", "tokens", 10, at=day - timedelta(days=days))
    hook.ledger.record("acct_1", "tokens", 25, at=day)
    hook.ledger.call("judge_spikes", now=day + timedelta(hours=1))
    (body,) = sent(hook, "spike.detected")
    has(body, quantity=25, expected=10, factor=2, ratio=2.5)


def test_stripemeter_hard_cap(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token")
    hook.ledger.call("set_limit", metric="tokens", quota=100)
    for _ in range(3):
        hook.ledger.record("acct_1", "tokens", 60)
    (body,) = sent(hook, "limit.refused")
    has(body, numerator=60, denominator=100, refused=60, action="block")


def test_stripemeter_soft_cap(hook: Outbox) -> None:
    hook.ledger.define("tokens", "sum", "token")
    hook.ledger.call("set_limit", metric="tokens", quota=100, action="alert")
    hook.ledger.record("acct_1", "tokens", 60)
    assert hook.ledger.record("acct_1", "tokens", 60).outcome == "recorded"
    assert sent(hook, "limit.refused") == []
    assert len(sent(hook, "threshold.exceeded")) == 1


def test_stripemeter_actions_email_webhook_and_slack(hook: Outbox) -> None:
    hook.endpoint("chat", ["*"], url=None, format="slack", secret_name="SLACK_URL")
    hook.endpoint("mail", ["*"], url="mailto:ops@example.com", format="email")
    hook.ledger.define("tokens", "sum", "token")
    hook.plan()
    assert {one.endpoint: sorted(json.loads(one.body)) for one in hook.all()} == {
        "hook": ["data", "metric", "subject", "timestamp", "type"],
        "chat": ["mrkdwn", "text"],
        "mail": ["subject", "text"],
    }


def test_the_page_names_each_of_them_and_its_test() -> None:
    page = PAGE.read_text(encoding="utf-8")
    own = Path(__file__).read_text(encoding="utf-8")
    tests = set(re.findall(r"^def (test_(?:contractspec|stripemeter)\w+)", own, re.MULTILINE))
    named = set(re.findall(r"`(test_(?:contractspec|stripemeter)\w+)`", page))
    assert named == tests
    for event in (
        *("metric.defined", "metric.updated", "usage.recorded", "usage.batch_recorded", "usage.aggregated"),
        *("threshold.created", "threshold.exceeded", "threshold.approaching", "model.selected"),
        *("threshold", "budget", "spike", "hard_cap", "soft_cap"),
    ):
        assert f"| `{event}` |" in page, event
