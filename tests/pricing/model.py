"""What prices mean, once more: in fractions, from the text of sql/pricing/README.md, tier by tier.

``is_price`` says whether a document is a price, ``rated`` what a slice costs; ``random_price`` makes prices.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

Document = Mapping[str, Any]

MODELS = ("unit", "flat", "package", "graduated", "volume", "percentage")
_NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_COMMON = {"convert", "free_units", "discount_percent", "maximum_amount", "minimum_amount"}
_REQUIRED = {
    "unit": {"unit_amount"},
    "flat": {"flat_amount"},
    "package": {"package_size", "unit_amount"},
    "graduated": {"tiers"},
    "volume": {"tiers"},
    "percentage": {"percent"},
    "matrix": {"dimensions", "cells"},
}
_OPTIONAL = {
    "graduated": {"flat_at_zero"},
    "volume": {"flat_at_zero"},
    "percentage": {"fixed_amount", "free_events"},
}
_CONTEXT = Context(prec=3000)


def number(value: Any) -> Decimal | None:
    """The number of a price that a JSON value is, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value) or len(value) > 210:
            return None
        value = Decimal(value)
    if not isinstance(value, int | Decimal):
        return None
    found = Decimal(value)
    digits = format(_CONTEXT.normalize(found), "f").lstrip("0").replace(".", "")
    return found if found >= 0 and len(digits) <= 100 and found < Decimal("1e100") else None


def is_price(document: Any, *, in_cell: bool = False, matrix: Document | None = None) -> bool:
    """Whether rate() is to accept the document."""
    if not isinstance(document, dict):
        return False
    model = document.get("model")
    if not isinstance(model, str) or model not in _REQUIRED or (in_cell and model == "matrix"):
        return False
    allowed = {"model"} | _REQUIRED[model] | _OPTIONAL.get(model, set()) | _COMMON
    allowed |= set() if in_cell else {"currency"}
    if not _REQUIRED[model] <= document.keys() <= allowed:
        return False
    given = {name: number(document[name]) for name in document if name.endswith(("_amount", "percent"))}
    given |= {n: number(document[n]) for n in ("free_units", "free_events", "package_size") if n in document}
    if None in given.values() or given.get("package_size") == 0 or given.get("discount_percent", 0) > 100:  # type: ignore[operator]
        return False
    if given.get("free_events", 0) % 1 or given.get("maximum_amount", math.inf) < given.get(
        "minimum_amount", 0
    ):  # type: ignore[operator]
        return False
    if "currency" in document and not (
        isinstance(document["currency"], str) and re.fullmatch("[A-Z]{3}", document["currency"], re.ASCII)
    ):
        return False
    if "convert" in document and not _is_convert(document["convert"]):
        return False
    if "tiers" in document and not _are_tiers(document["tiers"]):
        return False
    if not isinstance(document.get("flat_at_zero", True), bool):
        return False
    return model != "matrix" or _is_matrix(document)


def _is_convert(convert: Any) -> bool:
    return (
        isinstance(convert, dict)
        and {"divide_by"} <= convert.keys() <= {"divide_by", "round"}
        and bool(number(convert["divide_by"]))
        and convert.get("round", "none") in ("up", "down", "none")
    )


def _are_tiers(tiers: Any) -> bool:
    if not isinstance(tiers, list) or not 1 <= len(tiers) <= 1000:
        return False
    lower = Decimal(0)
    for position, tier in enumerate(tiers, 1):
        names = {"up_to", "unit_amount"}
        if not isinstance(tier, dict) or not names <= tier.keys() <= names | {"flat_amount"}:
            return False
        if number(tier["unit_amount"]) is None or number(tier.get("flat_amount", 0)) is None:
            return False
        if position == len(tiers):
            return tier["up_to"] is None
        upper = number(tier["up_to"])
        if upper is None or upper <= lower:
            return False
        lower = upper
    return False


def _is_matrix(document: Document) -> bool:
    dimensions, cells = document["dimensions"], document["cells"]
    if not isinstance(dimensions, list) or not 1 <= len(dimensions) <= 20:
        return False
    if not all(isinstance(d, str) and d.strip(" \t\n\r\f\v") and len(d) <= 200 for d in dimensions):
        return False
    if len(set(dimensions)) < len(dimensions) or not isinstance(cells, list) or not 1 <= len(cells) <= 1000:
        return False
    for cell in cells:
        if not isinstance(cell, dict) or not isinstance(cell.get("when"), dict):
            return False
        if not cell["when"].keys() <= set(dimensions):
            return False
        if any(v is None or isinstance(v, dict | list) for v in cell["when"].values()):
            return False
        if "price" in cell and cell.keys() != {"when", "price"}:
            return False
        if not is_price(cell_price(cell), in_cell=True):
            return False
    patterns = [_pattern(cell) for cell in cells]
    for i, a in enumerate(patterns):
        for b in patterns[:i]:
            if len(a) == len(b) and all(b.get(k, v) == v for k, v in a.items()):
                meet = a | b
                if not any(len(c) > len(a) and c.items() <= meet.items() for c in patterns):
                    return False
    return True


def cell_price(cell: Document) -> Any:
    price = cell["price"] if "price" in cell else {k: v for k, v in cell.items() if k != "when"}
    return {"model": "unit", **price} if isinstance(price, dict) else price


def _pattern(cell: Document) -> dict[str, str]:
    return {k: as_text(v) for k, v in cell["when"].items() if v != "*"}


def as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _f(document: Document, name: str, default: int = 0) -> Fraction:
    return Fraction(number(document.get(name, default)) or 0)


def rounded(value: Fraction) -> Fraction:
    """A quotient: as it is if it ends, else with 20 decimals."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1:
        return value
    scaled = value * 10**20
    return Fraction(math.floor(scaled + Fraction(1, 2)), 10**20)


def model_amount(price: Document, quantity: Fraction, events: int = 0) -> Fraction:
    """The amount of a whole period, before discount, maximum and minimum."""
    if "convert" in price:
        value = quantity / _f(price["convert"], "divide_by")
        how = price["convert"].get("round", "none")
        quantity = Fraction({"up": math.ceil, "down": math.floor, "none": rounded}[how](value))
    quantity = max(quantity - _f(price, "free_units"), Fraction(0))
    model = price["model"]
    if model == "unit":
        return quantity * _f(price, "unit_amount")
    if model == "flat":
        return _f(price, "flat_amount")
    if model == "package":
        return math.ceil(quantity / _f(price, "package_size")) * _f(price, "unit_amount")
    if model == "percentage":
        paid = max(events - _f(price, "free_events"), Fraction(0))
        return quantity * _f(price, "percent") / 100 + paid * _f(price, "fixed_amount")
    tiers = price["tiers"]
    if quantity == 0:
        return _f(tiers[0], "flat_amount") if price.get("flat_at_zero", True) else Fraction(0)
    total, lower = Fraction(0), Fraction(0)
    for tier in tiers:
        upper = None if tier["up_to"] is None else _f(tier, "up_to")
        inside = upper is None or quantity <= upper
        if model == "volume":
            if inside:
                return quantity * _f(tier, "unit_amount") + _f(tier, "flat_amount")
        else:
            units = quantity - lower if inside or upper is None else upper - lower
            total += units * _f(tier, "unit_amount") + _f(tier, "flat_amount")
            if inside:
                return total
        lower = upper or lower
    raise AssertionError("the last tier is open")


def bounded(price: Document, amount: Fraction) -> Fraction:
    amount = amount * (100 - _f(price, "discount_percent")) / 100
    if "maximum_amount" in price:
        amount = min(amount, _f(price, "maximum_amount"))
    return max(amount, _f(price, "minimum_amount"))


def rated(
    price: Document,
    quantity: Fraction,
    billed: Fraction = Fraction(0),
    final: bool = True,
    events: int = 0,
    billed_events: int = 0,
) -> Fraction:
    """What rate() is to return for a price that is no matrix."""

    def whole(units: Fraction, count: int, due: bool) -> Fraction:
        counts = units > 0 or (_f(price, "fixed_amount") > 0 and count > 0)
        return bounded(price, model_amount(price, units, count)) if counts or due else Fraction(0)

    return whole(billed + quantity, billed_events + events, final) - whole(billed, billed_events, False)


# ----------------------------------------------------------------------------------------- random prices


def exact(value: Fraction) -> Decimal:
    """The decimal number that a fraction is."""
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _money(rng: random.Random) -> Any:
    value = rng.choice(["0", "0.002", "1", "2.5", "7", "0.3333", "12.125", ".29", "1e-6", "100"])
    return rng.choice([value, value, int(value)]) if value.isdigit() else value


def _tiers(rng: random.Random) -> list[dict[str, Any]]:
    bounds = sorted(rng.sample([1, 2, 5, 7, 10, 12, 20, 33, 50, 100], rng.randint(0, 5)))
    ends: list[Any] = [rng.choice([n, str(n), f"{n}.5"]) for n in bounds]
    tiers = []
    for up_to in [*ends, None]:
        tier = {"up_to": up_to, "unit_amount": _money(rng)}
        if rng.random() < 0.5:
            tier["flat_amount"] = _money(rng)
        tiers.append(tier)
    return tiers


def random_price(rng: random.Random, model: str | None = None, *, plain: bool = False) -> dict[str, Any]:
    """A valid price of the model, or of any; plain: without convert, free units and so on."""
    model = model or rng.choice([*MODELS, "matrix"])
    price: dict[str, Any] = {"model": model}
    if model in ("unit", "package"):
        price["unit_amount"] = _money(rng)
    if model == "flat":
        price["flat_amount"] = _money(rng)
    if model == "package":
        price["package_size"] = rng.choice([1, "10", "2.5", "60"])
    if model in ("graduated", "volume"):
        price["tiers"] = _tiers(rng)
        if rng.random() < 0.4:
            price["flat_at_zero"] = rng.random() < 0.5
    if model == "percentage":
        price["percent"] = rng.choice(["2.9", 1, "0.25", "150"])
        if rng.random() < 0.6:
            price |= {"fixed_amount": "0.3", "free_events": rng.choice([0, 2, "5"])}
    if model == "matrix":
        price |= _matrix(rng)
    return price if plain else price | _extras(rng)


def _matrix(rng: random.Random) -> dict[str, Any]:
    dimensions = rng.sample(["model", "region", "tier"], rng.randint(1, 3))
    whens: list[dict[str, Any]] = []
    for _ in range(rng.randint(1, 4)):
        when = {d: rng.choice(["a", "b"]) for d in dimensions[: rng.randint(0, len(dimensions))]}
        if {k: v for k, v in when.items() if v != "*"} not in whens:
            whens.append(when)
    cells = []
    for when in whens:
        inner = random_price(rng, rng.choice(MODELS))
        inner.pop("currency", None)
        cells.append({"when": when, "price": inner} if rng.random() < 0.5 else {"when": when, **inner})
    return {"dimensions": dimensions, "cells": cells}


def _extras(rng: random.Random) -> dict[str, Any]:
    extras: dict[str, Any] = {
        "currency": "EUR",
        "convert": {
            "divide_by": rng.choice([3, "1000", "0.7", 60, "1024"]),
            "round": rng.choice(["up", "down", "none"]),
        },
        "free_units": rng.choice([1, "0.5", "10"]),
        "discount_percent": rng.choice([0, "12.5", 50, 100]),
        "maximum_amount": rng.choice([50, "75.5"]),
        "minimum_amount": rng.choice([0, 10, "33.3"]),
    }
    return {name: value for name, value in extras.items() if rng.random() < 0.25}
