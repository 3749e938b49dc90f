"""Run with a released package first on the path: every call that it has, sync and async, on whatever schema.

python old_client.py DSN: answers as JSON on standard output. It imports nothing but the package and psycopg.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

import psycopg

import pymeter
from pymeter import AsyncMeter, Meter
from pymeter.errors import InvalidInput, UnknownMetric

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=31)
WINDOW = {"since": SINCE, "until": UNTIL}


def calls(subject):
    """(method, positional, named); in this order."""
    event = {"subject": subject, "metric": "calls", "quantity": "2", "idempotency_key": "batch", "at": SINCE}
    yield "define_metric", ("calls", "sum", "call"), {}
    yield "define_metric", ("visitors", "unique", "visitor"), {}
    yield "define_metric", ("gone", "last", "thing"), {}
    yield "retire_metric", ("gone",), {}
    yield "record", (subject, "calls", "1.5"), {"idempotency_key": "key", "at": SINCE}
    yield "record", (subject, "calls", "1.5"), {"idempotency_key": "key", "at": UNTIL}
    yield "record", (subject, "calls", 2), {"idempotency_key": "key", "at": SINCE}
    yield "record", (subject, "visitors"), {"member": "ana", "at": SINCE, "metadata": {"plan": "large"}}
    yield "record_batch", ([event, {**event, "idempotency_key": "other"}],), {}
    yield "record_batch", ([event, {**event, "quantity": -1}],), {"on_invalid": "skip"}
    yield "usage", (subject, "calls"), WINDOW
    yield "summary", (subject,), WINDOW
    yield "series", (subject, "calls", SINCE, SINCE + timedelta(days=2)), {}
    yield "usage_by", (subject, "visitors", "plan"), WINDOW
    yield "check_quota", (subject, "calls", 10), WINDOW
    yield "resolve_window", ("1 month",), {"now": UNTIL}
    yield "events", (subject,), {}
    yield "verify", (), {}
    yield "rebuild", (), {}
    yield "maintain", (), {}
    yield "catalog", (), {}
    yield "subjects", (), {}


def plain(answer):
    """What the first release's models hold; ids and the time of recording are new in every run."""
    if isinstance(answer, (list, tuple)):
        return [plain(item) for item in answer]
    if hasattr(answer, "model_dump"):
        fields = answer.model_dump(mode="json")
        return {name: value for name, value in fields.items() if name not in ("event_id", "recorded_at")}
    return str(answer)


def main(dsn):
    answers = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        meter = Meter(connection)
        for name, positional, named in calls("sync"):
            answers.append([name, plain(getattr(meter, name)(*positional, **named))])
        for error, quantity, metric in ((UnknownMetric, 1, "no such metric"), (InvalidInput, -1, "calls")):
            try:
                meter.record("sync", metric, quantity)
            except error as caught:
                answers.append([error.__name__, caught.sqlstate])

    async def again():
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            meter = AsyncMeter(connection)
            for name, positional, named in calls("async"):
                answers.append([name, plain(await getattr(meter, name)(*positional, **named))])

    asyncio.run(again())
    print(json.dumps({"package": pymeter.__file__, "answers": answers}))


if __name__ == "__main__":
    main(sys.argv[1])
