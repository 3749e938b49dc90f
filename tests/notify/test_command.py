"""The commands: endpoint, notify, deliveries, spike."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import Run, pymeter
from tests.notify.conftest import STEP
from tests.notify.receiver import SECRET
from tests.notify.test_sender import Site, receiver, site

__all__ = ["pymeter", "receiver", "site"]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYMETER_SMTP_URL", raising=False)


def test_from_a_definition_to_a_delivery(site: Site, pymeter: Run) -> None:
    url = f"{site.receiver.url}/ops"
    defined = pymeter("endpoint", "define", "ops", url, "-t", STEP, "--secret-name", "HOOK_SECRET")
    assert defined.out == f"✓ ops: {STEP} to {url}\n"
    site.outbox.tell("acct_1")
    sent = pymeter("notify", "--once", "--allow-private")
    assert (sent.status, sent.out.startswith("✓ 1 delivered in ")) == (0, True), sent.err
    tested = pymeter("endpoint", "test", "ops")
    assert "is sent to ops by: pymeter notify" in tested.out
    assert pymeter("notify", "--once", "--allow-private", "--json").json["delivered"] == 1
    rows = pymeter("deliveries", "ops", "--json").json
    assert [(row["type"], row["state"], row["status"]) for row in rows] == [
        *(("endpoint.test", "delivered", 204), (STEP, "delivered", 204))
    ]
    shown = pymeter("deliveries").out
    assert "acct_1" in shown
    assert "HTTP 204" in shown
    (listed,) = pymeter("endpoint", "list", "--json").json
    assert (listed["name"], listed["secret_name"], listed["open_deliveries"]) == ("ops", "HOOK_SECRET", 0)
    assert "in use" in pymeter("endpoint", "list").out
    assert pymeter("endpoint", "remove", "ops").out == "✓ ops is removed\n"
    assert pymeter("endpoint", "list").out == "no endpoints; begin with: pymeter endpoint define NAME URL\n"
    assert pymeter("deliveries").out == "no deliveries\n"


def test_a_failure_is_told_and_has_exit_status_1_and_retry_sends_it(site: Site, pymeter: Run) -> None:
    pymeter("endpoint", "define", "ops", f"{site.receiver.url}/ops", "--secret-name", "HOOK_SECRET")
    site.receiver.faults["/ops"] = ["500"]
    site.outbox.tell("acct_1")
    failed = pymeter("notify", "--once", "--allow-private")
    assert failed.status == 1
    assert "1 attempt failed\n" in failed.out
    assert "pymeter deliveries" in failed.out
    assert "failed: HTTP 500" in failed.err
    listed = pymeter("endpoint", "list").out
    assert "✗ ops fails since" in listed
    assert "HTTP 500; again " in pymeter("deliveries").out
    idle = pymeter("notify", "--once", "--allow-private")
    assert (idle.status, "✓ 0 delivered in " in idle.out) == (0, True)
    assert "; 1 still to send, next at 20" in idle.out
    assert pymeter("notify", "--once", "--allow-private", "--json").json["open"] == 1
    assert pymeter("endpoint", "retry", "ops", "--json").json == {"retried": 1}
    assert pymeter("notify", "--once", "--allow-private").status == 0


@pytest.mark.parametrize("columns", ["80", "100", "120"])
def test_the_table_of_deliveries_breaks_no_word(
    site: Site, pymeter: Run, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    pymeter("endpoint", "define", "production", site.receiver.url.replace("http:", "https:"))
    site.outbox.tell("customer_4711")
    pymeter("notify", "--once")
    monkeypatch.setenv("COLUMNS", columns)
    shown = pymeter("deliveries").out
    for word in ("production", "customer_4711", "planned", "address", "public", "again"):
        assert word in shown, shown
    assert max(map(len, shown.splitlines())) <= int(columns)


def test_without_allow_private_this_machine_is_not_sent_to(site: Site, pymeter: Run) -> None:
    pymeter("endpoint", "define", "ops", site.receiver.url.replace("http:", "https:"))
    site.outbox.tell("acct_1")
    assert pymeter("notify", "--once").status == 1
    assert site.receiver.got == []
    assert "not public" in pymeter("deliveries", "--state", "planned").out


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (("notify",), 2, "say --once or --watch"),
        (("notify", "--once", "--watch"), 2, "say --once or --watch"),
        (("notify", "--once", "--metrics-port", "0"), 2, "goes with --watch"),
        (("endpoint", "define", "x", "ftp://x"), 2, "the URL cannot be used"),
        (("endpoint", "define", "x", "https://x.y", "-t", "nothing"), 2, "unknown types"),
        (("endpoint", "test", "x"), 1, "no such endpoint"),
        (("endpoint", "remove", "x"), 1, "no such endpoint"),
        (("deliveries", "--state", "lost"), 2, "unknown state"),
        (("spike", "set", "none", "3"), 1, "unknown metric"),
        (("spike", "remove", "m"), 1, "no such spike alert"),
    ],
)
def test_what_cannot_be_is_one_line(
    site: Site, pymeter: Run, args: tuple[str, ...], status: int, message: str
) -> None:
    ran = pymeter(*args)
    assert (ran.status, message in ran.err) == (status, True), ran.err


def test_hints_name_commands(site: Site, pymeter: Run) -> None:
    assert "hint: `pymeter endpoint list` lists them." in pymeter("endpoint", "test", "nope").err
    unknown = pymeter("deliveries", "nope")
    assert (unknown.status, "no such endpoint" in unknown.err) == (1, True)
    assert "`pymeter endpoint list`" in unknown.err
    assert "no such endpoint" in pymeter("deliveries", "nope", "--json").err
    pymeter("endpoint", "define", "ops", f"{site.receiver.url}/ops", "--secret-name", "HOOK_SECRET")
    site.receiver.faults["/ops"] = ["410"]
    site.outbox.tell("acct_1")
    pymeter("notify", "--once", "--allow-private")
    disabled = pymeter("endpoint", "retry", "ops")
    assert (disabled.status, "`pymeter endpoint define`" in disabled.err) == (2, True)
    state = pymeter("status").out
    assert "1 delivery to ops is dead" in state
    assert "`pymeter deliveries --state dead` and `pymeter endpoint retry`" in " ".join(state.split())
    assert pymeter("deliveries", "ops").status == 0


def test_a_bad_mail_server_is_refused_without_its_password(
    site: Site, pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYMETER_SMTP_URL", "imap://user:PLANTED-password@mail")
    ran = pymeter("notify", "--once")
    assert ran.status == 2
    assert "the mail server is not smtp://" in ran.err
    assert "PLANTED" not in ran.err + ran.out


def test_spikes_are_set_listed_and_removed(site: Site, pymeter: Run) -> None:
    site.outbox.ledger.define("tokens", "sum", "token")
    made = pymeter("spike", "set", "tokens", "2.5", "--within", "2h", "--baseline", "7 days")
    assert made.out == "✓ tokens of each subject: 2.5 times the usual in 2 hours, from 7 days\n"
    assert pymeter("spike", "list", "--json").json[0]["factor"] == "2.5"
    assert "each" in pymeter("spike", "list").out
    assert pymeter("spike", "remove", "tokens", "--within", "2h").status == 0
    assert "no alerts" in pymeter("spike", "list").out


def test_sigterm_settles_releases_and_ends_with_0(site: Site) -> None:
    site.outbox.endpoint("ops", url=f"{site.receiver.url}/ops", secret_name="HOOK_SECRET")
    site.receiver.faults["/ops"] = ["hang"]
    site.outbox.tell("a", "b")
    environment = {**os.environ, "PYMETER_DSN": site.dsn, "HOOK_SECRET": SECRET}
    process = subprocess.Popen(
        [sys.executable, "-m", "pymeter", "notify", "--watch", "--allow-private", "--timeout", "2", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert site.receiver.hanging.acquire(timeout=20)
    deadline = time.monotonic() + 10
    while "delivered" not in site.outbox.states() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    first, *_, last = map(json.loads, out.splitlines())
    assert [one["endpoint"] for one in first["endpoints"]] == ["ops"]
    assert (last["final"], last["delivered"], last["exit_status"]) == (True, 1, 0)
    assert sorted(site.outbox.states()) == ["delivered", "planned"]
    assert SECRET not in out + err
