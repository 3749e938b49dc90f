"""What the fuzzer calls functions with: values that make sense, and values that are meant to hurt.

All of them are texts, as a client of any language would send them; the call casts each to its parameter's
type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.faults.lived_in import SUBJECTS
from tests.helpers import AGGREGATES, PERIODS, ROLLUPS

MEGABYTE = 1 << 20
# Roles: one that is bound to subjects, one that may do nothing.
BOUND = "fuzz_bound"
FREE = "fuzz_free"
Value = str | None

METRICS = (*(f"by {aggregate}" for aggregate in AGGREGATES), "by day", "hot")
ZONES = (
    "UTC",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Etc/GMT-14",
)
_NOW = datetime.now(UTC)

# ------------------------------------------------------------------------------- values meant to hurt

TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\t\n\r\f\x0b",
    "\x00",  # the client refuses it, and lone surrogates
    "nul\x00inside",
    "\ud800",
    "x\udfff",
    "\x01\x1b[31m\x7f",
    "שלום עולם",  # right to left
    "\u202eabc\u202c",
    "\u200b",  # of no width
    "a\u200d\ufeffb",
    "e\u0301\u0327" * 40,
    "👩‍👩‍👧‍👦",
    "\U0010ffff",
    "\u0130stanbul \u00df \u017f \u01c5",
    "\u00a0",
    "\u2028",
    "x" * 512,
    "x" * 513,
    "☃" * 512,
    "\U0001f600" * 512,
    "x" * 2700,
    "x" * MEGABYTE,
    "'; DROP TABLE meter.events; --",
    '"',
    "\\",
    "\\'",
    "$$",
    "$1",
    "%",
    "%s%n%I",
    "%(name)s",
    "{}",
    "{NULL}",
    "null",
    "NULL",
    "true",
    "../../../../etc/passwd",
    "localtime",
    "posixrules",
    "utc",
    "FOO+5",
    "+05:30",
    "Etc/GMT+99",
    "America/New_York\n",
    "0",
    "-0",
    "\uff11\uff12\uff13",  # digits of another script
    "٣",
    "1e400",
    "NaN",
    "infinity",
    "0 days",
    "999999999 years",
    "999999999999999999999 days",
    "1 month " * 30,
    "1m1m1m",
    "1.5 days",
    "-1 day",
    "P1Y",
    "1 fortnight",
    "1000 years",
    "12001 months",
    "month\x0b",
    "MONTH",
    "мonth",  # with a Cyrillic letter
    "pg_catalog",
    "postgres",
    "public",
    "pg_monitor",
    "none",
)
NUMBERS: tuple[str, ...] = (
    "0",
    "-0",
    "-0.000",
    "1",
    "-1",
    "0.1",
    "1e-100",
    "1e-101",
    "9e99",
    "1e100",
    "-1e100",
    "1e400",
    "1e-400",
    "1e131071",
    "9" * 131072,
    "-" + "9" * 131072,
    "1e131072",
    "1e-16383",
    "1e-16384",
    "0." + "0" * 99 + "1",
    "0." + "1" * 16383,
    "1.5e+3",
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "inf",
    "0x1F",
    "1_000",
    " 5 ",
    "",
    "abc",
    "٣",
    "1e",
    "--1",
)
TIMES: tuple[str, ...] = (
    "infinity",
    "-infinity",
    "4714-11-24 00:00:00+00 BC",
    "4714-11-23 00:00:00+00 BC",
    "0044-03-15 12:00:00+00 BC",
    "0001-01-01 00:00:00+00",
    "0001-01-02 00:00:00+00",
    "1582-10-10 00:00:00+00",
    "1969-12-31 23:59:59.999999+00",
    "1970-01-01 00:00:00+00",
    "2016-12-31 23:59:60+00",
    "2015-06-30 23:59:60.5+00",
    "2016-12-31 23:59:61+00",
    "2024-02-29 12:00:00+00",
    "2023-02-29 12:00:00+00",
    "2024-03-10 02:30:00 America/New_York",
    "2024-11-03 01:30:00 America/New_York",
    "2018-11-04 00:00:00 America/Sao_Paulo",
    "2011-12-30 12:00:00 Pacific/Apia",
    "1900-01-01 00:00:00 Europe/Amsterdam",
    "9999-12-30 23:59:59.999999+00",
    "9999-12-31 00:00:00+00",
    "10000-01-01 00:00:00+00",
    "294276-12-31 23:59:59.999999+00",
    "294277-01-01 00:00:00+00",
    "epoch",
    "now",
    "tomorrow",
    "24:00:00",
    "2024-06-01 24:00:00+00",
    "2024-06-01 00:00:00+15:59",
    "2024-06-01 00:00:00-15:59",
    "2024-06-01 00:00:00+99",
    "20240601T000000Z",
    "1e9",
    "",
    "yesterday was fine",
)
INTERVALS: tuple[str, ...] = (
    "0",
    "-1 day",
    "1 microsecond",
    "1 mon -31 days",
    "100 years",
    "100 years 1 microsecond",
    "178000000 years",
    "-178000000 years",
    "2147483647 days",
    "9223372036854775807 microseconds",
    "99999999999:00:00",
    "infinity",
    "-infinity",
    "P1Y2M3DT4H5M6S",
    "1 day -24:00:00.000001",
    "",
    "soon",
)
INTEGERS: tuple[str, ...] = (
    *("0", "-1", "1", "100", "10000", "10001", "32767", "2147483647", "-2147483648", "2147483648"),
    *(
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1e2",
        "1.5",
        "NaN",
        "",
        "x",
        "0x7f",
    ),
)
BOOLEANS: tuple[str, ...] = ("true", "false", "", "maybe", "1", "2")
JSONS: tuple[str, ...] = (
    "null",
    "[]",
    "{}",
    "true",
    "0",
    '"text"',
    "[null]",
    "[null,null,null]",
    "[[]]",
    "[[[{}]]]",
    "[{}]",
    "[1,2]",
    '[{"subject":null,"metric":null}]',
    '{"subject":"acct_1"}',
    '[{"subject":"acct_1","metric":"by sum","quantity":1e400}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":-0}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1e131071}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1e-16383}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":"NaN"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":"1e999"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":"1e9999999999"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":"' + "9" * 250 + '"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":true}]',
    '[{"subject":["acct_1"],"metric":{},"quantity":[]}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"quantity":2}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":"2016-12-31T23:59:60Z"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":"294276-12-31T23:59:59Z"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":"0044-03-15 BC"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":"2024-02-30T00:00:00Z"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":"9999-12-31T23:59:59.999999999999-14:59"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":"infinity"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":""}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"at":5}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"":1}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"metadata":[]}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"metadata":"text"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"metadata":{"x":"' + "y" * 70000 + '"}}]',
    '[{"subject":"' + "x" * MEGABYTE + '","metric":"by sum","quantity":1}]',
    '[{"subject":"acct_1","metric":"by unique","member":"' + "☃" * 513 + '"}]',
    '[{"subject":"acct_1","metric":"by sum","quantity":1,"' + "f" * MEGABYTE + '":1}]',
    '[{"subject":"\\u0000","metric":"by sum","quantity":1}]',
    '[{"subject":"\\ud800","metric":"by sum","quantity":1}]',
    '[{"subject":"\\u200b\\u202e","metric":"by sum","quantity":1}]',
    '{"a":' * 3000 + "1" + "}" * 3000,
    "[" * 3000 + "]" * 3000,
    "[" * 100_000,
    "[" + ",".join(["null"] * 2000) + "]",
    "[" + ",".join(['{"subject":"acct_1","metric":"by sum","quantity":1,"idempotency_key":"k"}'] * 500) + "]",
    '{"' + "k" * 60_000 + '":1}',
    '{"n":' + "1" * 2000 + "}",
    '{"n":1e131071}',
    '{"__proto__":{"x":1},"constructor":null}',
    "",
    "[",
    "nul",
    "{'a':1}",
    '"\\x"',
)
ARRAYS: tuple[str, ...] = (
    "{}",
    "{NULL}",
    "{NULL,NULL,NULL}",
    "{{NULL},{NULL}}",
    '{""}',
    "{1}",
    "{",
    "[2:3]={a,b}",
)

_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "text": TEXTS,
    "numeric": NUMBERS,
    "timestamp with time zone": TIMES,
    "interval": INTERVALS,
    "integer": INTEGERS,
    "bigint": INTEGERS,
    "smallint": INTEGERS,
    "boolean": BOOLEANS,
    "jsonb": JSONS,
    "json": JSONS,
}

# ------------------------------------------------------------------------------ values that make sense


def _events() -> st.SearchStrategy[str]:
    """Batches as an application might send them, some of whose fields are wrong."""
    hurting = st.sampled_from([t for t in TEXTS if "\x00" not in t and len(t) < 3000 and not _is_torn(t)])
    event = st.fixed_dictionaries(
        {
            "subject": _mostly(st.sampled_from(SUBJECTS), hurting),
            "metric": _mostly(st.sampled_from(METRICS), hurting),
        },
        optional={
            "quantity": _mostly(
                st.integers(0, 1000),
                st.sampled_from([n for n in NUMBERS if len(n) < 300]) | st.booleans() | st.none(),
            ),
            "member": st.sampled_from(("ana", "ben", None)) | hurting,
            "idempotency_key": _mostly(st.sampled_from(("k1", "k2", "k3", None)), hurting),
            "at": _mostly(
                _between(60, 0),
                st.sampled_from(TIMES),
            ),
            "metadata": st.dictionaries(hurting, hurting | st.none(), max_size=3) | st.none(),
        },
    )
    return st.lists(_mostly(event, st.none() | hurting | st.just([])), max_size=8).map(json.dumps)


def _entries() -> st.SearchStrategy[str]:
    """What a correction may consist of; some of it names no event."""
    about = {"subject": st.sampled_from(SUBJECTS), "metric": st.sampled_from(METRICS)}
    key = st.sampled_from(("k1", "k2", "k3"))
    entry = st.one_of(
        st.fixed_dictionaries({"entry": st.just("adjust"), "quantity": st.integers(-9, 9), **about}),
        st.fixed_dictionaries(
            {"entry": st.just("record"), "quantity": st.integers(0, 9), "at": _between(60, 0), **about},
            optional={"idempotency_key": key},
        ),
        st.fixed_dictionaries({"entry": st.just("void"), "idempotency_key": key, **about}),
        st.fixed_dictionaries({"entry": st.just("amend"), "event_id": st.integers(1, 2000), **about}),
        st.fixed_dictionaries(
            {"entry": st.just("void"), "since": _between(70, 36), "until": _between(35, 0), **about}
        ),
    )
    wrong = st.sampled_from((None, {}, {"entry": "void"}))
    return st.lists(_mostly(entry, wrong), max_size=4).map(json.dumps)


def _between(first: int, last: int) -> st.SearchStrategy[str]:
    """Moments so many days ago."""
    naive = _NOW.replace(tzinfo=None)
    moments = st.datetimes(naive - timedelta(days=first), naive - timedelta(days=last))
    return moments.map(lambda moment: f"{moment.isoformat()}Z")


def _is_torn(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One in six is bad. Not one_of(good, good, ..., bad): equal branches are taken for one."""
    return st.sampled_from([False] * 5 + [True]).flatmap(lambda is_bad: bad if is_bad else good)


_PRICES = tuple(
    json.dumps(price)
    for price in (
        {"model": "unit", "unit_amount": "0.002", "minimum_amount": 5},
        {"model": "flat", "flat_amount": 10, "discount_percent": "12.5"},
        {"model": "package", "package_size": 10, "unit_amount": "1.5", "free_units": 3},
        {"model": "percentage", "percent": "2.9", "fixed_amount": "0.3", "free_events": 2},
        {
            "model": "volume",
            "tiers": [{"up_to": 5, "unit_amount": 2}, {"up_to": None, "unit_amount": 1, "flat_amount": 3}],
            "convert": {"divide_by": 3},
        },
        {"model": "matrix", "dimensions": ["model"], "cells": [{"when": {"model": "m"}, "unit_amount": 2}]},
    )
)

_SCENARIOS = tuple(
    json.dumps(scenario)
    for scenario in (
        {"currency": "EUR", "prices": [{"metric": "a", "price": {"model": "unit", "unit_amount": 1}}]},
        {"prices": {"plan": "pro"}, "currency": "EUR", "usage": [{"metric": "a", "quantity": -3}]},
        {"currency": "JPY", "minimums": [{"amount": "99.5"}], "credits": [{"amount": 7}], "cycle": {}},
        {
            "currency": "EUR",
            "taxes": [{"percent": 19}],
            "expected": {"total": 0},
            "tolerances": {"relative": 1},
        },
        {
            "inputs": {
                "periodStart": "2024-01-01",
                "periodEnd": "2024-02-01",
                "usageItems": [
                    {
                        "metric": "a",
                        "quantity": 3,
                        "priceConfig": {"model": "flat", "currency": "USD", "unitPrice": 2},
                    }
                ],
                "credits": [{"amount": 1, "reason": "sorry"}],
            },
            "expected": {"total": 5},
        },
    )
)

_SENSIBLE: dict[str, st.SearchStrategy[str]] = {
    "subject": st.sampled_from(SUBJECTS),
    "metric": st.sampled_from(METRICS),
    "key": st.sampled_from((*METRICS, "old", "a new one")),
    "aggregate": st.sampled_from(AGGREGATES),
    "rollup": st.sampled_from(ROLLUPS),
    "period": st.sampled_from((*PERIODS, "30 days", "1h 30m", "2 months")),
    "step": st.sampled_from(("day", "week", "month", "12h", "7 days")),
    "timezone": st.sampled_from(ZONES),
    "dimension": st.sampled_from(("model", "n")),
    "on_invalid": st.sampled_from(("raise", "skip")),
    "on_refused": st.sampled_from(("raise", "skip")),
    "plan": st.sampled_from(("pro", "free")),
    "plan_a": st.sampled_from(("pro", "pro", "free")),
    "plan_b": st.just("pro"),
    "provider": st.sampled_from(("Acme", "pymeter")),
    "service_category": st.sampled_from(("Other", "Databases")),
    "subjects": st.sampled_from(("{a,b}", "{}")),
    "item": st.sampled_from(("usage", "base")),
    "bill": st.sampled_from(("advance", "arrears")),
    "tiers_after_change": st.sampled_from(("continue", "restart")),
    "amount": st.sampled_from(("0", "50")),
    "projected": st.sampled_from(("false", "true")),
    "max_subjects": st.sampled_from(("1", "100")),
    "currency": st.sampled_from(("EUR", "JPY")),
    "percent": st.sampled_from(("0", "19", "7.7")),
    "source": st.sampled_from(("paid", "promotional")),
    "action": st.sampled_from(("block", "alert", "none")),
    "marks": st.sampled_from(("{80,100}", "{}", "{0.5,50}")),
    "every": st.sampled_from(("week", "month", "year")),
    "name": st.sampled_from(("default", "A title", "notifications_keep", "admin_log_keep", "hook", "hook")),
    "value": st.sampled_from(("30 days", "1 year")),
    "object": st.sampled_from((*METRICS, *SUBJECTS, "pro")),
    "url": st.sampled_from(("https://example.com/hook", "mailto:ops@example.com")),
    "types": st.sampled_from(("{*}", "{threshold.exceeded,limit.refused}")),
    "format": st.sampled_from(("standard", "email")),
    "secret_name": st.just("HOOK_SECRET"),
    "endpoint": st.just("hook"),
    "expires_at": st.just("2100-01-01T00:00:00Z"),
    "state": st.sampled_from(("planned", "delivered", "dead")),
    "anchor": _between(400, 36),
    "member": st.sampled_from(("ana", "ben")),
    "pseudonym": st.sampled_from(("erased 1", "erased 2", "erased 3")),
    "role": st.sampled_from((FREE, FREE, BOUND)),
    "worker": st.just("worker"),
    "customer": st.sampled_from(SUBJECTS),
    "month": _between(70, 36),
    "file_name": st.just("events_2026_01.parquet"),
    "file_hash": st.just("0" * 64),
    "digest": st.just("0" * 64),
    "archive_id": st.just("1"),
    "rows": st.just("[]"),
    "shard_key": st.sampled_from(SUBJECTS),
    "target": st.just("s2"),
    "wait": st.just("0"),
    "run": st.just("00000000-0000-0000-0000-000000000001"),
    "number": st.sampled_from(("0", "7", "1023")),
    "ids_above": st.just("1000000000"),
    "event_name": st.sampled_from(METRICS),
    "level": st.sampled_from(("read", "write", "report", "admin", "approve")),
    "biller": st.sampled_from(("stripe", "stripe", "other")),
    "mode": st.sampled_from(("delta", "event", "last")),
    "sends": st.sampled_from(("usage", "statements")),
    "statements_since": _between(70, 36),
    "since": _between(70, 36),
    "until": _between(35, 0),
    "events": _events(),
    "entries": _entries(),
    "price": st.sampled_from(_PRICES),
    "scenario": st.sampled_from(_SCENARIOS),
    "dimensions": st.sampled_from(('{"model": "m"}', '{"model": "n"}', "{}")),
    "billed": st.sampled_from(("0", "0", "2.5", "100")),
    "billed_events": st.sampled_from(("0", "7")),
    "event_count": st.sampled_from(("0", "3", "50")),
    "idempotency_key": st.sampled_from(("k1", "k1", "k1", "k2")),
    "after_close": st.sampled_from(("accept", "refuse")),
    "decision": st.sampled_from(("bill", "waive")),
    "reason": st.sampled_from(("goodwill", "a fault")),
    "requests": st.lists(
        st.fixed_dictionaries(
            {
                "subject": st.sampled_from(SUBJECTS),
                "metric": st.sampled_from(METRICS),
                "quantity": st.integers(-1, 50),
            }
        ),
        max_size=3,
    ).map(json.dumps),
    "metadata": st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5),
        st.integers() | st.none(),
        max_size=3,
    ).map(json.dumps),
}
_SENSIBLE_BY_TYPE: Mapping[str, st.SearchStrategy[str]] = {
    "text": st.text(st.characters(codec="utf-8"), max_size=20),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.integers(0, 1000).map(str),
    "timestamp with time zone": st.datetimes(datetime(2019, 1, 1), datetime(2027, 1, 1)).map(
        lambda t: f"{t.isoformat()}Z"
    ),
    "interval": st.sampled_from(("1 hour", "1 day", "3 days", "1 month", "90 days", "2 years")),
    "integer": st.integers(1, 200).map(str),
    "bigint": st.integers(1, 2000).map(str),
    "smallint": st.integers(0, 20).map(str),
    "boolean": st.sampled_from(("true", "false")),
}


_NAMED_TYPES = ("text", "text[]", "jsonb", "timestamp with time zone", "numeric[]", "bigint")


def teach(name: str, values: Sequence[str]) -> None:
    """What a parameter of this name may sensibly be given is known only when there is a meter."""
    _SENSIBLE[name] = st.sampled_from(values)


def hurting(type_name: str) -> tuple[Value, ...]:
    """Every value of the corpus for a type; null among them."""
    if type_name.endswith("[]"):
        return (*ARRAYS, None)
    return (*_BY_TYPE.get(type_name, TEXTS), None)


def sensible(name: str, type_name: str) -> st.SearchStrategy[str]:
    """Values that a parameter of this name and type may be given by somebody who knows it."""
    if name in _SENSIBLE and type_name in _NAMED_TYPES:
        return _SENSIBLE[name]
    return _SENSIBLE_BY_TYPE.get(type_name, st.sampled_from(_BY_TYPE.get(type_name, ARRAYS + TEXTS[:4])))


def any_value(name: str, type_name: str) -> st.SearchStrategy[Value]:
    """One in six is meant to hurt: of several parameters, then, about one."""
    return _mostly(sensible(name, type_name), st.sampled_from(hurting(type_name)))
