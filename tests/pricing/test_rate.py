"""rate() against vendors' worked examples, against a model in fractions, and the laws that prices obey."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import refused
from tests.pricing import model

Connection = psycopg.Connection[Any]
EXAMPLES = json.loads((Path(__file__).parent / "price_examples.json").read_text(encoding="utf-8"))
UNIT = {"model": "unit", "unit_amount": "2"}


def rate(db: Connection, price: Any, quantity: Any, **more: Any) -> list[Any]:
    """The lines as (tier, quantity, unit_amount, flat_amount, amount, explanation)."""
    given = {"price": Jsonb(price), "quantity": Decimal(quantity), **more}
    given = {k: Jsonb(v) if isinstance(v, dict | list) else v for k, v in given.items()}
    named = ", ".join(f"{k} => %({k})s" for k in given)
    return db.execute(f"SELECT * FROM rate({named})", given).fetchall()


def total(db: Connection, price: Any, quantity: Any, **more: Any) -> Fraction:
    """The price; Python's sum of Decimals would have 28 digits."""
    return sum((Fraction(line[4]) for line in rate(db, price, quantity, **more)), Fraction(0))


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=[f"{n} {example['source']}" for n, example in enumerate(EXAMPLES, 1)]
)
def test_a_vendor_computes_the_same(db: Connection, example: dict[str, Any]) -> None:
    more = {k: Decimal(v) if k == "billed" else v for k, v in example.items() if k in ("billed", "final")}
    assert total(db, example["price"], example["quantity"], **more) == Fraction(example["amount"])


def quantities(rng: random.Random, count: int) -> list[Fraction]:
    """Slices whose running sums are never negative."""
    found: list[Fraction] = []
    for _ in range(count):
        value = Fraction(rng.choice([0, 1, 3, 7, 10, 25, 140, 5000])) + rng.choice([0, 0, Fraction(1, 8)])
        found.append(-min(value, sum(found, Fraction(0))) if rng.random() < 0.3 else value)
    return found


@pytest.mark.parametrize("kind", model.MODELS)
def test_slices_add_up_and_each_is_what_the_model_says(db: Connection, kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(250):
        price = model.random_price(rng, kind)
        slices = quantities(rng, rng.randint(1, 5))
        counts = [rng.randint(0, 4) for _ in slices]
        billed, events, paid = Fraction(0), 0, Fraction(0)
        for position, (quantity, count) in enumerate(zip(slices, counts, strict=True), 1):
            final = position == len(slices)
            lines = rate(
                db, price, model.exact(quantity), billed=model.exact(billed), final=final,
                event_count=count, billed_events=events,
            )  # fmt: skip
            amount = sum((Fraction(line[4]) for line in lines), Fraction(0))
            assert amount == model.rated(price, quantity, billed, final, count, events), (price, slices)
            for tier, units, unit_amount, flat_amount, line_amount, explanation in lines:
                assert explanation
                assert (tier is None) == (units is None)
                if tier is not None:
                    assert line_amount == units * unit_amount + flat_amount
            billed, events, paid = billed + quantity, events + count, paid + amount
        assert paid == total(db, price, model.exact(billed), event_count=events), (price, slices)


def test_a_compiled_price_has_the_same_amount(db: Connection) -> None:
    rng = random.Random(5)
    for _ in range(300):
        price = model.random_price(rng, rng.choice(model.MODELS))
        quantity, billed = (model.exact(abs(q)) for q in quantities(rng, 2))
        given = (Jsonb(price), quantity, billed, rng.random() < 0.5, 7, 2)
        found = db.execute(
            "SELECT (SELECT coalesce(sum(amount), 0) FROM rate(p, q, b, f, e, null, x)),"
            " _price_amount(_compile_price(p), q, b, f, e, x)"
            " FROM (VALUES (%s, %s::numeric, %s::numeric, %s, %s::numeric, %s::numeric))"
            " v (p, q, b, f, e, x)",
            given,
        ).fetchone()
        assert found is not None
        assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["unit", "flat", "package", "graduated", "percentage"])
def test_more_usage_never_costs_less(db: Connection, kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(40):
        price = model.random_price(rng, kind)
        found = [
            a
            for (a,) in db.execute(
                "SELECT (SELECT sum(amount) FROM rate(%s, q / 4.0, event_count => 3))"
                " FROM generate_series(1, 120) q ORDER BY q",
                [Jsonb(price)],
            )
        ]
        assert found == sorted(found), price


def test_every_model_is_another_one_in_a_simple_case(db: Connection) -> None:
    one_tier = [{"up_to": None, "unit_amount": "0.3"}]
    same: list[dict[str, Any]] = [
        {"model": "unit", "unit_amount": "0.3"},
        {"model": "graduated", "tiers": one_tier},
        {"model": "volume", "tiers": one_tier},
        {"model": "package", "package_size": 1, "unit_amount": "0.3"},
        {"model": "percentage", "percent": 30},
        {"model": "matrix", "dimensions": ["model"], "cells": [{"when": {}, "unit_amount": "0.3"}]},
    ]
    for quantity in (0, 1, 17, 12345678901234567890):
        assert len({total(db, price, quantity) for price in same}) == 1


def test_amounts_are_exact(db: Connection) -> None:
    long = "0." + "1" * 99
    assert total(db, {"model": "unit", "unit_amount": long}, "1" * 50) == Fraction(
        int("1" * 99) * int("1" * 50), 10**99
    )
    thirds = {**UNIT, "convert": {"divide_by": 3}}
    assert total(db, thirds, 1) == Fraction("0.66666666666666666666")
    assert total(db, {**UNIT, "convert": {"divide_by": 2**40}}, 1) == Fraction(2, 2**40)
    assert total(db, {**UNIT, "convert": {"divide_by": 3, "round": "up"}}, "3.0000000000000000000000001") == 4


def test_the_lines_say_how_the_amount_comes_about(db: Connection) -> None:
    tiers = [
        {"up_to": 1000, "unit_amount": "0.01"},
        {"up_to": None, "unit_amount": "0.002", "flat_amount": 3},
    ]
    graduated = {"model": "graduated", "tiers": tiers, "maximum_amount": 12, "discount_percent": 10}
    assert [(line[0], line[1], line[5]) for line in rate(db, graduated, 5000)] == [
        (1, 1000, "units 1 to 1000: 1000 x 0.01"),
        (2, 4000, "units 1001 to 5000: 4000 x 0.002 + 3"),
        (None, None, "discount: 10% of 21"),
        (None, None, "maximum 12 for the period; without it: 18.9"),
    ]
    volume = {"model": "volume", "tiers": tiers}
    assert [(line[0], line[4], line[5]) for line in rate(db, volume, 1500, billed=500)] == [
        (1, -5, "taken back: -500 x 0.01"),
        (2, 7, "all units 1 to 2000 at the rate of tier 2: 2000 x 0.002 + 3"),
    ]
    (line,) = rate(db, {**UNIT, "free_units": 5, "convert": {"divide_by": 10, "round": "up"}}, 91)
    assert line[5] == "units 1 to 5: 5 x 2; in the period: 91 / 10 rounded up = 10, 5 free"


def test_no_usage_has_a_line_too(db: Connection) -> None:
    for kind in model.MODELS:
        price = model.random_price(random.Random(1), kind, plain=True)
        for final in (True, False):
            assert len(rate(db, price, 0, final=final, event_count=0)) == 1


def test_what_is_due_without_usage_is_due_once(db: Connection) -> None:
    price = {**UNIT, "minimum_amount": 10}
    assert [total(db, price, 0, final=False), total(db, price, 0)] == [0, 10]
    assert [total(db, price, 3), total(db, price, 3, billed=3)] == [10, 2]
    assert total(db, price, -3, billed=3) == 0
    assert total(db, price, -3, billed=3, final=False) == -10


MATRIX = {
    "model": "matrix",
    "dimensions": ["model", "region"],
    "cells": [
        {"when": {"model": "large", "region": "eu"}, "unit_amount": "3"},
        {"when": {"model": "large"}, "price": {"model": "package", "package_size": 10, "unit_amount": "20"}},
        {"when": {"model": "*", "region": "us"}, "model": "flat", "flat_amount": "5"},
        {"when": {"model": "large", "region": "us"}, "unit_amount": "7"},
    ],
}


@pytest.mark.parametrize(
    ("dimensions", "amount"),
    [
        ({"model": "large", "region": "eu"}, 30),
        ({"model": "large", "region": "us"}, 70),
        ({"model": "large", "region": "asia"}, 20),
        ({"model": "large"}, 20),
        ({"model": "small", "region": "us", "other": "x"}, 5),
    ],
)
def test_the_most_specific_cell_counts(db: Connection, dimensions: Any, amount: int) -> None:
    assert total(db, MATRIX, 10, dimensions=dimensions) == amount


def test_usage_without_a_cell_is_an_error_line_and_never_free(db: Connection) -> None:
    for given in ({"dimensions": {"model": "small", "region": "eu"}}, {"dimensions": None}, {}):
        (line,) = rate(db, {**MATRIX, "minimum_amount": 1}, 10, **given)
        assert (line[0], line[1], line[4]) == (None, 10, None)
        assert line[5].startswith("error: no cell for ")


def test_a_matrix_bounds_the_sum_of_its_combinations(db: Connection) -> None:
    price = {**MATRIX, "maximum_amount": 60, "discount_percent": 10}
    both = [
        {"when": {"model": "large", "region": "eu"}, "quantity": 10},
        {"when": {"model": "large", "region": "us"}, "quantity": "5"},
    ]
    assert total(db, price, 15, dimensions=both) == Fraction("58.5")
    later = [
        {"when": {"model": "large", "region": "eu"}, "quantity": 4, "billed": 10},
        {"when": {"model": "large", "region": "us"}, "quantity": "-1", "billed": 5},
    ]
    assert total(db, price, 3, billed=15, dimensions=later) == Fraction("1.5")
    with refused("22023", "dimensions"):
        rate(db, price, 14, dimensions=both)
    twice = [both[0], {**both[0], "quantity": 5}]
    for wrong in ("x", 5, [5], [{"when": {}}], [{"when": {"model": []}, "quantity": 15}], twice):
        with refused("22023", "dimensions"):
            db.execute("SELECT rate(%s, 15, dimensions => %s)", [Jsonb(price), Jsonb(wrong)])


def test_slices_of_a_matrix_add_up_too(db: Connection) -> None:
    rng = random.Random(11)
    names = ("a", "b", "c")
    for _ in range(200):
        inner = [model.random_price(rng, rng.choice(model.MODELS)) for _ in names]
        for price in inner:
            price.pop("currency", None)
        matrix = {
            "model": "matrix",
            "dimensions": ["kind"],
            "cells": [{"when": {"kind": n}, "price": p} for n, p in zip(names, inner, strict=True)],
            **{k: v for k, v in model._extras(rng).items() if k not in ("convert", "free_units")},
        }
        billed = {name: (Fraction(0), 0) for name in names}
        paid, wholes = Fraction(0), [quantities(rng, 3) for _ in names]
        for position, slices in enumerate(zip(*wholes, strict=True), 1):
            counts = [rng.randint(0, 3) for _ in names]
            before = sum(units for units, _ in billed.values())
            entries = [
                {
                    "when": {"kind": name},
                    "quantity": str(model.exact(quantity)),
                    "billed": str(model.exact(billed[name][0])),
                    "event_count": count,
                    "billed_events": billed[name][1],
                }
                for name, quantity, count in zip(names, slices, counts, strict=True)
            ]
            paid += total(
                db, matrix, model.exact(Fraction(sum(slices))), billed=model.exact(Fraction(before)),
                final=position == 3, dimensions=entries,
            )  # fmt: skip
            for name, quantity, count in zip(names, slices, counts, strict=True):
                billed[name] = (billed[name][0] + quantity, billed[name][1] + count)
        whole = sum(
            (
                model.rated(price, billed[name][0], events=billed[name][1])
                for name, price in zip(names, inner, strict=True)
            ),
            Fraction(0),
        )
        assert paid == model.bounded(matrix, whole), (matrix, wholes)


def test_events_of_a_combination_have_to_be_counted(db: Connection) -> None:
    cell = {"when": {}, "model": "percentage", "percent": 2, "fixed_amount": 1}
    matrix = {"model": "matrix", "dimensions": ["kind"], "cells": [cell]}
    with refused("22004", "event_count"):
        rate(db, matrix, 5, dimensions=[{"when": {"kind": "a"}, "quantity": 5}])
    given = [{"when": {"kind": "a"}, "quantity": 5, "event_count": 3}]
    assert total(db, matrix, 5, dimensions=given) == Fraction("3.1")


@pytest.mark.parametrize(
    ("given", "sqlstate", "column"),
    [
        ("null, 1", "22004", "price"),
        ("p, null", "22004", "quantity"),
        ("p, 1, null", "22004", "billed"),
        ("p, 1, final => null", "22004", "final"),
        ("p, 1, billed_events => null", "22004", "billed_events"),
        ("p, 'NaN'", "22023", "quantity"),
        ("p, 'Infinity'", "22023", "quantity"),
        ("p, 1e1000", "22023", "quantity"),
        ("p, -1", "22023", "quantity"),
        ("p, 1, -1", "22023", "quantity"),
        ("p, 1, 'NaN'", "22023", "quantity"),
        ("p, -3, 2", "22023", "quantity"),
        ("p, 1, event_count => 'NaN'", "22023", "event_count"),
        ("p, 1, event_count => 1.5", "22023", "event_count"),
        ("p, 1, event_count => -1", "22023", "event_count"),
        ("p, 1, billed_events => -1", "22023", "event_count"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(
    db: Connection, given: str, sqlstate: str, column: str
) -> None:
    with refused(sqlstate, column):
        db.execute(f"SELECT rate({given}) FROM (SELECT %s::jsonb AS p) x", [Jsonb(UNIT)])


def test_events_that_cost_something_have_to_be_counted(db: Connection) -> None:
    price = {"model": "percentage", "percent": 2, "fixed_amount": "0.3", "free_events": 10}
    with refused("22004", "event_count"):
        rate(db, price, 100)
    assert total(db, price, 100, event_count=12) == Fraction("2.6")
    assert total(db, price, 100, event_count=4, billed=50, billed_events=8) == Fraction("2.6")


def test_a_refusal_names_the_path(db: Connection) -> None:
    tiers = [
        {"up_to": 10, "unit_amount": 1},
        {"up_to": 5, "unit_amount": 1},
        {"up_to": None, "unit_amount": 1},
    ]
    with refused("22023", "price") as caught:
        rate(db, {"model": "graduated", "tiers": tiers}, 1)
    assert caught.value.diag.message_detail.startswith("$.tiers[1].up_to ")


FILES = (
    *("rate", "_check_price", "_compile_price", "_compile_tiers", "_compile_cells", "_price_fields"),
    *("_refuse_price", "_price_quantity", "_rate_matrix", "_rated_lines", "_matrix_lines", "_explain"),
)
FUNCTIONS = [
    name
    for file in FILES
    for name in re.findall(
        r"^create or replace function (\w+)",
        Path(__file__).parents[2].joinpath(f"sql/pricing/{file}.sql").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
]


def test_it_is_immutable_safe_in_parallel_and_reads_no_table(db: Connection) -> None:
    rows = db.execute(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'meter'::regnamespace"
        " AND (p.provolatile, p.proparallel) <> ('i', 's') AND p.proname = ANY (%s)",
        [FUNCTIONS],
    ).fetchall()
    assert rows == []
    assert db.execute("SELECT count(*) FROM pg_proc WHERE proname = ANY (%s)", [FUNCTIONS]).fetchone() == (
        len(FUNCTIONS),
    )
    with db.transaction():
        parallel = "debug_parallel_query" if db.info.server_version >= 160000 else "force_parallel_mode"
        db.execute("SELECT set_config(%s, 'on', true)", [parallel])
        query = "SELECT sum(amount) FROM generate_series(1, 50) q, rate(%s, q)"
        assert db.execute(query, [Jsonb(UNIT)]).fetchone() == (2550,)
    before = db.execute("SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_user_tables").fetchone()
    rate(db, UNIT, 5)
    db.execute("SELECT pg_stat_force_next_flush()")
    assert (
        before
        == db.execute("SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_user_tables").fetchone()
    )
