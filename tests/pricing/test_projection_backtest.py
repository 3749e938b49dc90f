"""Projections of cycles that are over, compared with what was used; the long run does it at length."""

from __future__ import annotations

from statistics import median

import pytest

from tests.helpers import Ledger
from tests.pricing.backtest import SHARES, Score, as_markdown, backtest, record
from tests.pricing.test_invoice_speed import busy_seconds
from tests.pricing.traffic import GENERATED, TRACE, generated, real, seats, users

SUBJECTS = 6
ATTEMPTS = 20
SECONDS_MAX = 0.050


def by_share(scores: list[Score]) -> list[Score]:
    assert [score.share for score in scores] == list(SHARES)
    return scores


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["weekly", "growing", "drifting", "bursty"])
def test_the_range_holds_most_of_what_was_used(ledger: Ledger, kind: str) -> None:
    scores = by_share(backtest(ledger, record(ledger, generated(kind, SUBJECTS))))
    assert sum(score.inside for score in scores) >= 0.75 * sum(len(score.expected) for score in scores)
    assert sum(len(score.expected) for score in scores) >= SUBJECTS * 2, "it says something"
    last = scores[-1].expected
    assert median(last) <= median(scores[0].expected), "the later, the closer"


@pytest.mark.slow
def test_weekly_usage_is_hit_within_five_percent(ledger: Ledger) -> None:
    for score in by_share(backtest(ledger, record(ledger, generated("weekly", SUBJECTS)))):
        assert max(score.expected) <= 0.08
        assert median(score.expected) <= 0.05
        assert score.unknown == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["growing", "fading"])
def test_of_usage_that_moves_the_run_rate_is_expected(ledger: Ledger, kind: str) -> None:
    for score in by_share(backtest(ledger, record(ledger, generated(kind, SUBJECTS)))):
        assert score.chosen >= SUBJECTS - 1
        assert median(score.expected) < median(score.profile)


@pytest.mark.slow
def test_what_died_is_known_as_dead_or_not_projected(ledger: Ledger) -> None:
    """No subject whose usage stopped a week ago has a confident number."""
    scores = by_share(backtest(ledger, record(ledger, generated("dying", 2 * SUBJECTS))))
    assert [score.unknown for score in scores] == sorted(score.unknown for score in scores)
    assert scores[-1].unknown >= SUBJECTS // 2


@pytest.mark.slow
@pytest.mark.parametrize("make", [seats, users])
def test_values_are_projected_too(ledger: Ledger, make: object) -> None:
    assert callable(make)
    scores = by_share(backtest(ledger, record(ledger, make(SUBJECTS))))
    assert sum(score.inside for score in scores) >= 0.7 * sum(len(score.expected) for score in scores)
    assert median(scores[-1].expected) <= 0.15


@pytest.mark.slow
@pytest.mark.skipif(not TRACE.exists(), reason=f"no {TRACE.name}: it is not part of the project")
def test_real_traffic_is_mostly_within_the_range(ledger: Ledger) -> None:
    scores = [score for score in backtest(ledger, record(ledger, real())) if score.kind == "real"]
    by_share(scores)
    assert all(score.coverage >= 0.7 for score in scores)
    assert median(scores[-1].expected) <= 0.25
    table = as_markdown(scores)
    assert table.count("| real |") == len(SHARES)


@pytest.mark.slow
def test_a_month_of_hours_takes_fifty_milliseconds(ledger: Ledger) -> None:
    """The fastest attempt of the server's process counts: others use the machine, too."""
    ((subject, _),) = record(ledger, generated("weekly", 1))
    ledger.execute("ANALYZE")
    busy = busy_seconds(ledger)
    times = []
    for _ in range(ATTEMPTS):
        start = busy()
        (row,) = ledger.call("project_usage", subject=subject, metric="sum", now="2026-04-20 12:30Z")
        times.append(busy() - start)
    assert row.method == "weekday_profile"
    assert min(times) <= SECONDS_MAX, min(times)


@pytest.mark.slow
def test_projections_do_not_read_the_log(ledger: Ledger) -> None:
    """At a full hour; else the log of one hour is read, as usage() does."""
    ((subject, _),) = record(ledger, generated("weekly", 1))
    read = (
        "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"
        " WHERE relname LIKE 'events_%%'"
    )
    with ledger.connection.transaction():
        (row,) = ledger.call("project_usage", subject=subject, metric="sum", now="2026-04-20 12:00Z")
        assert row.expected > row.used
        assert ledger.value(read) == 0


def test_every_kind_of_traffic_is_one_of_58_days() -> None:
    for kind in GENERATED:
        (traffic,) = generated(kind, 1)
        assert traffic.events == sorted(traffic.events)
        assert 0 <= traffic.events[0][0] < traffic.events[-1][0] < 58 * 24
        assert generated(kind, 1) == [traffic], "the same in every run"
