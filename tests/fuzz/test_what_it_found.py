"""What the fuzzer has found, each as small as it can be."""

from __future__ import annotations

import os

import psycopg
import pytest

from tests.helpers import Ledger, ledger, midnight, new_ledger, refused  # noqa: F401 - fixtures

LARGEST = "9" * 131072


@pytest.mark.parametrize("parameter", ["quota", "requested"])
@pytest.mark.parametrize("value", ["-" + LARGEST, "-Infinity", "NaN", LARGEST, "1e1001"])
def test_an_absurd_quota_is_refused_without_repeating_it(ledger: Ledger, parameter: str, value: str) -> None:  # noqa: F811
    """131,072 digits are a number; in an error's DETAIL they are a nuisance, and plus one an overflow."""
    ledger.define("tokens", "sum")
    ledger.record("acct_1", "tokens", 1)
    numbers = {"quota": 10, "requested": 1} | {parameter: value}
    with refused("22023", parameter) as caught:
        ledger.call("check_quota", subject="acct_1", metric="tokens", **numbers)
    error = caught.value
    assert isinstance(error, psycopg.Error)
    assert len(error.diag.message_detail or "") < 300


@pytest.mark.parametrize("now", ["4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59+00", "infinity"])
def test_a_moment_at_the_end_of_the_calendar_is_refused_by_name(ledger: Ledger, now: str) -> None:  # noqa: F811
    """The month that it lies in begins before there are timestamps."""
    ledger.define("tokens", "sum")
    ledger.record("acct_1", "tokens", 1)
    with refused("22023", "now"):
        ledger.call("check_quota", subject="acct_1", metric="tokens", quota=1, now=now)


def test_nobody_is_bound_to_a_subject_longer_than_subjects_are(ledger: Ledger) -> None:  # noqa: F811
    """Beyond what an index can hold, the answer was PostgreSQL's, in a code that no comment lists."""
    role = f"pymeter_fuzz_{os.getpid()}"
    ledger.execute(f"CREATE ROLE {role}")
    try:
        with refused("22023", "subject"):
            ledger.call("grant_access", role=role, level="read", subject="☃" * 100_000)
        ledger.call("grant_access", role=role, level="read", subject="☃" * 512)
    finally:
        ledger.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("now", ["4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59+00", "-infinity"])
def test_health_is_not_asked_for_at_the_end_of_the_calendar(ledger: Ledger, now: str) -> None:  # noqa: F811
    with refused("22023", "now"):
        ledger.call("health", now=now)


@pytest.mark.parametrize("rollup", ["hour", "day"])
def test_members_are_counted_in_a_window_of_a_thousand_years(ledger: Ledger, rollup: str) -> None:  # noqa: F811
    """After 68 years, seconds are more than an integer holds."""
    ledger.define("users", "unique", rollup=rollup)
    ledger.record("acct_1", "users", member="ana")
    ledger.record("acct_1", "users", member="ana", at=midnight(-100))
    for until in ("2050-01-01 02:30:00+00", "9000-01-01 02:30:00+00"):
        assert ledger.usage("acct_1", "users", since="1971-01-05 03:30:00+00", until=until).quantity == 1


@pytest.mark.parametrize("lease", ["178000000 years", "1001 years"])
def test_nothing_is_claimed_until_the_end_of_the_calendar(ledger: Ledger, lease: str) -> None:  # noqa: F811
    with refused("22023", "lease"):
        ledger.call("claim_pushes", biller="stripe", worker="worker_1", lease=lease)


@pytest.mark.parametrize("near", ["4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59.5+00", "infinity"])
def test_the_next_page_is_not_searched_for_at_the_end_of_the_calendar(ledger: Ledger, near: str) -> None:  # noqa: F811
    """A second before the first timestamp there is none; the hint is then no help, and no error."""
    ledger.define("tokens", "sum")
    first = ledger.record("acct_1", "tokens", 1, at=midnight(-2))
    second = ledger.record("acct_1", "tokens", 1, at=midnight(-1))
    found = ledger.call("events", subject="acct_1", metric="tokens", after_id=second.event_id, after_at=near)
    assert [row.event_id for row in found] == [first.event_id]
