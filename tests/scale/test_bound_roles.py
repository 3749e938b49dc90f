"""A role that is bound to subjects has the answers of the shards that its subjects are on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from pymeter.scale import ShardedMeter
from tests.helpers import at
from tests.scale.twins import plain
from tests.schema.contract import names

ROLE = "shard_portal"
JUNE = {"since": at("2026-06-01"), "until": at("2026-07-01")}
NOW = at("2026-06-20")


@pytest.fixture
def role(pymeter_server: str, sharded: ShardedMeter) -> Iterator[str]:
    with psycopg.connect(pymeter_server, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE}".encode())
        yield ROLE
        for shard in sharded.shard_map.shards.values():
            with psycopg.connect(shard.dsn, autocommit=True) as other:
                other.execute(f"DROP OWNED BY {ROLE}".encode())
        connection.execute(f"DROP ROLE {ROLE}".encode())


def test_a_bound_role_is_answered_by_the_shards_of_its_subjects(sharded: ShardedMeter, role: str) -> None:
    subjects = [f"acct_{n}" for n in range(6)]
    assert len({sharded.shard_map.shard_of(subject) for subject in subjects}) > 1
    sharded.define_metric("tokens", "sum", "token")
    sharded.set_limit("tokens", 1000)
    for n, subject in enumerate(subjects):
        metadata = {"model": "m"}
        sharded.record(subject, "tokens", n + 1, at=at("2026-06-10"), metadata=metadata)
        sharded.access.grant(role, "read", subject)
        sharded.close_period(subject, **JUNE)
    shards = {
        name: replace(shard, dsn=f"{shard.dsn}{'&' if '?' in shard.dsn else '?'}options=-c%20role%3D{role}")
        for name, shard in sharded.shard_map.shards.items()
    }
    as_role = replace(sharded.shard_map, shards=shards)
    asked = set()
    with ShardedMeter.open(as_role, max_size=1) as portal:
        for subject in subjects:
            own = portal.for_subject(subject)
            for name, arguments in _QUESTIONS.items():
                asked.add(f"own_{name}")
                function = {"limits": "effective_limits"}.get(name, name)
                found = plain(getattr(own, name)(**arguments))
                assert found == plain(getattr(sharded, function)(subject, **arguments)), name
            (header,) = own.statements()
            asked.add("own_statement")
            assert own.statement(header.statement_id) == sharded.statement(header.statement_id)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            portal.usage(subjects[0], "tokens")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            portal.for_subject("somebody else").usage("tokens")
    assert asked == {name for name in names() if name.startswith("own_")}


_QUESTIONS = {
    "usage": {"metric": "tokens", **JUNE},
    "summary": JUNE,
    "series": {"metric": "tokens", **JUNE, "step": "week"},
    "usage_by": {"metric": "tokens", "dimension": "model", **JUNE},
    "events": {"metric": "tokens"},
    "statements": JUNE,
    "limits": {"metric": "tokens", "at": NOW},
    "check_quota": {"metric": "tokens", "requested": 5, "now": NOW},
    "balance": {"metric": "tokens", "at": NOW},
    "budget_status": {"now": NOW},
    "credits": {"at": NOW},
    "invoice": {"now": NOW},
    "project_usage": {"now": NOW},
    "project_invoice": {"now": NOW},
}
