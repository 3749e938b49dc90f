"""``pymeter report``: what it shows, and its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Ran, pymeter
from tests.report.double import Double, fixtures
from tests.report.shop import LIVE, METRIC, Shop, shop

pytest.importorskip("stripe")

__all__ = ["pymeter", "shop"]

double = fixtures.stripe_double_shared
Run = Callable[..., Ran]
_ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", LIVE)
    monkeypatch.setenv("STRIPE_API_BASE", double.url)
    monkeypatch.delenv("STRIPE_API_KEY_FILE", raising=False)


def _command(shop: Shop, *args: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pymeter", "report", *args],
        cwd=_ROOT,
        env={**os.environ, "PYMETER_DSN": shop.dsn, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- once ---------------------------------------------------------------------------------------------------


def test_once_reports_all_there_is_and_says_so(shop: Shop, pymeter: Run) -> None:
    shop.use_many(customers=3, hours=2)
    shop.use("cus_1")
    ran = pymeter("report", "--once")
    assert ran.status == 0
    assert "7 delivered" in ran.out
    shop.assert_reported()
    assert pymeter("report", "--once", "--json").json["delivered"] == 0


def test_once_with_json_is_one_document(shop: Shop, pymeter: Run) -> None:
    shop.use(quantity="0.5", hours=1)
    ran = pymeter("report", "--once", "--json")
    assert ran.json["delivered"] == 1
    assert ran.json["exit_status"] == 0
    assert ran.json["states"]["delivered"]["quantity"] == "0.5"


@pytest.mark.parametrize("state", ["rejected", "uncertain"])
def test_once_is_status_1_while_something_is_rejected_or_uncertain(
    shop: Shop, pymeter: Run, state: str
) -> None:
    shop.use(hours=30)
    if state == "rejected":
        shop.double.settings(unknown_customers=["cus_1"])
    else:
        shop.double.fault("drop_before", times=None)
        now = shop.now()
        shop.pass_time(hours=-25)
        shop.reporter(patience=_none()).run_once()
        shop.set_clock(now)
        shop.double.clear_faults()
    for _ in range(2):
        ran = pymeter("report", "--once")
        assert ran.status == 1
        assert state in ran.out
    assert pymeter("report", "status").status == 1


def _none() -> Any:
    from datetime import timedelta

    return timedelta()


def test_once_is_status_2_when_it_could_not_run(
    shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.use(hours=1)
    shop.double.settings(keys=["sk_live_other"])
    ran = pymeter("report", "--once")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: the biller refuses the key: 401")
    assert shop.states() == {"planned": 1}
    monkeypatch.delenv("STRIPE_API_KEY")
    ran = pymeter("report", "--once")
    assert ran.status == 2
    assert "STRIPE_API_KEY" in ran.err
    monkeypatch.setenv("STRIPE_API_KEY", LIVE)
    monkeypatch.setenv("PYMETER_DSN", "postgresql://nobody@127.0.0.1:1/nothing")
    assert pymeter("report", "--once").status == 2
    monkeypatch.setenv("PYMETER_DSN", shop.dsn)
    assert pymeter("report", "--once", "--schema", "nowhere").status == 2
    shop.double.settings(keys=None)
    assert pymeter("report", "--once").status == 0
    shop.assert_reported()


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--once", "--watch"),
        ("--once", "--metrics-port", "0"),
        ("reconcile", "--step", "week"),
        ("resolve", "pm_1"),
        ("metric", METRIC),
        ("subject", "acct_1", "cus_1", "--remove"),
    ],
)
def test_wrong_usage_is_status_2(shop: Shop, pymeter: Run, args: tuple[str, ...]) -> None:
    assert pymeter("report", *args).status == 2


def test_the_key_may_be_in_a_file(
    shop: Shop, pymeter: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_wrong")
    shop.double.settings(keys=[LIVE])
    (tmp_path / "key").write_text(LIVE + "\n")
    shop.use(hours=1)
    assert pymeter("report", "--once", "--key-file", str(tmp_path / "key")).status == 0
    assert pymeter("report", "--once", "--key-file", str(tmp_path / "none")).status == 2


# --- signals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["--once", "--watch"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_settles_what_is_in_flight_and_ends_well(shop: Shop, mode: str, number: int) -> None:
    shop.use_many(customers=10, hours=2)
    rule = shop.double.fault("hold_after", times=3)
    with _ended(_command(shop, mode, "--connections", "3")) as process:
        shop.double.wait_until_held(3)
        process.send_signal(number)
        time.sleep(0.2)
        assert process.poll() is None
        shop.double.release(rule)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert shop.states() == {"delivered": 3, "planned": 17}
    assert "3 delivered" in out


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


# --- watch --------------------------------------------------------------------------------------------------


def test_watch_says_after_every_round_how_things_stand(shop: Shop) -> None:
    shop.use(hours=2)
    with _ended(_command(shop, "--watch", "--json", "--interval", "0.1")) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        shop.use(hours=2)
        while json.loads(process.stdout.readline())["delivered"] < 2:
            pass
        process.terminate()
        rest, err = process.communicate(timeout=20)
    assert first["states"]["delivered"]["pushes"] == 1
    assert json.loads(rest.splitlines()[-1])["final"] is True
    assert process.returncode == 0, err


def test_watch_serves_metrics(shop: Shop) -> None:
    pytest.importorskip("prometheus_client")
    shop.use(hours=2)
    shop.double.settings(unknown_customers=["cus_2"])
    shop.use("cus_2", hours=2)
    port = _free_port()
    with _ended(_command(shop, "--watch", "--interval", "0.1", "--metrics-port", str(port))) as process:
        text = _scraped(port, 'pymeter_report_pushes{biller="stripe",state="delivered"} 1.0')
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0  # stopped as it was told, although something is rejected
    for line in (
        'pymeter_report_pushes{biller="stripe",state="rejected"} 1.0',
        'pymeter_report_pushes{biller="stripe",state="unplanned"} 0.0',
        'pymeter_report_calls_total{biller="stripe",outcome="delivered"} 1.0',
        'pymeter_report_send_seconds_count{biller="stripe",outcome="rejected"} 1.0',
        'pymeter_report_oldest_unreported_seconds{biller="stripe"} 0.0',
        'pymeter_report_lag_seconds{biller="stripe"} 0.0',
        'pymeter_report_drift_ranges{biller="stripe"} 0.0',
    ):
        assert line in text
    assert "pymeter_report_rate_limit_waits_total" in text
    assert "cus_" not in text


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _scraped(port: int, until: str) -> str:
    """The metrics, as soon as they hold that line."""
    deadline = time.monotonic() + 30
    text = ""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
                text = response.read().decode()
        except OSError:
            text = ""
        if until in text:
            return text
        time.sleep(0.05)
    pytest.fail(f"no {until} in:\n{text}")


# --- looking and deciding -----------------------------------------------------------------------------------


def test_dry_run_shows_exactly_what_is_sent_and_sends_nothing(shop: Shop, pymeter: Run) -> None:
    shop.use_many(customers=3, hours=2)
    shop.use(quantity="0.001", hours=5)
    shop.double.refuse_connections()
    before = pymeter("report", "--dry-run", "--json").json
    assert shop.states() == {"unplanned": 7}
    shop.double.accept_connections()
    assert "7 calls would be made" in pymeter("report", "--dry-run").out
    assert pymeter("report", "--once").status == 0
    events = shop.double.events()
    assert sorted((row["customer"], row["event_name"], row["value"], row["timestamp"]) for row in before) == (
        sorted((e["customer"], e["event_name"], e["value_text"], e["timestamp"]) for e in events)
    )
    assert pymeter("report", "--dry-run", "--json").json == []


def test_dry_run_shows_what_is_planned_already_with_its_identifier(shop: Shop, pymeter: Run) -> None:
    shop.use(hours=1)
    shop.meter.plan_pushes()
    (row,) = pymeter("report", "--dry-run", "--json").json
    assert row["identifier"] == shop.pushes("planned")[0].identifier


def test_dry_run_needs_no_key(shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_API_KEY")
    assert pymeter("report", "--dry-run").status == 0


def test_dry_run_says_what_is_not_mapped(shop: Shop, pymeter: Run) -> None:
    shop.meter.define_biller(subject_is_customer=False)
    shop.use(hours=1)
    shop.use("cus_2", hours=1)
    shop.meter.report_subject("cus_2", "cus_2")
    assert "1 subject of tokens has no customer" in pymeter("report", "--dry-run").out
    shop.meter.report_subject("cus_1", "cus_1")
    assert "no customer" not in pymeter("report", "--dry-run").out
    assert "no metric is reported to other" in pymeter("report", "--dry-run", "--biller", "other").out


def test_an_identifier_is_never_folded(shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.use(hours=1)
    shop.meter.plan_pushes()
    (push,) = shop.pushes()
    for columns in (200, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        out = pymeter("report", "pushes").out
        assert push.identifier in out
        assert "cus_1" in out
        assert max(map(len, out.splitlines())) <= columns


def test_rules_are_words_of_sql(shop: Shop, pymeter: Run) -> None:
    out = pymeter("report", "rules").out
    assert re.search(r"subject_is_customer +true *$", out, re.MULTILINE)
    assert re.search(r"first_claimed_at +null *$", out, re.MULTILINE)
    assert re.search(r"max_age +35 days *$", out, re.MULTILINE)
    ran = pymeter("report", "rules", "--late", "never", "--grace", "2h")
    assert "  grace 02:00:00, late 'never'.\n" in ran.err, "what was given, and nothing else"


def test_dry_run_says_what_is_stopped_or_doubtful_after_a_restore(shop: Shop, pymeter: Run) -> None:
    shop.use(hours=30)
    assert pymeter("report", "--once").status == 0
    with psycopg.connect(shop.dsn) as connection:
        connection.execute("UPDATE meter.report_journals SET server = regexp_replace(server, '[0-9]+$', '1')")
    shop.use(hours=2)
    ran = pymeter("report", "--dry-run")
    assert "1 call would be made" in ran.out
    assert "pymeter report adopt" in ran.err
    shop.meter.adopt_journal()
    ran = pymeter("report", "--dry-run")
    assert "0 calls would be made; 1 uncertain: first compared with the biller's totals" in ran.out
    assert ran.err == ""
    assert pymeter("report", "--dry-run", "--json").json[0]["state"] == "uncertain"


def test_adopt_is_refused_unless_the_journal_is_stopped_or_forced(shop: Shop, pymeter: Run) -> None:
    shop.use(hours=2)
    ran = pymeter("report", "adopt")
    assert (ran.status, ran.out) == (1, "")
    assert "the journal is not stopped" in ran.err
    assert shop.meter.report_journal().adopted_at is None
    assert pymeter("report", "adopt", "--force").status == 0
    assert shop.meter.report_journal().adopted_at is not None
    ran = pymeter("report", "adopt", "--complete", "--force")
    assert (ran.status, "an earlier adoption was not complete" in ran.out) == (0, True)


def test_mapping_status_and_rules(shop: Shop, pymeter: Run) -> None:
    shop.meter.define_metric("calls", "count", "call")
    assert pymeter("report", "metric", "calls", "api_calls", "--mode", "event").status == 0
    assert pymeter("report", "metric", "calls", "api_calls", "--mode", "max").status in (1, 2)
    assert {row["event_name"] for row in pymeter("report", "mappings", "--json").json} == {
        "api_calls",
        METRIC,
    }
    assert pymeter("report", "rules", "--subject-is-mapped", "--late", "hold").status == 0
    assert pymeter("report", "rules", "--json").json["late"] == "hold"
    shop.use("acct_1", hours=1)
    states = {row["state"]: row for row in pymeter("report", "status", "--json").json}
    assert states["unmapped"]["pushes"] == 1
    assert pymeter("report", "subject", "acct_1", "cus_42").status == 0
    assert pymeter("report", "--once").status == 0
    assert {key[0] for key in shop.sent()} == {"cus_42"}
    assert pymeter("report", "subject", "acct_1", "--remove").status == 0
    assert pymeter("report", "metric", "calls", "--remove").status == 0
    assert "unmapped" in pymeter("report", "status").out


def test_what_was_rejected_is_retried(shop: Shop, pymeter: Run) -> None:
    shop.double.settings(unknown_customers=["cus_1"])
    shop.use(hours=1)
    assert pymeter("report", "--once").status == 1
    (row,) = pymeter("report", "pushes", "--state", "rejected", "--json").json
    assert "No such customer" in row["error"]
    assert row["identifier"] in pymeter("report", "pushes").out
    shop.double.settings(unknown_customers=[])
    assert pymeter("report", "retry", row["identifier"]).status == 0
    assert pymeter("report", "--once").status == 0
    shop.assert_reported()


def test_what_was_rejected_is_left(shop: Shop, pymeter: Run) -> None:
    shop.double.settings(unknown_customers=["cus_1"])
    shop.use(hours=1)
    assert pymeter("report", "--once").status == 1
    assert pymeter("report", "leave").status == 2
    assert "1 push left" in pymeter("report", "leave", "--reason", "refused").out
    assert pymeter("report", "--once").status == 0
    assert shop.states() == {"left": 1}


def test_quantities_of_several_metrics_are_not_added(shop: Shop, pymeter: Run) -> None:
    shop.add_metric("calls", "count")
    shop.use(quantity=1_000_000, hours=1)
    shop.use(quantity=None, metric="calls", hours=1)
    delivered = pymeter("report", "--once", "--json").json["states"]["delivered"]
    assert (delivered["pushes"], delivered["quantity"]) == (2, None)
    assert delivered["quantities"] == {"calls": "1", METRIC: "1000000"}
    rows = pymeter("report", "status", "--json").json
    assert {(r["metric"], r["quantity"]) for r in rows if r["state"] == "delivered"} == {
        ("calls", "1"),
        (METRIC, "1000000"),
    }
    assert all(metric in pymeter("report", "status").out for metric in ("calls", METRIC))


@pytest.mark.parametrize("delivered", [True, False])
def test_what_is_uncertain_is_resolved_by_a_person(shop: Shop, pymeter: Run, delivered: bool) -> None:
    shop.use(hours=30)
    shop.double.fault("drop_after" if delivered else "drop_before")
    now = shop.now()
    shop.pass_time(hours=-25)
    shop.reporter(patience=_none()).run_once()
    shop.set_clock(now)
    shop.double.settings(read_budget=0)
    assert pymeter("report", "--once").status == 1
    (push,) = shop.pushes("uncertain")
    word = "--delivered" if delivered else "--not-delivered"
    assert pymeter("report", "resolve", push.identifier, word).status == 0
    assert pymeter("report", "--once").status == 0
    shop.assert_reported()


def test_reconcile_shows_what_differs_and_its_status_says_so(shop: Shop, pymeter: Run) -> None:
    shop.use_many(customers=3, hours=30)
    shop.double.fault("lose", customer="cus_2")
    pymeter("report", "--once")
    ran = pymeter("report", "reconcile", "--step", "hour")
    assert ran.status == 1
    assert "cus_2" in ran.out
    assert "1 differ" in ran.out
    found = pymeter("report", "reconcile", "--step", "hour", "--json").json
    assert [row["customer"] for row in found["different"]] == ["cus_2"]
    shop.double.settings(read_budget=0)
    assert pymeter("report", "reconcile").status == 2


def test_reconcile_of_equal_totals_is_status_0(shop: Shop, pymeter: Run) -> None:
    shop.use_many(customers=3, hours=30)
    pymeter("report", "--once")
    ran = pymeter("report", "reconcile", "--step", "hour")
    assert (ran.status, "90 compared, 0 differ" in ran.out) == (0, True)


# --- a journal that was used on another server --------------------------------------------------------------


@pytest.fixture
def stopped(shop: Shop, pymeter: Run) -> None:
    """Something was reported, and then the database was copied to this server."""
    shop.use(hours=30)
    assert pymeter("report", "--once").status == 0
    with psycopg.connect(shop.dsn) as connection:
        connection.execute("UPDATE meter.report_journals SET server = regexp_replace(server, '[0-9]+$', '1')")


@pytest.mark.usefixtures("stopped")
def test_a_stopped_journal_reports_again_once_it_is_adopted(shop: Shop, pymeter: Run) -> None:
    shop.use(hours=2)
    ran = pymeter("report", "status")
    assert (ran.status, "pymeter report adopt" in ran.err) == (1, True)
    ran = pymeter("report", "--once")
    assert (ran.status, "pymeter report adopt" in ran.err) == (1, True)
    assert len(shop.sent()) == 1
    ran = pymeter("report", "adopt")
    assert ran.status == 0
    assert "stripe: reporting goes on from this server" in ran.out
    assert "compared with the biller's totals" in ran.out
    # The lost end of the journal may have sent it.
    assert pymeter("report", "--once").status == 1
    assert shop.states() == {"delivered": 1, "uncertain": 1}
    assert pymeter("report", "status").err == ""


@pytest.mark.usefixtures("stopped")
def test_a_complete_journal_sends_at_once(shop: Shop, pymeter: Run) -> None:
    shop.use(hours=2)
    ran = pymeter("report", "adopt", "--complete")
    assert (ran.status, "compared" in ran.out) == (0, False)
    assert pymeter("report", "--once").status == 0
    shop.assert_reported()


@pytest.mark.usefixtures("stopped")
def test_an_adoption_as_json(pymeter: Run) -> None:
    adopted = pymeter("report", "adopt", "--json").json
    assert (adopted["biller"], adopted["stopped"]) == ("stripe", False)
    assert adopted["server"] == adopted["this_server"]
    assert adopted["adopted_at"] < adopted["doubtful_until"]
    again = pymeter("report", "adopt", "--complete", "--force", "--json").json
    assert again["adopted_at"] > adopted["adopted_at"]
    assert again["doubtful_until"] == adopted["doubtful_until"]


@pytest.mark.usefixtures("stopped")
def test_an_adoption_that_is_refused_changes_nothing(
    shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = pymeter("report", "adopt", "--biller", "")
    assert (ran.status, ran.out) == (2, "")
    assert "22023" in ran.err
    with psycopg.connect(shop.dsn) as connection:
        connection.execute("CREATE ROLE pymeter_adopts_nothing LOGIN")
    try:
        monkeypatch.setenv("PYMETER_DSN", shop.dsn.replace("postgres@", "pymeter_adopts_nothing@"))
        ran = pymeter("report", "adopt", "--json")
    finally:
        with psycopg.connect(shop.dsn) as connection:
            connection.execute("DROP ROLE pymeter_adopts_nothing")
    assert (ran.status, ran.out) == (2, "")
    assert "42501" in ran.err
    assert shop.meter.report_journal().stopped


# --- a rehearsal --------------------------------------------------------------------------------------------


def test_a_rehearsal_has_a_journal_of_its_own_and_takes_test_keys_only(
    shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.use(hours=1)
    shadow = ("--biller", "stripe_shadow")
    assert pymeter("report", "metric", METRIC, METRIC, *shadow).status == 0
    assert pymeter("report", "subject", "cus_1", "cus_test_1", *shadow).status == 0
    ran = pymeter("report", "--once", *shadow)
    assert (ran.status, "test keys only" in ran.err) == (2, True)
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_0123456789abcdef")
    assert pymeter("report", "--once", *shadow).status == 0
    assert {key[0] for key in shop.double.totals("test", by="sum")} == {"cus_test_1"}
    assert shop.sent() == {}
    assert shop.states() == {"unplanned": 1}
    monkeypatch.setenv("STRIPE_API_KEY", LIVE)
    assert pymeter("report", "--once").status == 0
    shop.assert_reported()


def test_a_test_key_on_the_real_journal_is_warned_of(
    shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_0123456789abcdef")
    assert "bills nobody" in pymeter("report", "--once").err


def test_two_at_the_same_time_send_nothing_twice(shop: Shop) -> None:
    shop.use_many(customers=20, hours=5)
    commands = [_command(shop, "--once") for _ in range(2)]
    outs = [command.communicate(timeout=60) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], outs
    assert shop.states() == {"delivered": 100}
    assert shop.double.counters()["sent_repeatedly"] == {}
    shop.assert_reported()


def test_recording_never_waits_for_a_biller_that_hangs(shop: Shop) -> None:
    shop.use_many(customers=4, hours=2)
    shop.double.fault("hold_before", times=None)
    reporter = shop.reporter(connections=4)
    running = threading.Thread(target=reporter.run_once)
    running.start()
    shop.double.wait_until_held(4)
    began = time.monotonic()
    for number in range(20):
        shop.use(f"cus_{number % 4}", hours=1)
    assert time.monotonic() - began < 2
    reporter.stop()
    shop.double.clear_faults()
    shop.double.release()
    running.join(20)
    assert not running.is_alive()
