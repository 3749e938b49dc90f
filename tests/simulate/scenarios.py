"""What the tests of scenarios share: short ways to write them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

Scenario = dict[str, Any]
TIERS = [
    {"upTo": 100, "unitPrice": 0.5, "flatPrice": 10},
    {"upTo": 1000, "unitPrice": 0.3, "flatPrice": 50},
    {"upTo": None, "unitPrice": 0.2, "flatPrice": 100},
]


def simulate(db: psycopg.Connection[Any], scenario: Any) -> Any:
    row = db.execute("SELECT meter.simulate(%s)", [Jsonb(scenario)]).fetchone()
    assert row is not None
    return row[0]


def refusal(db: psycopg.Connection[Any], scenario: Any) -> str:
    """What DETAIL says of a scenario that is refused."""
    with pytest.raises(psycopg.errors.InvalidParameterValue) as error:
        simulate(db, scenario)
    assert error.value.diag.message_hint
    return str(error.value.diag.message_detail)


def item(metric: str, quantity: Any, model: str, **config: Any) -> Scenario:
    """One of the usageItems of a .sim.json."""
    return {
        "metric": metric,
        "quantity": quantity,
        "priceConfig": {"model": model, "currency": "USD", **config},
    }


def sim(*items: Scenario, expected: Any = None, tolerances: Any = None, **inputs: Any) -> Scenario:
    """A .sim.json of January 2024."""
    found: Scenario = {
        "metadata": {"name": "a test", "version": "1"},
        "inputs": {
            "customerId": "c", "periodStart": "2024-01-01", "periodEnd": "2024-02-01",
            "usageItems": [*items], **inputs,
        },
    }  # fmt: skip
    found |= {} if expected is None else {"expected": expected}
    return found | ({} if tolerances is None else {"tolerances": tolerances})


def own(**fields: Any) -> Scenario:
    """A scenario with a price for tokens."""
    price = {"metric": "tokens", "price": {"model": "unit", "unit_amount": "0.002"}}
    return {"currency": "EUR", "prices": [price], "usage": [{"metric": "tokens", "quantity": 1500}], **fields}
