"""A journal that was restored, copied, or lost its end in a failover: nothing is reported twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from pymeter import Meter, errors
from tests.helpers import refused
from tests.report.conftest import DAY, HOUR, Journal, clock, journal, ledger, new_journal, new_ledger
from tests.report.double import Double, fixtures
from tests.report.shop import hour
from tests.report.site import METRIC, Site

pytest.importorskip("stripe")

__all__ = ["clock", "journal", "ledger", "new_journal", "new_ledger"]

double = fixtures.stripe_double_shared


@pytest.fixture
def site(meter_dsn: str, double: Double) -> Site:
    """Something was reported already: the journal is known to be of this server."""
    site = Site(meter_dsn, double)
    site.use(5, hour(site.now()) - timedelta(hours=30))
    site.report()
    site.assert_reported()
    return site


@pytest.fixture
def restored(site: Site) -> Iterator[Callable[[], None]]:
    """A backup was taken just now; called, it takes the place of the database."""
    with site.copied() as copy:

        def restore() -> None:
            site.dsn = copy

        yield restore


def _lose_the_server(journal: Journal) -> None:
    """As if the journal had been copied here."""
    journal.ledger.execute("UPDATE meter.report_journals SET server = regexp_replace(server, '[0-9]+$', '1')")


def _at(site: Site, minutes: float = 0) -> datetime:
    """In the hour before the last one."""
    return hour(site.now()) - timedelta(hours=2) + timedelta(minutes=minutes)


# --- the stop -----------------------------------------------------------------------------------------------


def test_a_restored_journal_neither_plans_nor_claims_until_it_is_adopted(
    site: Site, restored: Callable[[], None]
) -> None:
    restored()
    site.use(70, _at(site))
    with site.meter() as meter:
        with pytest.raises(errors.ReportingStopped) as caught:
            meter.plan_pushes(now=site.now())
        assert caught.value.sqlstate == "55000"
        assert "pymeter report adopt" in (caught.value.hint or "")
        with pytest.raises(errors.ReportingStopped):
            meter.claim_pushes("stripe", "worker", now=site.now())
        assert meter.report_journal().stopped
        health = meter.health()
        assert not health.healthy
        assert [p for p in health.problems if "reporting to stripe is stopped" in p]
    with pytest.raises(errors.ReportingStopped):
        site.report()
    site.adopt()
    with site.meter() as meter:
        assert not meter.report_journal().stopped
        assert not [p for p in meter.health().problems if "stopped" in p]
    site.report_for_days()
    site.assert_reported()


def test_a_template_that_nothing_was_planned_in_may_be_copied(meter_dsn: str, double: Double) -> None:
    site = Site(meter_dsn, double)
    with site.copied() as copy:
        site.dsn = copy
        site.use(70, _at(site))
        site.report()
        site.assert_reported()


def test_a_switchover_that_lost_nothing_goes_on_at_once(site: Site, restored: Callable[[], None]) -> None:
    restored()
    site.use(70, _at(site))
    site.adopt(complete=True)
    site.report()
    site.assert_reported()
    assert site.states() == {"delivered": 2}


def test_a_schema_that_was_restored_beside_another_is_stopped(journal: Journal) -> None:
    """The table is another one: pg_restore, or a copy into the same database."""
    journal.record(7)
    journal.plan()
    _lose_the_server(journal)
    with refused("55000"):
        journal.plan()


def test_a_watching_reporter_waits_for_the_adoption(site: Site, restored: Callable[[], None]) -> None:
    import threading

    from psycopg_pool import ConnectionPool

    from pymeter.report import Observer, Reporter, StripeBiller
    from tests.report.site import LIVE

    restored()
    site.use(70, _at(site))
    heard = threading.Event()

    class Listener(Observer):
        def trouble(self, message: str) -> None:
            if "stopped" in message:
                heard.set()

    with ConnectionPool(site.dsn, min_size=1, max_size=3, kwargs={"autocommit": True}) as pool:
        biller = StripeBiller(LIVE, base=site.double.url, timeout=5)
        reporter = Reporter(pool, biller, clock=site.now, observers=[Listener()])
        thread = threading.Thread(target=reporter.watch, args=(0.1,))
        thread.start()
        assert heard.wait(20)
        site.adopt(complete=True)
        for _ in range(200):
            if site.double.totals("live", by="sum") == site.used():
                break
            threading.Event().wait(0.05)
        reporter.stop()
        thread.join()
    site.assert_reported()


# --- what the lost journal had sent -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "now"),
    [
        ([70], [70]),  # all of it was sent
        ([70], [70, 30]),  # a part of it
        ([70, 30], [70, 30]),  # in two pushes, here in one
        ([70, 30], [70, 30, 5]),
        ([], [70]),  # nothing of it
        ([70, 30], [70]),  # more than the application has recorded again
    ],
)
def test_usage_that_was_sent_before_the_restore_is_not_sent_again(
    site: Site, restored: Callable[[], None], lost: list[int], now: list[int]
) -> None:
    for minute, quantity in enumerate(lost):
        site.use(quantity, _at(site, minute))
        site.report()
    kept = [*site.kept]
    restored()
    site.kept = kept[: 1 + len(now)]
    site.record_again()
    for minute in range(len(lost), len(now)):
        site.use(now[minute], _at(site, minute))
    site.pass_time(hours=30)  # the biller has forgotten all identifiers
    site.adopt()
    site.report_for_days(4)
    if len(lost) > len(now):
        # What is not recorded again stays with the biller: more than is used, and nothing twice.
        start = _at_start(site)
        assert site.double.totals("live", by="sum")["cus_1", METRIC, start] == sum(lost)
        assert set(site.states()) <= {"delivered", "resolved", "replaced"}
        site.record_again(kept)
        site.report_for_days(4)
    site.assert_reported()


def _at_start(site: Site) -> datetime:
    return hour(site.kept[-1]["at"])


def test_what_was_planned_and_sent_after_the_backup_is_recognised(meter_dsn: str, double: Double) -> None:
    """The backup holds the push, not that it was sent; the biller no longer knows its identifier."""
    site = Site(meter_dsn, double)
    site.use(70, hour(site.now()) - timedelta(hours=2))
    with site.meter() as meter:
        meter.plan_pushes(now=site.now())
    with site.copied() as copy:
        site.report()
        site.dsn = copy
        site.pass_time(hours=30)
        site.adopt()
        site.report_for_days()
        site.assert_reported()
        assert site.states() == {"resolved": 1}


def test_in_an_hour_before_an_adoption_the_total_alone_decides(journal: Journal) -> None:
    """A lost push of 2 was taken for two of 1: no push of this hour can be found by its content any more."""
    moment = journal.at(9)
    journal.record(10, at=moment - HOUR)
    journal.deliver()
    _lose_the_server(journal)
    journal.ledger.call("adopt_journal", now=journal.now)
    for quantity in (1, 1, 2, 1, 1):
        journal.record(quantity, at=moment)
        journal.plan()
    assert tuple(journal.settle_hour(2, moment)) == ("partly", 2, 0, 3)
    journal.settle_hour(2, moment)
    journal.now += DAY
    assert tuple(journal.settle_hour(2, moment)) == ("absent", 0, 3, 0)
    # Of the three that are sent now, the biller counts the push of 2 alone, and no call has an answer.
    while claimed := journal.claim():
        journal.settle(claimed, "unknown")
    journal.now += DAY
    assert journal.claim() == []
    assert tuple(journal.settle_hour(4, moment)) == ("partly", 1, 0, 2)
    journal.settle_hour(4, moment)
    journal.now += DAY
    assert tuple(journal.settle_hour(4, moment)) == ("absent", 0, 2, 0)
    journal.deliver()
    assert sum(p.value for p in journal.pushes() if p.state in ("resolved", "delivered")) == 16
    journal.assert_balanced()


def test_what_is_missing_after_an_adoption_is_never_taken_for_a_repeat(site: Site) -> None:
    """The lost journal reissued the first push, and a person takes what was counted for the second one."""
    site.double.fault("drop_before")
    site.use(70, _at(site))
    site.report()
    site.pass_time(hours=25)
    site.report()
    (first,) = [push for push in site.pushes() if push.state == "uncertain"]
    with site.copied() as copy:
        with site.meter() as meter:
            meter.resolve_push(first.identifier, delivered=False, now=site.now())
        site.report()
        site.dsn = copy
        site.adopt()
        site.use(70, first.bucket_start)
        with site.meter() as meter:
            meter.plan_pushes(now=site.now())
            (second,) = [push for push in meter.pushes() if push.reason == "restored"]
            meter.resolve_push(second.identifier, delivered=True, now=site.now())
            meter.resolve_push(first.identifier, delivered=False, now=site.now())
        site.report()
        site.assert_reported()


@pytest.mark.parametrize("retried_before", [True, False])
def test_a_retry_that_the_lost_journal_may_have_sent_is_looked_up_first(
    site: Site, retried_before: bool
) -> None:
    site.double.settings(unknown_customers=["cus_1"])
    site.use(70, _at(site))
    site.report()
    assert site.states() == {"delivered": 1, "rejected": 1}
    site.double.settings(unknown_customers=[])
    with site.copied() as copy:
        if retried_before:
            with site.meter() as meter:
                assert len(meter.retry_pushes(now=site.now())) == 1
            site.report()
        site.dsn = copy
        site.pass_time(hours=30)
        site.adopt()
        with site.meter() as meter:
            (retried,) = meter.retry_pushes(now=site.now())
            assert (retried.state, retried.reason) == ("uncertain", "restored")
        site.report_for_days()
        site.assert_reported()


def test_a_retry_of_what_was_refused_after_the_adoption_is_sent_at_once(
    site: Site, restored: Callable[[], None]
) -> None:
    restored()
    site.adopt()
    site.pass_time(hours=4)
    site.double.settings(unknown_customers=["cus_1"])
    site.use(70, _at(site, 59))
    site.report()
    site.double.settings(unknown_customers=[])
    with site.meter() as meter:
        (retried,) = meter.retry_pushes(now=site.now())
        assert retried.state == "planned"
    site.report()
    site.assert_reported()


@pytest.mark.parametrize("used", [False, True])
def test_a_journal_that_is_not_stopped_is_adopted_with_force_only(journal: Journal, used: bool) -> None:
    """An adoption by mistake would make all usage uncertain that is not planned."""
    if used:
        journal.record(7)
        journal.deliver()
    before = journal.ledger.rows("SELECT * FROM meter.report_journals")
    for complete in (False, True):
        with refused("55000", "force"):
            journal.ledger.call("adopt_journal", complete=complete, now=journal.now)
    with refused("22004", "force"):
        journal.ledger.call("adopt_journal", now=journal.now, force=None)
    assert journal.ledger.rows("SELECT * FROM meter.report_journals") == before
    with pytest.raises(errors.MeterError, match="not stopped") as caught:
        Meter(journal.ledger.connection).adopt_journal(now=journal.now)
    assert type(caught.value) is errors.MeterError
    assert "--force" in (caught.value.hint or "")
    (adopted,) = journal.ledger.call("adopt_journal", now=journal.now, force=True)
    assert adopted.doubtful_until > journal.now
    journal.record(3)
    journal.plan()
    assert journal.states()[-1] == "uncertain"


def test_a_second_adoption_by_mistake_is_refused(journal: Journal) -> None:
    journal.record(7)
    journal.deliver()
    _lose_the_server(journal)
    journal.ledger.call("adopt_journal", complete=True, now=journal.now)
    with refused("55000"):
        journal.ledger.call("adopt_journal", now=journal.now)
    journal.record(3)
    journal.plan()
    assert journal.states() == ["delivered", "planned"]


def test_usage_of_hours_after_the_adoption_is_sent_at_once(site: Site, restored: Callable[[], None]) -> None:
    restored()
    site.adopt()
    site.pass_time(hours=4)
    site.use(70, _at(site, 59))
    site.report()
    site.assert_reported()
    assert site.states() == {"delivered": 2}


def test_what_was_sent_under_another_hour_is_held_for_a_person(
    site: Site, restored: Callable[[], None]
) -> None:
    """Usage too old for the biller is stamped with the present: no hour's total tells whether it was sent."""
    restored()
    with site.meter() as meter:
        meter.define_biller(too_old="restamp")
    site.use(70, hour(site.now()) - timedelta(days=40))
    site.adopt()
    site.report()
    (push,) = [push for push in site.pushes() if push.state == "held"]
    assert push.reason == "restored"
    with site.meter() as meter:
        assert meter.retry_pushes(now=site.now()) == []  # only by its name
        assert meter.resolve_push(push.identifier, delivered=True, now=site.now()).state == "resolved"


def test_a_preview_after_an_adoption_is_what_planning_then_does(journal: Journal) -> None:
    """Also of usage that would be sent under another hour, and of a value that may be sent twice."""
    journal.rules(too_old="restamp")
    journal.metric("seats", "last", "last")
    journal.record(7)
    journal.deliver()
    _lose_the_server(journal)
    journal.ledger.call("adopt_journal", now=journal.now)
    later = journal.at(10) + 5 * HOUR
    journal.record(1, at=journal.at(8))
    journal.record(2, at=journal.at(9) - timedelta(days=40))
    journal.record(3, at=later)
    journal.record(4, metric="seats", at=journal.at(8))
    journal.now = later + HOUR
    previewed = {p.value: (p.state, p.reason, p.stamped_at) for p in journal.preview()}
    assert {value: found[:2] for value, found in previewed.items()} == {
        "1": ("uncertain", "restored"),
        "2": ("held", "restored"),
        "3": ("planned", None),
        "4": ("planned", None),
    }
    before = journal.pushes()
    while journal.plan():
        pass
    planned = journal.pushes()[len(before) :]
    assert {f"{p.value:f}": (p.state, p.reason, p.stamped_at) for p in planned} == previewed


def test_values_of_mode_last_are_sent_again(site: Site, restored: Callable[[], None]) -> None:
    """Sent twice they count once."""
    with site.meter() as meter:
        meter.define_metric("seats", "last", "seat")
    restored()
    with site.meter() as meter:
        meter.define_metric("seats", "last", "seat")
        meter.report_metric("seats", "seats", "last")
    site.double.create_meter("seats", formula="last")
    site.use(9, _at(site), metric="seats")
    site.adopt()
    site.report()
    assert [push.state for push in site.pushes()] == ["delivered", "delivered"]


# --- identifiers --------------------------------------------------------------------------------------------


def test_a_copy_that_plans_the_same_repeats_the_identifiers(site: Site) -> None:
    """A failover that lost the plan but not the usage, or a snapshot that looks like the original."""
    for number in range(3):
        site.use(10 + number, _at(site, number), customer=f"cus_{number}")
    with site.copied() as copy:
        site.report()
        sent = {(push.subject, push.identifier) for push in site.pushes()}
        site.dsn = copy
        site.adopt(complete=True)
        site.report()
        assert {(push.subject, push.identifier) for push in site.pushes()} == sent
        site.assert_reported()
        assert site.double.counters()["duplicates"] == 3


def test_whatever_differs_has_another_identifier(journal: Journal) -> None:
    """Also the same quantity of the same hour and second, planned again after a correction took it back."""
    journal.rules(negative="send")
    moment = journal.at(9)
    for quantity in (70, 70, 70):
        journal.record(quantity, at=moment)
        journal.deliver()
    for subject in ("acct_2", "acct_3"):
        journal.customer(subject, "cus_1")
        journal.record(70, subject=subject, at=moment)
    journal.record(70, at=moment + HOUR)
    journal.deliver()
    identifiers = [push.identifier for push in journal.pushes()]
    assert len(set(identifiers)) == len(identifiers) == 6


def test_two_journals_never_share_an_identifier(meter_dsn: str, double: Double, journal: Journal) -> None:
    """Two ledgers may report the same customer, event name, second and value to one account."""
    first = Site(meter_dsn, double)
    moment = hour(first.now()) - timedelta(hours=2)
    first.use(70, moment)
    first.report()
    journal.record(70, subject="acct_1", at=moment)
    ledger = journal.ledger
    ledger.execute("UPDATE meter.report_subjects SET subject = 'cus_1'")
    salts = ledger.rows("SELECT salt FROM meter.report_journals")
    assert len({row.salt for row in salts}) == len(salts)


def test_a_result_counts_for_the_push_with_its_identifier_alone(journal: Journal) -> None:
    """After a failover that lost the end of the journal its numbers are given out again."""
    journal.record(70)
    journal.plan()
    claimed = journal.claim()
    journal.settle(claimed, identifier="pm_of_the_lost_journal")
    assert journal.states() == ["sending"]
    journal.settle(claimed, identifier=claimed[0].identifier)
    assert journal.states() == ["delivered"]
