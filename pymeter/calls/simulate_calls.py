"""What a scenario costs: sql/simulate/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymeter.calls import argument
from pymeter.calls.call import Call
from pymeter.models import Simulation


def simulate(scenario: Mapping[str, Any]) -> Call[Simulation]:
    """Return the invoice of a scenario: usage, prices, minimums, credits and taxes; nothing is stored.

    Args:
        scenario: A JSON object; sql/simulate/README.md lists its fields. The ``.sim.json`` of
            StripeMeter is read, too.

    Returns:
        The lines, their sums, and what became of each value that the scenario expects.

    Raises:
        InvalidInput: the scenario is not allowed; the detail has the path in it.
        NotFound: there is no such plan.

    Example:
        meter.simulate({
            "prices": {"plan": "pro"}, "usage": [{"metric": "tokens", "quantity": 1500}],
            "expected": {"total": "3.00"},
        }).passed
    """
    return Call("simulate", (argument.json("scenario", scenario, required=True),), _document)


def _document(rows: Sequence[dict[str, Any]]) -> Simulation:
    (value,) = rows[0].values()
    return Simulation.model_validate(value)
