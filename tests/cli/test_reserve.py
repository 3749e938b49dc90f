"""Reservations at the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def tokens(pymeter: Run) -> None:
    assert pymeter("define", "tokens", "sum", "token", "--period", "never").status == 0
    assert pymeter("limit", "set", "tokens", "1000").status == 0


def test_a_reservation_is_made_settled_and_listed(pymeter: Run) -> None:
    ran = pymeter("reserve", "acct_1", "tokens", "700", "--key", "k", "--ttl", "5m")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("✓ held: reservation ")
    assert "holds 700 until 20" in ran.out
    assert "300 left (default)" in ran.out
    again = pymeter("reserve", "acct_1", "tokens", "700", "--key", "k", "--json").json
    assert (again["outcome"], again["held"]) == ("duplicate", "700")
    number = str(again["reservation_id"])
    listed = pymeter("reservations")
    assert all(word in listed.out for word in ("acct_1", "tokens", "700", "held"))
    settled = pymeter("settle", number, "650", "--metadata", '{"model": "large"}')
    assert (settled.status, settled.out.count("650 token")) == (0, 1)
    assert "350 left (default)" in settled.out
    assert pymeter("settle", number, "650").status == 0
    other = pymeter("settle", number, "651")
    assert (other.status, "another quantity" in other.out) == (1, True)
    released = pymeter("release", number)
    assert (released.status, released.out.startswith("✓ settled: reservation")) == (0, True)
    assert [r["state"] for r in pymeter("reservations", "--state", "settled", "--json").json] == ["settled"]
    assert "no reservations" in pymeter("reservations", "--state", "held").out


def test_a_refused_or_conflicting_reservation_has_status_1(pymeter: Run) -> None:
    ran = pymeter("reserve", "acct_1", "tokens", "1001")
    assert (ran.status, "✗ refused: 1,000 left of the limit default" in ran.out) == (1, True)
    part = pymeter("reserve", "acct_1", "tokens", "1001", "--minimum", "10", "--key", "k", "--json")
    assert (part.status, part.json["held"]) == (0, "1000")
    conflict = pymeter("reserve", "acct_1", "tokens", "7", "--key", "k")
    assert (conflict.status, "the key was used before" in conflict.out) == (1, True)
    assert pymeter("reserve", "acct_1", "tokens", "1", "--ttl", "soon").status == 2


def test_release_frees_and_an_unknown_one_is_an_error(pymeter: Run) -> None:
    number = str(pymeter("reserve", "acct_1", "tokens", "1000", "--json").json["reservation_id"])
    assert pymeter("record", "acct_1", "tokens", "1").status == 1
    assert pymeter("release", number, "--json").json["outcome"] == "released"
    assert "holds nothing" in pymeter("release", number).out
    assert pymeter("record", "acct_1", "tokens", "1").status == 0
    unknown = pymeter("release", "99999")
    assert (unknown.status, "[UM007]" in unknown.err) == (1, True)


def test_pages_are_asked_for_with_the_last_id(pymeter: Run) -> None:
    for _ in range(3):
        pymeter("reserve", "acct_1", "tokens", "1")
    page = pymeter("reservations", "-n", "2", "--subject", "acct_1", "--metric", "tokens")
    last = page.out.split("next page: --before-id ")[1].strip()
    assert len(pymeter("reservations", "--before-id", last, "--json").json) == 1
