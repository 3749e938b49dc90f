"""The sender against a receiver that fails in every way."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg_pool import ConnectionPool
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pymeter.notify import Notifier, Summary
from pymeter.notify.http import retry_after
from tests.helpers import Task
from tests.notify.conftest import Outbox
from tests.notify.receiver import SECRET, Receiver, closed_port, receiving, silent_port

OTHER_SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"


class Site:
    """An outbox, a receiver, and senders on the outbox's clock."""

    def __init__(self, outbox: Outbox, dsn: str, receiver: Receiver) -> None:
        self.outbox = outbox
        self.dsn = dsn
        self.receiver = receiver

    def endpoint(self, name: str, url: str | None = None, **named: Any) -> None:
        named.setdefault("secret_name", "HOOK_SECRET")
        self.outbox.endpoint(name, url=url or f"{self.receiver.url}/{name}", **named)

    def run(self, **options: Any) -> Summary:
        with self.pool() as pool:
            return self.notifier(pool, **options).run_once()

    def pool(self) -> ConnectionPool:
        return ConnectionPool(self.dsn, min_size=1, max_size=3, kwargs={"autocommit": True}, open=True)

    def notifier(self, pool: ConnectionPool, **options: Any) -> Notifier:
        options = {"allow_private": True, "timeout": 5.0, "clock": lambda: self.outbox.now, **options}
        return Notifier(pool, **options)

    def run_to_the_end(self, **options: Any) -> None:
        """Run again after each delay, until nothing is left to send."""
        for _ in range(40):
            self.run(**options)
            if not {"waiting", "planned", "sending"} & set(self.outbox.states()):
                return
            self.outbox.now += timedelta(hours=12)
        raise AssertionError(self.outbox.states())

    def assert_arrived(self, *endpoints: str) -> None:
        """Everything for these endpoints has arrived under its id, in order for each subject."""
        arrivals = self.receiver.first_arrivals()
        for name in endpoints:
            rows = self.outbox.all(endpoint=name)
            assert {row.state for row in rows} == {"delivered"}
            for subject in {row.subject for row in rows}:
                expected = [row.message_id for row in rows if row.subject == subject]
                assert arrivals[f"/{name}", subject] == expected, (name, subject)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def site(outbox: Outbox, meter_dsn: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    return Site(outbox, meter_dsn, receiver)


FAULTS = (
    *("reset", "half a head", "half a body", "garbage", "lost", "500", "404", "429", "503", "redirect"),
    "429 absurd",
)
ENDLESS = ("hang", "drip", "drip of a head")


def test_whatever_the_receiver_does_all_arrive_under_one_id_in_order_and_signed(site: Site) -> None:
    names = []
    for number, fault in enumerate((*FAULTS, *ENDLESS)):
        names.append(name := f"e{number}")
        site.endpoint(name)
        site.receiver.faults[f"/{name}"] = [fault] * (1 if fault in ENDLESS else 1 + number % 3)
    site.outbox.tell("a", "b", "a", "c", "a")
    site.run_to_the_end(timeout=3.0)
    site.assert_arrived(*names)
    assert [one for one in site.receiver.got if one.path == "/private"] == []
    assert {one.status for one in site.outbox.all()} == {204}
    at_once = {path: most for (path, _), most in site.receiver.at_once.items()}
    for name in names[-len(ENDLESS) :]:
        at_once.pop(f"/{name}")  # it is still at it when the next attempt comes
    assert set(at_once.values()) == {1}
    # Only where an answer got lost does anything arrive twice, under one id.
    again = {
        (path, message_id)
        for (path, message_id), times in Counter(
            (one.path, one.message_id) for one in site.receiver.accepted()
        ).items()
        if times > 1
    }
    lost = f"/e{FAULTS.index('lost')}"
    assert {path for path, _ in again} == {lost}


def test_a_refused_connection_and_a_handshake_that_never_ends_are_failures(site: Site) -> None:
    with silent_port() as silent:
        site.endpoint("refuses", f"http://127.0.0.1:{closed_port()}/")
        site.endpoint("says-nothing", f"https://127.0.0.1:{silent}/")
        site.outbox.tell("a")
        began = time.monotonic()
        summary = site.run(timeout=0.5)
        assert time.monotonic() - began < 4
    assert (summary.failed, summary.exit_status) == (2, 1)
    errors = {one.endpoint: one.error for one in site.outbox.all()}
    assert errors == {"refuses": "the connection could not be made", "says-nothing": "no answer within 0.5 s"}
    for name in errors:
        site.outbox.endpoint(name, url=f"{site.receiver.url}/{name}", secret_name="HOOK_SECRET")
    # What was planned is sent to the new URL.
    site.run_to_the_end()
    site.assert_arrived("refuses", "says-nothing")


def test_410_disables_and_the_others_go_on(site: Site) -> None:
    site.endpoint("gone")
    site.endpoint("stays")
    site.receiver.faults["/gone"] = ["410"] * 10
    site.outbox.tell("a", "a", "b")
    summary = site.run()
    assert summary.outcomes["gone"] >= 1
    assert set(site.outbox.states(endpoint="gone")) == {"dead"}
    site.assert_arrived("stays")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset", "the answer was not complete"),
        ("half a body", "the answer was not complete"),
        ("garbage", "the answer was not complete"),
        ("endless head", "the answer was not complete"),
        ("endless body", "HTTP 500"),
        ("429 absurd", "HTTP 429"),
        ("drip", "no answer within 0.5 s"),
        ("drip of a head", "no answer within 0.5 s"),
        ("endless interim answers", "no answer within 0.5 s"),
        ("hang", "no answer within 0.5 s"),
    ],
)
def test_each_fault_is_a_failure_that_is_told_and_takes_no_longer_than_the_timeout(
    site: Site, fault: str, error: str
) -> None:
    site.endpoint("ops")
    site.receiver.faults["/ops"] = [fault]
    site.outbox.tell("a")
    summary = site.run(timeout=0.5)
    assert (summary.failed, summary.seconds < 10) == (1, True)
    (one,) = site.outbox.all()
    assert (one.state, one.error) == ("planned", error)


@pytest.mark.parametrize(("fault", "seconds"), [("429", 120), ("503", 600)])
def test_retry_after_is_obeyed_as_seconds_and_as_a_date(site: Site, fault: str, seconds: int) -> None:
    site.endpoint("ops")
    site.receiver.faults["/ops"] = [fault]
    site.outbox.tell("a")
    site.run()
    (one,) = site.outbox.all()
    wait = (one.next_attempt_at - site.outbox.now).total_seconds()
    assert seconds - 5 <= wait <= seconds
    assert one.status == int(fault)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(
            ("0", 0),
            ("17", 17),
            (" 5 ", 5),
            ("-1", None),
            ("soon", None),
            ("9" * 30, 7 * 86400),
            (None, None),
        ),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 7 * 86400),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +9999999999", None),
    ],
)
def test_a_header_retry_after_is_read_and_bounded(text: str | None, seconds: float | None) -> None:
    assert retry_after(text) == seconds


def test_while_a_secret_is_rotated_receivers_with_the_old_or_the_new_one_accept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.receiver.secret = None  # checked below, by both
    monkeypatch.setenv("HOOK_SECRET", f"{OTHER_SECRET}, {SECRET}")
    site.endpoint("ops")
    site.outbox.tell("a")
    site.run()
    (one,) = site.receiver.accepted()
    assert len(one.headers["webhook-signature"].split()) == 2
    for secret in (SECRET, OTHER_SECRET):
        Webhook(secret).verify(one.body, one.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(one.body, one.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(one.body + b" ", one.headers)


def test_a_secret_in_a_file_may_be_replaced_while_a_sender_runs(
    site: Site, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK_SECRET")
    site.endpoint("ops")
    site.outbox.tell("a")
    with site.pool() as pool:
        notifier = site.notifier(pool, secrets_dir=tmp_path)
        assert notifier.run_once().failed == 1
        assert site.outbox.all()[0].error == "there is no secret HOOK_SECRET"
        for secret in (SECRET, OTHER_SECRET):
            (tmp_path / "HOOK_SECRET").write_text(f"{secret}\n")
            site.receiver.secret = secret
            site.outbox.tell("a")
            site.outbox.retry()
            notifier.run_once()
            assert set(site.outbox.states()) == {"delivered"}
    site.assert_arrived("ops")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "no base64!"])
def test_a_secret_that_cannot_sign_sends_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("HOOK_SECRET", secret)
    site.endpoint("ops")
    site.outbox.tell("a")
    assert site.run().failed == 1
    assert site.receiver.got == []
    (one,) = site.outbox.all()
    assert one.error in (
        "there is no secret HOOK_SECRET",
        "the secret HOOK_SECRET is not whsec_ and at least 16 bytes in base64",
    )


def test_without_a_secret_nothing_is_signed(site: Site) -> None:
    site.receiver.secret = None
    site.endpoint("ops", secret_name=None)
    site.outbox.tell("a")
    site.run()
    (one,) = site.receiver.accepted()
    assert "webhook-signature" not in one.headers
    assert one.message_id == site.outbox.all()[0].message_id
    assert one.body.decode() == site.outbox.all()[0].body


def test_eight_senders_at_once_send_each_once_and_one_of_a_subject_at_a_time(site: Site) -> None:
    names = [f"e{number}" for number in range(4)]
    for name in names:
        site.endpoint(name)
    site.receiver.pause = 0.01
    site.outbox.tell(*(f"s{number % 10}" for number in range(60)))
    for sender in [Task(site.run) for _ in range(8)]:
        sender.result()
    site.run()
    site.assert_arrived(*names)
    assert len(site.receiver.got) == 240
    assert set(site.receiver.at_once.values()) == {1}


def test_an_endpoint_that_hangs_delays_no_other(site: Site) -> None:
    site.endpoint("hangs")
    site.endpoint("works")
    subjects = [f"s{number}" for number in range(60)]
    site.receiver.faults["/hangs"] = ["hang"] * 1000
    site.outbox.tell(*subjects)
    with site.pool() as pool:
        notifier = site.notifier(pool, timeout=20.0, grace=0.1)
        running = Task(lambda: notifier.watch(0.05))
        began = time.monotonic()
        while len(site.receiver.accepted("/works")) < 60 and time.monotonic() - began < 10:
            time.sleep(0.02)
        seconds = time.monotonic() - began
        assert len(site.receiver.accepted("/works")) == 60, seconds
        assert Counter(site.outbox.states(endpoint="hangs"))["sending"] == 16
        notifier.stop()
        running.result()
    assert set(site.outbox.states(endpoint="hangs")) == {"planned"}


def test_a_stop_settles_what_ends_soon_and_releases_the_rest(site: Site) -> None:
    site.endpoint("ops")
    site.receiver.faults["/ops"] = ["hang"]
    site.outbox.tell("a", "b")
    with site.pool() as pool:
        notifier = site.notifier(pool, timeout=20.0, grace=0.3)
        running = Task(lambda: notifier.watch(0.05))
        assert site.receiver.hanging.acquire(timeout=10)
        while "delivered" not in site.outbox.states():
            time.sleep(0.01)
        began = time.monotonic()
        notifier.stop()
        summary = running.result()
        assert time.monotonic() - began < 3
    assert summary.delivered == 1
    by_state = {one.state: one for one in site.outbox.all()}
    assert set(by_state) == {"delivered", "planned"}
    assert by_state["planned"].failures == 0
    site.receiver.released.set()
    site.run()
    site.assert_arrived("ops")


def test_a_watching_sender_sends_what_is_written_while_it_waits_and_outlives_a_lost_connection(
    site: Site,
) -> None:
    site.endpoint("ops")
    with site.pool() as pool:
        notifier = site.notifier(pool)
        running = Task(lambda: notifier.watch(0.05))
        for subject in ("a", "b"):
            site.outbox.tell(subject)
            deadline = time.monotonic() + 15
            while not any(one.subject == subject for one in site.receiver.accepted()):
                assert time.monotonic() < deadline, site.outbox.states()
                time.sleep(0.02)
            site.outbox.ledger.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        notifier.stop()
        running.result()


def test_two_runs_of_one_sender_and_a_stop_before_it_begins(site: Site) -> None:
    site.endpoint("ops")
    site.outbox.tell("a")
    with site.pool() as pool:
        notifier = site.notifier(pool)
        assert notifier.run_once().delivered == 1
        site.outbox.tell("a")
        assert notifier.run_once().delivered == 1
        notifier.stop()
        site.outbox.tell("a")
        assert notifier.watch().delivered == 0


def test_a_sender_finds_spikes_before_it_plans(site: Site) -> None:
    site.outbox.now -= timedelta(hours=1)
    site.outbox.ledger.define("tokens", "sum")
    site.outbox.ledger.call("set_spike_alert", metric="tokens", factor=3)
    hour = site.outbox.now.replace(minute=0, second=0, microsecond=0)
    for number in range(1, 13):
        site.outbox.ledger.record("a", "tokens", 1, at=hour - timedelta(hours=number))
    site.outbox.ledger.record("a", "tokens", 50, at=hour)
    site.outbox.endpoint("ops", ["spike.detected"], url=f"{site.receiver.url}/ops", secret_name="HOOK_SECRET")
    summary = site.run()
    assert (summary.spikes, summary.delivered) == (1, 1)


def test_a_sender_finds_what_will_reach_a_mark_before_it_plans(site: Site) -> None:
    ledger, now = site.outbox.ledger, site.outbox.now
    ledger.define("tokens", "sum")
    days = [now - timedelta(days=n) for n in range(1, 40)]
    ledger.batch([{"subject": "a", "metric": "tokens", "quantity": 10, "at": day} for day in days])
    ledger.call("set_billing_cycle", subject="a", anchor=now - timedelta(days=20))
    # 200 are used, of some 300 in a month.
    named = {"period": "cycle", "projected": True, "marks": [100], "since": days[-1]}
    ledger.call("set_limit", metric="tokens", quota=250, **named)
    site.outbox.endpoint(
        "ops", ["threshold.projected"], url=f"{site.receiver.url}/ops", secret_name="HOOK_SECRET"
    )
    summary = site.run()
    assert (summary.projected_marks, summary.delivered) == (1, 1)
    assert site.run().projected_marks == 0


@pytest.mark.parametrize("options", [{"connections": 0}, {"timeout": 0}, {"timeout": 121}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least|longer"):
        Notifier(None, **options)  # type: ignore[arg-type]


def test_a_stop_from_another_thread_ends_a_sender_that_waits(site: Site) -> None:
    with site.pool() as pool:
        notifier = site.notifier(pool)
        running = Task(lambda: notifier.watch(30.0))
        time.sleep(0.5)
        threading.Thread(target=notifier.stop).start()
        began = time.monotonic()
        running.result()
        assert time.monotonic() - began < 3
