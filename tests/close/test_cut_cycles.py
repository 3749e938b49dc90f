"""What counts in a billing cycle that was cut, or in which plans changed: against fractions, without SQL."""

from __future__ import annotations

import functools
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tests.close.closing import assert_balanced, close, define_each, lines, stated, use
from tests.helpers import AGGREGATES, Ledger, at

WHOLE = ("sum", "count")
Event = tuple[datetime, int]
MICROSECOND = timedelta(microseconds=1)


def value(aggregate: str, events: Sequence[Event]) -> Fraction:
    numbers = [n for _, n in events]
    if not events:
        return Fraction(0)
    return {
        "sum": lambda: Fraction(sum(numbers)),
        "count": lambda: Fraction(len(numbers)),
        "min": lambda: Fraction(min(numbers)),
        "max": lambda: Fraction(max(numbers)),
        "avg": lambda: Fraction(sum(numbers), len(numbers)),
        "last": lambda: Fraction(max(enumerate(events), key=lambda e: (e[1][0], e[0]))[1][1]),
        "unique": lambda: Fraction(len(set(numbers))),
    }[aggregate]()


@functools.cache
def midnight(day: date, zone: str) -> datetime:
    """When a day begins: the last minute at which the clock shows 0:00, or the first one after it."""
    shown = datetime.combine(day, time())
    minutes = [shown.replace(tzinfo=UTC) + timedelta(minutes=n) for n in range(-16 * 60, 16 * 60)]
    clock = [(u.astimezone(ZoneInfo(zone)).replace(tzinfo=None), u) for u in minutes]
    return max((u for c, u in clock if c == shown), default=None) or min(u for c, u in clock if c > shown)


def local(moment: datetime, zone: str) -> Fraction:
    """Days of the zone from some instant on: those that have passed, and the part of the one that has not."""
    day = moment.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    while midnight(day, zone) > moment:
        day -= timedelta(days=1)
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    return day.toordinal() + Fraction((moment - begin) // MICROSECOND, (end - begin) // MICROSECOND)


def expected(
    aggregate: str,
    events: Sequence[Event],
    bounds: Sequence[datetime],
    whole: tuple[datetime, datetime],
    zone: str,
) -> Fraction:
    """bounds: where parts start, and the end of the last. whole: the cycle of which they are shares."""
    if aggregate in WHOLE:
        return value(aggregate, [e for e in events if bounds[0] <= e[0] < bounds[-1]])
    cycle = local(whole[1], zone) - local(whole[0], zone)
    return sum(
        (
            value(aggregate, [e for e in events if since <= e[0] < until])
            * ((local(until, zone) - local(since, zone)) / cycle)
            for since, until in pairwise(bounds)
        ),
        Fraction(0),
    )


def assert_states(
    ledger: Ledger,
    since: datetime,
    until: datetime,
    *,
    parts: Sequence[datetime] = (),
    whole: tuple[datetime, datetime] | None = None,
    zone: str = "UTC",
    seed: int = 0,
) -> None:
    """Random events before, within and after; each aggregate is stated as the fractions say, to 20 digits."""
    draw = random.Random(seed)
    bounds = [bound.astimezone(UTC) for bound in (since, *parts, until)]
    log: dict[str, list[Event]] = defaultdict(list)
    near = [bound + timedelta(microseconds=shift) for bound in bounds for shift in (-1, 0)]
    for aggregate in AGGREGATES:
        width = int((until - since).total_seconds()) + 4 * 86400
        moments = near + [since + timedelta(seconds=draw.randrange(width) - 2 * 86400) for _ in range(20)]
        for moment in draw.sample(moments, len(moments)):
            n = draw.randint(1, 9)
            use(ledger, "a", aggregate, n, moment)
            log[aggregate].append((moment, 1 if aggregate == "count" else n))
    header = close(ledger, since=since, until=until)
    told = stated(ledger, header.statement_id)
    for aggregate in AGGREGATES:
        want = expected(aggregate, log[aggregate], bounds, whole or (since, until), zone)
        # PostgreSQL's averages have 16 digits and more.
        slack = Fraction(1, 10**14) if aggregate == "avg" else Fraction(1, 2 * 10**20)
        assert abs(Fraction(told["usage", aggregate]) - want) <= slack, (aggregate, want)
        if aggregate not in (*WHOLE, "avg") and (parts or whole):
            assert told["usage", aggregate] == round_fraction(want), aggregate
    for line in lines(ledger, header.statement_id):
        counted = [e for e in log[line.metric] if since <= e[0] < until]
        assert line.event_count == len(counted)
    assert ledger.call("verify_statements") == []
    assert_balanced(ledger)


def round_fraction(exact: Fraction) -> Decimal:
    """Half away from zero, at 20 decimals, once."""
    return Decimal(int(exact * 10**20 + Fraction(1, 2))).scaleb(-20)


def test_a_month_that_a_new_cycle_cuts_counts_by_its_share(ledger: Ledger) -> None:
    """June, cut on the 15th: 14 of 30 days."""
    define_each(ledger)
    ledger.call("set_billing_cycle", subject="a", anchor=at("2026-06-15"), since=at("2026-06-10"))
    assert_states(
        ledger, at("2026-06-01"), at("2026-06-15"), whole=(at("2026-06-01"), at("2026-07-01")), seed=1
    )


def test_a_whole_cycle_of_one_plan_counts_as_a_whole(ledger: Ledger) -> None:
    define_each(ledger)
    ledger.call("set_billing_cycle", subject="a", anchor=at("2026-05-15"))
    ledger.call("define_plan", plan="pro")
    ledger.call("subscribe", subject="a", plan="pro", since=at("2026-05-20"))
    assert_states(ledger, at("2026-06-15"), at("2026-07-15"), seed=2)


@pytest.mark.parametrize("seed", [3, 4])
def test_each_plan_counts_by_its_share_of_the_cycle(ledger: Ledger, seed: int) -> None:
    """Where plans change, not where a subscription of the same plan follows another."""
    define_each(ledger)
    for plan in ("pro", "team"):
        ledger.call("define_plan", plan=plan)
    ledger.call("subscribe", subject="a", plan="pro", since=at("2026-05-01"), until=at("2026-06-05"))
    ledger.call("subscribe", subject="a", plan="pro", since=at("2026-06-05"), until=at("2026-06-11 06:00"))
    ledger.call("subscribe", subject="a", plan="team", since=at("2026-06-11 06:00"), until=at("2026-06-21"))
    parts = [at("2026-06-11 06:00"), at("2026-06-21")]
    assert_states(ledger, at("2026-06-01"), at("2026-07-01"), parts=parts, seed=seed)


def test_plans_that_overlap_change_the_set_twice(ledger: Ledger) -> None:
    define_each(ledger)
    for plan in ("pro", "extra"):
        ledger.call("define_plan", plan=plan)
    ledger.call("subscribe", subject="a", plan="pro", since=at("2026-05-01"))
    ledger.call("subscribe", subject="a", plan="extra", since=at("2026-06-10"), until=at("2026-06-20"))
    parts = [at("2026-06-10"), at("2026-06-20")]
    assert_states(ledger, at("2026-06-01"), at("2026-07-01"), parts=parts, seed=5)


def test_a_cycle_that_is_cut_and_has_a_change_of_plans(ledger: Ledger) -> None:
    """19 of the days from May 10 to June 10, the first 9 without a plan."""
    define_each(ledger)
    ledger.call("define_plan", plan="pro")
    ledger.call("set_billing_cycle", subject="a", anchor=at("2026-04-10"))
    ledger.call("subscribe", subject="a", plan="pro", since=at("2026-05-19"))
    ledger.call("set_billing_cycle", subject="a", anchor=at("2026-05-29"), since=at("2026-05-20"))
    assert_states(
        ledger,
        at("2026-05-10"),
        at("2026-05-29"),
        parts=[at("2026-05-19")],
        whole=(at("2026-05-10"), at("2026-06-10")),
        seed=6,
    )


@pytest.mark.parametrize(
    ("zone", "month", "change"),
    [
        ("America/New_York", "2026-03", "2026-03-10"),  # a day of 23 hours
        ("America/New_York", "2025-11", "2025-11-02 12:00"),  # one of 25, itself the bound of a part
        ("America/New_York", "2025-11", "2025-11-02 01:30"),  # in the hour that comes twice
        ("Europe/Berlin", "2026-03", "2026-03-29 12:00"),
        ("Europe/Berlin", "2026-10", "2026-10-25 02:59:59.999999"),
        ("Australia/Lord_Howe", "2026-04", "2026-04-20"),  # half an hour
        ("Australia/Lord_Howe", "2026-04", "2026-04-05 01:45"),
        ("America/Sao_Paulo", "2018-02", "2018-02-17 23:30"),  # midnight becomes 23:00
        ("America/Sao_Paulo", "2018-11", "2018-11-04 01:00"),  # midnight does not exist
        ("Asia/Beirut", "2026-03", "2026-03-29 13:00"),
        ("America/St_Johns", "2010-11", "2010-11-07 00:00:30"),  # 00:01 becomes 23:01 of the day before
        ("America/Havana", "2025-11", "2025-11-02 00:30"),  # midnight comes twice
        ("Pacific/Apia", "2011-12", "2011-12-29 18:00"),  # the 30th does not exist
        ("Pacific/Apia", "2011-12", "2011-12-31"),
        ("Asia/Kolkata", "2026-06", "2026-06-09"),
    ],
)
def test_days_are_those_of_the_cycles_time_zone(ledger: Ledger, zone: str, month: str, change: str) -> None:
    """A day of 23 hours is a day."""
    tz = ZoneInfo(zone)
    since = datetime.fromisoformat(f"{month}-01").replace(tzinfo=tz)
    until = (since + timedelta(days=32)).replace(day=1)
    plan_from = datetime.fromisoformat(change).replace(tzinfo=tz)
    define_each(ledger)
    ledger.call("define_plan", plan="pro")
    ledger.call("set_billing_cycle", subject="a", anchor=since, timezone=zone)
    ledger.call("subscribe", subject="a", plan="pro", since=plan_from)
    assert_states(ledger, since, until, parts=[plan_from], zone=zone, seed=7)


def test_a_hundred_seats_for_ten_days_are_not_a_hundred_seats_for_a_month(ledger: Ledger) -> None:
    """10 x 100 / 30 and 20 x 10 / 30: 40, exactly."""
    ledger.define("max", "max")
    for plan in ("large", "small"):
        ledger.call("define_plan", plan=plan)
    ledger.call("subscribe", subject="a", plan="large", since=at("2026-06-01"), until=at("2026-06-11"))
    ledger.call("subscribe", subject="a", plan="small", since=at("2026-06-11"))
    use(ledger, "a", "max", 100, at("2026-06-04"))
    use(ledger, "a", "max", 10, at("2026-06-14"))
    assert stated(ledger, close(ledger).statement_id) == {("usage", "max"): 40}


def test_late_usage_of_a_cycle_in_parts_is_computed_by_the_shares_that_were_stated(ledger: Ledger) -> None:
    """Also after plans were changed for the past."""
    ledger.define("max", "max")
    ledger.call("define_plan", plan="pro")
    ledger.call("subscribe", subject="a", plan="pro", since=at("2026-06-16"))
    use(ledger, "a", "max", 10, at("2026-06-04"))
    header = close(ledger)
    assert stated(ledger, header.statement_id) == {("usage", "max"): 5}
    ledger.call("define_plan", plan="other")
    ledger.call("subscribe", subject="a", plan="other", since=at("2026-06-02"), until=at("2026-06-03"))
    assert ledger.call("late_usage") == []
    use(ledger, "a", "max", 7, at("2026-06-20"))
    (line,) = ledger.call("late_usage")
    assert (line.stated, line.current, line.delta) == (5, Decimal("8.5"), Decimal("3.5"))
    assert ledger.call("verify_statements") == []
    assert_balanced(ledger)


def test_a_period_that_is_not_a_cycle_counts_as_a_whole(ledger: Ledger) -> None:
    ledger.define("max", "max")
    ledger.call("define_plan", plan="pro")
    ledger.call("subscribe", subject="a", plan="pro", since=at("2026-06-16"))
    use(ledger, "a", "max", 10, at("2026-06-04"))
    header = close(ledger, until=at("2026-06-30"))
    assert stated(ledger, header.statement_id) == {("usage", "max"): 10}
