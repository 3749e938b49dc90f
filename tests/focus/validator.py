"""The rules of FOCUS 1.2 for a file, from the text of the specification: `problems` lists what breaks one.

A row is what a CSV reader returns: texts, of which an empty one is null.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from fractions import Fraction

from tests.focus.columns import COLUMNS, RECOMMENDED_HERE, REQUIRED_HERE, SERVICE_SUBCATEGORIES

Row = Mapping[str, str]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(E-?[0-9]+)?", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_PASCAL = re.compile(r"(x_)?([A-Z][a-z0-9]+)+", re.ASCII)
_OF_PRICES = (
    *("ListUnitPrice", "ContractedUnitPrice", "PricingQuantity", "PricingCategory"),
    *("SkuId", "SkuPriceId"),
)
# One value of the first column has one of the second, in a whole file.
_ONE_FOR = (
    ("SkuPriceId", "SkuId"),
    ("SkuPriceId", "SkuPriceDetails"),
    ("SkuId", "SkuMeter"),
    ("ServiceName", "ServiceCategory"),
    ("ServiceName", "ServiceSubcategory"),
    ("InvoiceId", "BillingAccountId"),
    ("InvoiceId", "BillingPeriodStart"),
    ("InvoiceId", "BillingPeriodEnd"),
)


def read(text: str) -> tuple[list[str], list[dict[str, str]]]:
    """The header and the rows of a file."""
    reader = csv.DictReader(io.StringIO(text))
    return list(reader.fieldnames or ()), list(reader)


def problems(text: str) -> list[str]:
    """What breaks a rule of the specification, one text for each; none for a file that conforms."""
    header, rows = read(text)
    found = [*_of_header(header), *_of_file(rows)]
    for number, row in enumerate(rows, 1):
        broken = [*_of_values(row)] or [*_of_row(row)]
        found += [f"row {number}: {problem}: {dict(row)}" for problem in broken]
    return found


def _of_header(header: list[str]) -> Iterator[str]:
    for name, column in COLUMNS.items():
        needed = column.level == "mandatory" or name in REQUIRED_HERE | RECOMMENDED_HERE
        if needed and name not in header:
            yield f"there is no column {name}"
    own = [name for name in header if name not in COLUMNS]
    for name in header:
        if not _PASCAL.fullmatch(name):
            yield f"{name} is not in Pascal case"
        if len(name) > 50:
            yield f"{name} is longer than 50 characters"
    yield from (f"{name} is a custom column without x_" for name in own if not name.startswith("x_"))
    if header[len(header) - len(own) :] != own:
        yield "a custom column stands before one of FOCUS"
    if len(set(header)) < len(header):
        yield "a column is there twice"


def _of_values(row: Row) -> Iterator[str]:
    """Types, formats, nulls and values, column by column."""
    for name, value in row.items():
        column = COLUMNS.get(name)
        if column is None:
            continue
        if value == "":
            if not column.nullable:
                yield f"{name} is null"
        elif not value.strip():
            yield f"{name} is blank"
        elif column.values and value not in column.values:
            yield f"{name} has a value that is not allowed"
        elif column.kind == "number" and not _NUMBER.fullmatch(value):
            yield f"{name} is not in the numeric format"
        elif column.kind == "currency" and not _CURRENCY.fullmatch(value):
            yield f"{name} is no code of a currency"
        elif column.kind == "time" and not _is_time(value):
            yield f"{name} is not in the format of a time"
        elif column.kind == "object":
            yield from (f"{name}: {problem}" for problem in _of_object(value))


def _is_time(value: str) -> bool:
    if not _TIME.fullmatch(value):
        return False
    datetime.fromisoformat(value)
    return True


def _of_object(text: str) -> Iterator[str]:
    pairs = json.loads(text, object_pairs_hook=list)
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        yield "not a JSON object"
        return
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        yield "a key is there twice"
    # None of the properties that FOCUS defines (CoreCount, StorageClass ...) is one that pymeter knows.
    yield from (f"{name} does not begin with x_" for name in names if not name.startswith("x_"))
    yield from (f"{name} is an object or array" for name, value in pairs if isinstance(value, list | dict))


def _of_row(row: Row) -> Iterator[str]:
    """Rules between the columns of a row."""
    category, is_correction = row["ChargeCategory"], row["ChargeClass"] == "Correction"
    if category == "Tax":
        yield from (f"{name} of a tax" for name in _OF_PRICES if row.get(name))
    if category in ("Usage", "Purchase") and not is_correction:
        yield from (f"no {name}" for name in _OF_PRICES if row.get(name) == "")
    if category != "Usage" and row["ConsumedQuantity"]:
        yield "ConsumedQuantity of what is not used"
    if category == "Usage" and not is_correction and not row["ConsumedQuantity"]:
        yield "no ConsumedQuantity of usage"
    if category == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a purchase that is Usage-Based"
    for name in ("PricingUnit", "ConsumedUnit"):
        if re.match(r"[0-9]*[.][0-9]", row[name]):
            yield f"the quantity in {name} is not a whole number"
    for one, other in (
        ("PricingQuantity", "PricingUnit"),
        ("ConsumedQuantity", "ConsumedUnit"),
        ("SkuId", "SkuMeter"),
    ):
        if bool(row[one]) != bool(row[other]):
            yield f"{one} without {other}, or the other way round"
    if row["SkuPriceDetails"] and not row["SkuPriceId"]:
        yield "SkuPriceDetails without SkuPriceId"
    if SERVICE_SUBCATEGORIES[row["ServiceSubcategory"]] != row["ServiceCategory"]:
        yield "ServiceSubcategory of another ServiceCategory"
    for period in ("BillingPeriod", "ChargePeriod"):
        if not _at(row, f"{period}Start") < _at(row, f"{period}End"):
            yield f"{period} has no length"
    yield from _of_costs(row, category, is_correction)


def _at(row: Row, name: str) -> datetime:
    return datetime.fromisoformat(row[name])


def _of_costs(row: Row, category: str, is_correction: bool) -> Iterator[str]:
    for name in ("List", "Contracted"):
        cost, price = Fraction(row[f"{name}Cost"]), row[f"{name}UnitPrice"]
        if price and Fraction(price) < 0:
            yield f"{name}UnitPrice is negative"
        if price and row["PricingQuantity"] and not is_correction:
            if Fraction(price) * Fraction(row["PricingQuantity"]) != cost:
                yield f"{name}UnitPrice x PricingQuantity is not {name}Cost"
        elif not price and category != "Tax" and cost != Fraction(row["BilledCost"]):
            yield f"{name}Cost is not BilledCost, and there is no {name}UnitPrice"
    if category in ("Credit", "Adjustment") and Fraction(row["EffectiveCost"]) != Fraction(row["BilledCost"]):
        yield "EffectiveCost of a credit or an adjustment is not BilledCost"


def _of_file(rows: Iterable[Row]) -> Iterator[str]:
    """Rules between rows."""
    for one, other in _ONE_FOR:
        found = defaultdict(set)
        for row in rows:
            if row.get(one):
                found[row[one]].add(row.get(other))
        yield from (
            f"{one} {value} has several {other}" for value, others in found.items() if len(others) > 1
        )
