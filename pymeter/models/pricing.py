"""Prices, and what a quantity costs: sql/pricing/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter

from pymeter.models.values import Model, Moment, Quantity, to_decimal

PriceModel = Literal["unit", "flat", "package", "graduated", "volume", "percentage", "matrix"]


def _text(value: Decimal) -> str:
    return format(value, "f")


# Type checkers see the types that a caller may pass; the validated value is always a Decimal.
Amount = Annotated[Quantity, BeforeValidator(to_decimal), PlainSerializer(_text, str, "json")]


class RatedLine(Model):
    """One line of what a quantity costs."""

    tier: int | None
    """The tier of the price, from 1; None for a discount, a maximum or a minimum."""
    quantity: Decimal | None
    """What ``unit_amount`` is paid for: units, or packages of them."""
    unit_amount: Decimal | None
    flat_amount: Decimal | None
    amount: Decimal | None
    """quantity * unit_amount + flat_amount, exact. None: no cell fits, so the price is unknown."""
    explanation: str
    """The same for people."""


InvoiceKind = Literal["usage", "fee", "discount", "true_up", "late", "credit", "tax", "total"]
BillTiming = Literal["advance", "arrears"]
TiersAfterChange = Literal["continue", "restart"]


class PlanPrice(Model):
    """A version of a line of a plan."""

    price_version: int
    plan: str
    item: str
    metric: str | None = None
    """None: a fixed fee."""
    name: str | None = None
    subject: str | None = None
    """Whose line; None: of everybody who has the plan."""
    price: dict[str, Any] | None = None
    """The price's JSON object; None: the line ends."""
    currency: str
    bill: BillTiming
    prorate: bool
    tiers_after_change: TiersAfterChange
    since: Moment | None = None
    """From when it holds; None: from the beginning."""
    recorded_at: Moment
    recorded_by: str


class PlanMinimum(Model):
    """What a whole cycle of a plan costs at least."""

    plan: str
    amount: Decimal | None = None
    """None: there is no minimum."""
    currency: str
    since: Moment | None = None
    """From when it holds; None: from the beginning."""
    recorded_at: Moment | None = None
    recorded_by: str | None = None


class InvoiceLine(Model):
    """A line of an invoice."""

    item: str | None = None
    """The line of the plan; None for usage without a price, for the minimum of a plan, and for a total."""
    metric: str | None = None
    kind: InvoiceKind
    since: Moment
    until: Moment
    quantity: Decimal | None = None
    """What ``unit_amount`` is paid for; of a fee, how much of a cycle."""
    unit: str | None = None
    unit_amount: Decimal | None = None
    """A rate of the price, never an average."""
    exact_amount: Decimal | None = None
    """Not rounded. None: no price says what this costs."""
    amount: Decimal | None = None
    """Rounded so that the lines add up to the total."""
    currency: str | None = None
    price_version: int | None = None
    explanation: str
    """For people: how the amount comes about."""
    plan: str | None = None
    tier: int | None = None
    flat_amount: Decimal | None = None
    event_count: int | None = None
    name: str | None = None
    late_of: int | None = None
    """The statement of the earlier period that a line of kind ``late`` belongs to."""


class InvoiceHeader(Model):
    """What an invoice is of."""

    subject: str
    since: Moment
    until: Moment
    as_of: Moment | None = None


class InvoiceTotal(Model):
    """The sum of the lines of a currency; None if a line has no amount."""

    exact_amount: Decimal | None = None
    amount: Decimal | None = None


class Invoice(Model):
    """An invoice as one document."""

    header: InvoiceHeader
    lines: list[InvoiceLine]
    """Without the totals."""
    totals: dict[str, InvoiceTotal]
    """By currency."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Convert(_Part):
    """What the quantity is divided by, before anything else."""

    divide_by: Amount
    round: Literal["up", "down", "none"] = "none"


class Tier(_Part):
    """A tier of a graduated or volume price."""

    up_to: Amount | None
    """Where it ends, inclusive; None in the last tier, which is open."""
    unit_amount: Amount
    flat_amount: Amount | None = None


class _Price(_Part):
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """ISO 4217. Rating ignores it."""
    convert: Convert | None = None
    free_units: Amount | None = None
    discount_percent: Amount | None = None
    maximum_amount: Amount | None = None
    minimum_amount: Amount | None = None

    def document(self) -> dict[str, Any]:
        """The price as JSON has it: exact numbers are strings, and what is not set is left out."""
        found: dict[str, Any] = _without_none(self.model_dump(mode="json"))
        return found


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None or k == "up_to"}
    return [_without_none(v) for v in value] if isinstance(value, list) else value


class UnitPrice(_Price):
    """Each unit costs ``unit_amount``."""

    model: Literal["unit"] = "unit"
    unit_amount: Amount


class FlatPrice(_Price):
    """``flat_amount``, whatever the quantity."""

    model: Literal["flat"] = "flat"
    flat_amount: Amount


class PackagePrice(_Price):
    """Each package of ``package_size`` units that was begun costs ``unit_amount``."""

    model: Literal["package"] = "package"
    package_size: Amount
    unit_amount: Amount


class GraduatedPrice(_Price):
    """Each unit at the rate of its tier."""

    model: Literal["graduated"] = "graduated"
    tiers: tuple[Tier, ...]
    flat_at_zero: bool | None = None
    """Whether tier 1's flat amount is due at quantity 0; it is unless this is False."""


class VolumePrice(_Price):
    """All units at the rate of the tier that the whole quantity is in."""

    model: Literal["volume"] = "volume"
    tiers: tuple[Tier, ...]
    flat_at_zero: bool | None = None
    """Whether tier 1's flat amount is due at quantity 0; it is unless this is False."""


class PercentagePrice(_Price):
    """A percentage of the quantity, which is an amount, and ``fixed_amount`` for each event."""

    model: Literal["percentage"] = "percentage"
    percent: Amount
    fixed_amount: Amount | None = None
    free_events: Amount | None = None


SimplePrice = Annotated[
    UnitPrice | FlatPrice | PackagePrice | GraduatedPrice | VolumePrice | PercentagePrice,
    Field(discriminator="model"),
]


class Cell(_Part):
    """A cell of a matrix: the price of the combinations that it fits."""

    when: dict[str, str]
    """The value of each dimension, * for any; a dimension that is left out may have any, too."""
    price: SimplePrice


class MatrixPrice(_Price):
    """A price per combination of metadata values; the most specific cell counts."""

    model: Literal["matrix"] = "matrix"
    dimensions: tuple[str, ...]
    cells: tuple[Cell, ...]


Price = Annotated[
    UnitPrice | FlatPrice | PackagePrice | GraduatedPrice | VolumePrice | PercentagePrice | MatrixPrice,
    Field(discriminator="model"),
]
"""A price document, by its ``model``."""

GivenPrice = (
    UnitPrice
    | FlatPrice
    | PackagePrice
    | GraduatedPrice
    | VolumePrice
    | PercentagePrice
    | MatrixPrice
    | Mapping[str, Any]
)
"""A price as a call takes it: one of the models, or the JSON object itself."""

Dimensions = Mapping[str, str] | Sequence[Mapping[str, Any]]
"""One combination, or several with their quantities."""

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Price)


def read_price(document: Mapping[str, Any]) -> Any:
    """The model of a price document; pydantic's ValidationError, a ValueError, if it is none.

    The rules that need more than one field are checked in SQL.
    """
    return _ADAPTER.validate_python(document)


def as_document(price: GivenPrice) -> Any:
    """The JSON value of a price; what is no model is sent as it is."""
    return price.document() if isinstance(price, _Price) else price


def price_schema() -> dict[str, Any]:
    """The JSON Schema of price documents."""
    return _ADAPTER.json_schema()
