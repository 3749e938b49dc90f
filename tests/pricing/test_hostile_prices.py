"""Documents that are no prices, or almost: each is refused with its path, or rated as the model says."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest

from tests.pricing import model

Connection = psycopg.Connection[Any]

DOCUMENTS = 10_000
BATCH = 500
JUNK: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        3,
        10**400,
        10**99,
        10**100,
        0.5,
        1e-7,
        [],
        {},
        [[]],
        [None],
        {"": 1},
        ["model"],
    ),
    *(
        "",
        " ",
        "x",
        "1",
        "0",
        "-1",
        "+1",
        "NaN",
        "Infinity",
        "-0",
        "1e400",
        "1e-400",
        "1e5",
        "1e",
        "e5",
        ".",
        ".5",
    ),
    *("5.", "1.2.3", "1_000", "0x10", "1 ", "1,5", "\N{ARABIC-INDIC DIGIT THREE}", "9" * 100, "9" * 101),
    *("1" + "0" * 250, "0." + "1" * 100, "0." + "1" * 101, "*", "none", "up", "USD", "usd", "U$D"),
    *("unit", "flat", "matrix", "graduated", "volume", "package", "percentage"),
    *([{"up_to": None, "unit_amount": 1}], {"divide_by": 0}, {"divide_by": "3"}, {"model": "unit"}),
]
FIELDS = [
    *(
        "model",
        "unit_amount",
        "flat_amount",
        "tiers",
        "up_to",
        "package_size",
        "percent",
        "fixed_amount",
        "when",
    ),
    *(
        "free_events",
        "flat_at_zero",
        "convert",
        "divide_by",
        "round",
        "free_units",
        "discount_percent",
        "cells",
    ),
    *(
        "maximum_amount",
        "minimum_amount",
        "currency",
        "dimensions",
        "price",
        "upTo",
        "per_event_minimum",
        "",
        "a.b",
    ),
]

VERDICT = """
CREATE FUNCTION pg_temp.verdict(document jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE code text; path text; field text; hint text; message text;
BEGIN
    RETURN array['', (SELECT sum(amount) FROM meter.rate(document, 17, event_count => 3))::text];
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, path = PG_EXCEPTION_DETAIL, field = COLUMN_NAME,
        hint = PG_EXCEPTION_HINT, message = MESSAGE_TEXT;
    RETURN array[code, path, field, hint, message];
END $$
"""


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def mutate(rng: random.Random, document: Any) -> Any:
    """The document with one thing changed."""
    found = list(places(document))
    if not found or rng.random() < 0.02:
        return rng.choice(JUNK)
    container, key = rng.choice(found)
    match rng.randrange(6):
        case 0:
            del container[key]
        case 1 | 2:
            container[key] = json.loads(json.dumps(rng.choice(JUNK)))
        case 3 if isinstance(container, dict):
            container[rng.choice(FIELDS)] = json.loads(json.dumps(rng.choice(JUNK)))
        case 4 if isinstance(container, list):
            container.append(json.loads(json.dumps(rng.choice(container))))
        case _:
            other, place = rng.choice(found)
            container[key] = json.loads(json.dumps(other.get(place) if isinstance(other, dict) else None))
    return document


def hostile(rng: random.Random) -> str:
    document: Any = model.random_price(rng)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        document = mutate(rng, document)
    return json.dumps(document)


def expected(document: Any) -> Fraction | None:
    """The amount of 17 units and 3 events without dimensions; None: unknown."""
    if document["model"] != "matrix":
        return model.rated(document, Fraction(17), events=3)
    for cell in document["cells"]:
        if all(value == "*" for value in cell["when"].values()):
            inherited = {k: document[k] for k in ("convert", "free_units") if k in document}
            price = inherited | model.cell_price(cell)
            return model.bounded(document, model.rated(price, Fraction(17), events=3))
    return None


@pytest.mark.parametrize("seed", range(DOCUMENTS // BATCH))
def test_a_hostile_document_is_refused_with_a_path_or_is_right(db: Connection, seed: int) -> None:
    rng = random.Random(seed)
    texts = [hostile(rng) for _ in range(BATCH)]
    db.execute(VERDICT)
    rows = db.execute(
        "SELECT pg_temp.verdict(d::jsonb) FROM unnest(%s::text[]) WITH ORDINALITY x (d, n) ORDER BY n",
        [texts],
    ).fetchall()
    accepted = 0
    for text, (verdict,) in zip(texts, rows, strict=True):
        document = json.loads(text, parse_float=Decimal)
        code, first, *rest = verdict
        if code == "":
            accepted += 1
            assert model.is_price(document), f"accepted: {text}"
            amount = expected(document)
            assert (None if first is None else Fraction(first)) == amount, text
        else:
            assert code == "22023", f"{code} {first} {rest}: {text}"
            assert not model.is_price(document), f"refused: {first} {text}"
            assert re.match(r"\$\S* (is|ends|would) ", first) or '["' in first, first
            assert rest[0] == "price"
            assert rest[1], "no HINT"
            assert rest[2] == "invalid price"
    assert 10 < accepted < BATCH


def test_depth_is_no_problem(db: Connection) -> None:
    db.execute(VERDICT)
    for field in ("convert", "tiers", "cells", "x"):
        deep = f'{{"model": "graduated", "{field}": ' + "[" * 1000 + "]" * 1000 + "}"
        nested = (
            '{"model": "matrix", "dimensions": ["a"], "cells": [{"when": {}, "price": ' * 300
            + "5"
            + "}]}" * 300
        )
        for text in (deep, nested):
            (verdict,) = db.execute("SELECT pg_temp.verdict(%s::jsonb)", [text]).fetchone() or ((),)
            assert verdict[0] == "22023"


def test_a_thousand_tiers_are_a_price_and_one_more_is_none(db: Connection) -> None:
    db.execute(VERDICT)
    for count, code in ((1000, ""), (1001, "22023")):
        tiers = [{"up_to": n if n < count else None, "unit_amount": 1} for n in range(1, count + 1)]
        document = json.dumps({"model": "graduated", "tiers": tiers})
        (verdict,) = db.execute("SELECT pg_temp.verdict(%s::jsonb)", [document]).fetchone() or ((),)
        assert verdict[0] == code


@pytest.mark.parametrize(
    ("cells", "tied"),
    [
        ([{"a": "1"}, {"a": "1"}], 1),
        ([{"a": "1"}, {"b": "1"}], 1),
        ([{"a": "1"}, {"a": "2"}], None),
        ([{"a": "1", "b": "*"}, {"b": "1"}, {"a": "1", "b": "1"}], None),
        ([{}, {"a": "*"}], 1),
        ([{"a": 1}, {"a": "1"}], 1),
    ],
)
def test_cells_that_are_equally_specific_are_refused(
    db: Connection, cells: list[Any], tied: int | None
) -> None:
    document = {
        "model": "matrix",
        "dimensions": ["a", "b"],
        "cells": [{"when": when, "unit_amount": 1} for when in cells],
    }
    db.execute(VERDICT)
    (verdict,) = db.execute("SELECT pg_temp.verdict(%s::jsonb)", [json.dumps(document)]).fetchone() or ((),)
    assert verdict[0] == ("" if tied is None else "22023")
    assert tied is None or verdict[1].startswith(f"$.cells[{tied}].when ")
