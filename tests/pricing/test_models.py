"""The typed models of prices: a round trip to JSON, the JSON Schema, and the two clients."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pydantic
import pytest

from pymeter import InvalidInput, Meter
from pymeter.models import GraduatedPrice, MatrixPrice, Tier, UnitPrice, price_schema, read_price
from tests.pricing import model

SCHEMA = Path(__file__).resolve().parents[2] / "sql" / "pricing" / "price.schema.json"
COMMAND = "python -m tests.pricing.test_models"


def schema_text() -> str:
    return json.dumps(price_schema(), indent=1) + "\n"


@pytest.fixture
def meter(db: psycopg.Connection[Any]) -> Meter:
    return Meter(db)


def test_the_schema_beside_the_page_is_that_of_the_models() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), COMMAND


def test_a_price_is_rated_as_a_model_and_as_a_document(meter: Meter) -> None:
    price = GraduatedPrice(
        tiers=(Tier(up_to=10, unit_amount="0.3"), Tier(up_to=None, unit_amount="0.1", flat_amount=2)),
        minimum_amount=Decimal("1.50"),
    )
    document = {
        "model": "graduated",
        "tiers": [
            {"up_to": "10", "unit_amount": "0.3"},
            {"up_to": None, "unit_amount": "0.1", "flat_amount": "2"},
        ],
        "minimum_amount": "1.50",
    }
    assert price.document() == document
    assert read_price(document) == price
    lines = meter.rate(price, 15)
    assert lines == meter.rate(document, 15)
    assert sum(line.amount or 0 for line in lines) == Decimal("5.5")
    assert [line.tier for line in lines] == [1, 2]


def test_random_prices_survive_the_round_trip(meter: Meter) -> None:
    rng = random.Random(3)
    for _ in range(200):
        document = model.random_price(rng)
        if document["model"] == "matrix":
            document["cells"] = [
                {"when": cell["when"], "price": model.cell_price(cell)} for cell in document["cells"]
            ]
        price = read_price(document)
        assert read_price(price.document()) == price
        amounts = [
            [line.amount for line in meter.rate(given, 17, event_count=3)] for given in (document, price)
        ]
        assert amounts[0] == amounts[1]


def test_what_is_no_price_is_refused_in_python_or_in_sql(meter: Meter) -> None:
    for wrong in ({"model": "unit"}, {"model": "x"}, {"model": "unit", "unit_amount": 0.5}, {}):
        with pytest.raises(pydantic.ValidationError):
            read_price(wrong)
    with pytest.raises(InvalidInput) as caught:
        meter.rate(UnitPrice(unit_amount=-1), 5)
    assert caught.value.detail is not None
    assert caught.value.detail.startswith("$.unit_amount ")


def test_a_combination_without_a_cell_has_no_amount(meter: Meter) -> None:
    matrix = MatrixPrice.model_validate(
        {
            "dimensions": ["model"],
            "cells": [{"when": {"model": "large"}, "price": {"model": "unit", "unit_amount": 2}}],
        }
    )
    (line,) = meter.rate(matrix, 5, dimensions={"model": "small"})
    assert line.amount is None
    (line,) = meter.rate(matrix, 5, dimensions=[{"when": {"model": "large"}, "quantity": "5"}])
    assert line.amount == 10


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
