"""Invoices of scenarios: sql/simulate/."""

from __future__ import annotations

from decimal import Decimal

from pymeter.models.pricing import InvoiceLine, InvoiceTotal
from pymeter.models.values import Model, Moment


class ScenarioHeader(Model):
    """What the invoice of a scenario is of."""

    name: str | None = None
    since: Moment
    until: Moment


class ExpectedValue(Model):
    """A value that a scenario expects, and what its invoice has."""

    path: str
    """Where the scenario says so, as a JSON path."""
    expected: str
    found: str | None = None
    """None: the invoice has no such line, or its amount is unknown."""
    difference: Decimal | None = None
    """found - expected; None for what is no number."""
    allowed: Decimal | None = None
    """How much it may differ."""
    passed: bool


class Simulation(Model):
    """The invoice of a scenario: subtotal + credits + tax = total. None: an amount is unknown."""

    header: ScenarioHeader
    lines: list[InvoiceLine]
    """Without the total."""
    totals: dict[str, InvoiceTotal]
    """As an invoice has them; a scenario has one currency."""
    currency: str
    subtotal: Decimal | None = None
    """Without credits and taxes."""
    credits: Decimal | None = None
    """Negative: what credits pay."""
    tax: Decimal | None = None
    total: Decimal | None = None
    expected: list[ExpectedValue]
    passed: bool | None = None
    """Whether all that is expected was found; None: nothing is expected."""


class PlanComparison(Model):
    """What the usage of a window costs a subject under two plans."""

    subject: str | None = None
    """None: the sum of all."""
    currency_a: str | None = None
    """None: the plan has no prices."""
    amount_a: Decimal | None = None
    """None: unknown."""
    currency_b: str | None = None
    amount_b: Decimal | None = None
    difference: Decimal | None = None
    """amount_b - amount_a; None: unknown, or the currencies differ."""
    pays_more: int | None = None
    """How many pay more under the second plan."""
    pays_less: int | None = None
    pays_same: int | None = None
