"""What a scenario costs: sql/simulate/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import PlanComparison, Simulation


def simulate(scenario: Mapping[str, Any]) -> Call[Simulation]:
    """Return the invoice of a scenario: usage, prices, minimums, credits and taxes; nothing is stored.

    Args:
        scenario: A JSON object; sql/simulate/README.md lists its fields. The ``.sim.json`` of
            StripeMeter is read, too.

    Returns:
        The lines, their sums, and for each value that the scenario expects, what was found.

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


def compare_plans(
    plan_a: str, plan_b: str, since: datetime, until: datetime, *, subjects: Sequence[str] | None = None
) -> Call[list[PlanComparison]]:
    """Return what everybody's usage costs under two plans: who would pay more, who less, and in sum.

    Args:
        plan_a: The key of a plan.
        plan_b: The key of the other one.
        since: Usage from here on.
        until: Usage until here (exclusive).
        subjects: Of these only; unless given, of all who used what one of the plans has a price for, or
            had one of them.

    Returns:
        A row for each subject; last, with ``subject`` None, the sum of all.

    Raises:
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed.
        EventsDropped: the window begins or ends inside a bucket whose events were dropped.

    Example:
        meter.compare_plans("free", "pro", since, until)[-1].difference
    """
    return Call(
        "compare_plans",
        (
            argument.text("plan_a", plan_a, required=True),
            argument.text("plan_b", plan_b, required=True),
            argument.time("since", since, required=True),
            argument.time("until", until, required=True),
            argument.texts("subjects", subjects),
        ),
        result.every(PlanComparison),
    )


def _document(rows: Sequence[dict[str, Any]]) -> Simulation:
    (value,) = rows[0].values()
    return Simulation.model_validate(value)
