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
