"""The OpenAPI document with values that exist, so that what is made of it reaches more than the first check.

Each parameter may have one of its likely values, or any that the document allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from psycopg.types.json import Jsonb

from tests.helpers import AGGREGATES, PERIODS, ROLLUPS, Ledger

_SUBJECTS = ["acct_1", "acct_2", "acct_3"]
_METRICS = ["tokens", "calls", "seats", "gigabytes"]
_TIMES = ["2026-05-01T00:00:00Z", "2026-06-01", "2026-06-18T14:30:00Z", "2026-07-01", "infinity"]
_PERIODS = ["month", "day", "30 days", "PT1H"]
_SPANS = ["1 hour", "PT5M", "30 days", "0"]
_NUMBERS = ["1", "0.1", 100, 0, -1, "12345678901234567890.1"]
_KEYS = ["k1", "k2"]
_EVENT = {"subject": "acct_1", "metric": "tokens", "quantity": 1}
_RESERVATION = {"subject": "acct_1", "metric": "tokens", "quantity": 1, "idempotency_key": "r1"}
_UNIT = {"model": "unit", "unit_amount": "0.002"}
_GRADUATED = {
    "model": "graduated",
    "tiers": [{"up_to": 10, "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5", "flat_amount": "2"}],
}
_LINE = {"item": "tokens", "metric": "tokens", "price": _UNIT}

BY_NAME: Mapping[str, list[Any]] = {
    "subject": _SUBJECTS,
    "subjects": [_SUBJECTS, ["acct_1"]],
    "pseudonym": ["erased_1", "acct_2"],
    "customer": ["cus_1"],
    "metric": _METRICS,
    "key": _METRICS,
    "member": ["m1", "m2"],
    "plan": ["pro", "basic"],
    "plan_a": ["pro"],
    "plan_b": ["basic", "pro"],
    "item": ["tokens", "base"],
    "biller": ["stripe"],
    "worker": ["w"],
    "event_name": ["api_tokens"],
    "event_id": [1, 2],
    "currency": ["EUR", "USD"],
    "aggregate": list(AGGREGATES),
    "rollup": list(ROLLUPS),
    "unit": ["token"],
    "period": [*_PERIODS, *PERIODS],
    "step": ["day", "hour", "month"],
    "timezone": ["UTC", "America/New_York"],
    "idempotency_key": _KEYS,
    "dimension": ["model"],
    "dimensions": [["model"], {"model": "large"}],
    "metadata": [{"model": "large"}],
    "events": [[_EVENT], [_EVENT | {"idempotency_key": "k1"}, _EVENT | {"quantity": -1}, 7]],
    "requests": [[_RESERVATION]],
    "entries": [[{"entry": "adjust", **_EVENT}], [{"entry": "void", "event_id": 1}]],
    "price": [_UNIT, _GRADUATED],
    "scenario": [{"currency": "EUR", "prices": [_LINE], "usage": [_EVENT]}],
    "results": [[], [{"identifier": "pm_1", "outcome": "delivered"}], [{"delivery_id": 1, "ok": True}]],
    "on_invalid": ["skip", "raise"],
    "reason": ["a fault"],
    "decision": ["bill", "ignore"],
    "state": ["open", "applied", "failed", "rejected"],
    "action": ["notify", "block"],
    "name": ["four_eyes", "grace", "ops", "VAT"],
    "value": ["false", "2 hours"],
    "url": ["https://example.com/hook"],
    "endpoint": ["ops"],
    "type": ["limit.refused"],
    "types": [["*"], ["limit.*"]],
    "marks": [[50, 100], []],
    "provider": ["Acme"],
    "model": ["unit"],
}
_OF_TYPE: Mapping[str, list[Any]] = {"integer": [1, 2, 10], "Number": _NUMBERS}
_TIMES_OF = {
    "since",
    "until",
    "at",
    "now",
    "as_of",
    "anchor",
    "hour",
    "range_start",
    "expires_at",
    "after_at",
}
_SPANS_OF = {
    "ttl",
    "grace",
    "lease",
    "within",
    "keep",
    "max_age",
    "max_future",
    "max_ahead",
    "margin",
    "every",
}


def populate(ledger: Ledger) -> None:
    """What the likely values stand for."""
    for metric, aggregate in zip(_METRICS, ("sum", "count", "unique", "max"), strict=True):
        ledger.define(metric, aggregate, "token")
    for subject in _SUBJECTS[:2]:
        for number, moment in enumerate(_TIMES[:4]):
            key = {"idempotency_key": f"k{number}", "at": moment, "metadata": {"model": "large"}}
            ledger.record(subject, "tokens", number + 1, **key)
            ledger.record(subject, "seats", member=f"m{number}", at=moment)
    for plan in ("pro", "basic"):
        ledger.call("define_plan", plan=plan)
    price = {"plan": "pro", "item": "tokens", "metric": "tokens"}
    ledger.call("define_price", **price, price=Jsonb(_UNIT))
    ledger.call("subscribe", subject="acct_1", plan="pro")
    ledger.call("reserve", subject="acct_1", metric="tokens", quantity=1)
    ledger.call("open_correction", reason="a fault")
    ledger.call("set_limit", metric="calls", quota=3)
    ledger.call("define_biller", biller="stripe")


def likely_value(name: str, schema: dict[str, Any]) -> Any:
    """The first likely value of a parameter that is of its type."""
    of_type = {"integer": 1, "boolean": True, "array": [], "string": "2026-06-01"}
    kinds = schema.get("type", "number")
    kind = next(one for one in ([kinds] if isinstance(kinds, str) else kinds) if one != "null")
    values = BY_NAME.get(name) or _of_type(name, schema)
    fitting = (one for one in values if kind not in of_type or type(one) is type(of_type[kind]))
    return next(fitting, of_type.get(kind, "1"))


def deepened(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of the document in which every parameter may have its likely values."""
    made = deepcopy(document)
    for path in made["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _likely(parameter["name"], parameter["schema"], in_query=True)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            _deepen(body.get("schema", {}))
    _deepen(made["components"]["schemas"]["Event"])
    return made


def _deepen(schema: dict[str, Any]) -> None:
    for name, given in schema.get("properties", {}).items():
        schema["properties"][name] = _likely(name, given)


def _likely(name: str, schema: dict[str, Any], *, in_query: bool = False) -> dict[str, Any]:
    values = BY_NAME.get(name) or _of_type(name, schema)
    if in_query:
        values = [value for value in values if isinstance(value, str | int)]
    return {"anyOf": [{"enum": values}, schema]} if values else schema


def _of_type(name: str, schema: dict[str, Any]) -> list[Any]:
    if name in _TIMES_OF:
        return _TIMES
    if name in _SPANS_OF:
        return _SPANS
    text = str(schema)
    return next((values for kind, values in _OF_TYPE.items() if kind in text), [])
