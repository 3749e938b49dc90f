"""Erasing a subject that has moved: no shard has its texts any more, and its sealed copies stay sealed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pymeter import Meter, NotFound, SubjectMoved
from pymeter.scale import AsyncShardedMeter, ShardedMeter, ShardsFailed, write_map
from pymeter.scale.moving import move
from pymeter.scale.setup import pin
from tests.close import words as life
from tests.close.test_nothing_is_left import left
from tests.close.words import ROLE, SUBJECT, Words, use_everything
from tests.helpers import Ledger, refused
from tests.scale.conftest import NewDatabase
from tests.scale.moves import Pair, S, killed
from tests.scale.twins import join, new_map

P = "nobody_1"


class Three:
    """Three shards; the subject begins on the first, and its pseudonym is on the last."""

    def __init__(self, path: Path, dsns: dict[str, str]) -> None:
        self.path, self.dsns = path, dsns
        write_map(path, new_map(dsns))
        self.meter = ShardedMeter.open(path, max_size=2, timeout=2, patience=0.2)
        join(self.meter)
        for subject, name in ((SUBJECT, "s1"), (P, "s3")):
            pin(path, subject, name)
        self.ledgers = {name: Ledger(psycopg.connect(dsn, autocommit=True)) for name, dsn in dsns.items()}

    def left(self) -> dict[str, list[str]]:
        """The tables of each shard that have a word of the subject."""
        return {name: sorted(left(ledger)) for name, ledger in self.ledgers.items()}

    def allow_connections(self, shard: str, allowed: bool) -> None:
        name = sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(self.dsns[shard])["dbname"]))
        other = next(ledger for known, ledger in self.ledgers.items() if known != shard)
        other.connection.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, sql.SQL(str(allowed)))
        )


def alike(three: Three) -> None:
    """What use_everything() has defined on the first shard, on the others, too."""
    first = three.meter.meters["s1"]
    for name in ("s2", "s3"):
        other = three.meter.meters[name]
        for metric in first.catalog():
            fields = ("key", "aggregate", "unit", "period", "rollup", "striped")
            other.define_metric(**{field: getattr(metric, field) for field in fields})
        for endpoint in first.endpoints():
            other.define_endpoint(
                endpoint.name, endpoint.url, types=list(endpoint.types), format=endpoint.format
            )
        other.define_plan("pro")
        # The first price gives a plan its currency.
        other.define_price("pro", "base", {"model": "flat", "flat_amount": 5}, subject="else")
        other.define_biller("plain", subject_is_customer=True)
        for biller in ("stripe", "plain"):
            other.report_metric("tokens", "tokens", biller=biller)
        other.grant_access(ROLE, "read", SUBJECT)


@pytest.fixture
def three(tmp_path: Path, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Three]:
    """The subject has used everything on the first shard, and gone to the third by the second."""
    # A subject of a month that was dropped cannot move.
    monkeypatch.setattr(life, "drop_a_month", lambda _words: None)
    path = tmp_path / "shards.json"
    made = Three(path, {name: new_database() for name in ("s1", "s2", "s3")})
    first = made.ledgers["s1"]
    first.execute(f"DO $$ BEGIN CREATE ROLE {ROLE}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    try:
        words = Words(first)
        use_everything(words)
        alike(made)
        move(made.path, SUBJECT, "s2")
        Words(made.ledgers["s2"]).record("users", member=words.word("member"))
        move(made.path, SUBJECT, "s3")
        made.meter.close()
        with ShardedMeter.open(path, max_size=2, patience=0.2) as made.meter:
            yield made
    finally:
        for name in made.dsns:
            made.allow_connections(name, allowed=True)
        for ledger in made.ledgers.values():
            ledger.execute(f"DROP OWNED BY {ROLE}")
        first.execute(f"DROP ROLE {ROLE}")
        for ledger in made.ledgers.values():
            ledger.connection.close()


def test_no_shard_has_a_text_of_an_erased_subject(three: Three) -> None:
    before = three.left()
    assert {"meter.events", "meter.series", "meter.moves", "meter.access_grants"} <= set(before["s1"])
    assert {"meter.events", "meter.pushes", "meter.moves"} <= set(before["s2"])
    assert "meter.moves" not in before["s3"]
    used = three.meter.usage(SUBJECT, "tokens", period="never")
    erased = three.meter.erase_subject(SUBJECT, P)
    assert three.left() == {"s1": [], "s2": [], "s3": []}
    assert erased.shards.keys() == {"s1", "s2", "s3"}
    assert min(erased.shards.values()) > 10
    assert erased == sum(erased.shards.values())
    assert three.meter.usage(P, "tokens", period="never") == used
    for meter in three.meter.meters.values():
        assert meter.verify() == []
        assert meter.verify_statements() == []
        assert meter.rebuild() == 0
    # It is sealed as before, and a caller who comes there is sent on.
    for shard in ("s1", "s2"):
        moved = [(m.subject, m.state, m.other) for m in three.meter.meters[shard].moves()]
        assert moved == [(P, "moved", {"s1": "s2", "s2": "s3"}[shard])]
        for call in (
            lambda meter: meter.record(P, "tokens", 1),
            lambda meter: meter.events(P),
            lambda meter: meter.top_up(P, "tokens", 1, idempotency_key="x"),
        ):
            with pytest.raises(SubjectMoved):
                call(three.meter.meters[shard])
        assert [row.subject for row in three.meter.meters[shard].subjects() if row.subject == P] == []
    for meter in (three.meter, *three.meter.meters.values()):
        with pytest.raises(NotFound):
            meter.erase_subject(SUBJECT, P)


@pytest.mark.parametrize("down", ["s1", "s2"])
def test_a_shard_that_is_down_is_named_and_a_repetition_erases_there_too(three: Three, down: str) -> None:
    three.allow_connections(down, allowed=False)
    with ShardedMeter.open(three.path, timeout=1) as meter, pytest.raises(ShardsFailed) as caught:
        meter.erase_subject(SUBJECT, P)
    assert set(caught.value.failed) == {down}
    assert caught.value.partial.shards.keys() == {"s1", "s2", "s3"} - {down}
    three.allow_connections(down, allowed=True)
    assert three.left()[down] != []

    async def again() -> Any:
        async with AsyncShardedMeter.open(three.path) as meter:
            return await meter.erase_subject(SUBJECT, P)

    assert asyncio.run(again()).shards.keys() == {down}
    assert three.left() == {"s1": [], "s2": [], "s3": []}


def test_only_texts_of_a_sealed_copy_can_be_changed(pair: Pair) -> None:
    """And only by erasing: not while the subject is being moved, and not under a name that has moved."""
    pair.meter.record(S, "sum", 5, idempotency_key="k1")
    source, target = pair.home(), pair.other()
    other = next(f"s{n}" for n in range(99) if pair.home(f"s{n}") == source)
    pair.meter.record(other, "sum", 5)
    killed(pair.path, S, target, "admit")
    for shard in (source, target):
        with pytest.raises(SubjectMoved):
            pair.meter.meters[shard].erase_subject(S, P)
    move(pair.path, S, target)
    old = Ledger(psycopg.connect(pair.dsns[source], autocommit=True))
    for pseudonym, sqlstate in ((other, "22023"), (S, "UM008"), (" ", "22023")):
        with refused(sqlstate):
            old.call("erase_subject", subject=S, pseudonym=pseudonym)
    old.call("close_home", subject=other, target=target)
    old.call("leave_home", subject=other)
    with refused("UM008"):
        old.call("erase_subject", subject=S, pseudonym=other)
    before = old.rows("SELECT event_id, at, quantity FROM meter.events ORDER BY 1")
    for change in ("UPDATE meter.events SET metadata = null", "DELETE FROM meter.events"):
        with pytest.raises(psycopg.Error):
            old.execute(change)
    assert old.call("erase_subject", subject=S, pseudonym=P)[0][0] == 1
    assert old.rows("SELECT event_id, at, quantity FROM meter.events ORDER BY 1") == before
    assert old.value("SELECT count(*) FROM meter.events WHERE idempotency_key IS NOT NULL") == 0
    # The subject lives on where it is, and the key is remembered there.
    assert pair.meter.meters[target].record(S, "sum", 5, idempotency_key="k1").outcome == "duplicate"
    # It cannot come back to the copy that has lost its name.
    with refused("UM008"):
        old.call("record", subject=P, metric="sum", quantity=1)
    old.connection.close()


def test_a_subject_that_comes_back_while_its_copy_is_erased_waits(pair: Pair) -> None:
    pair.meter.record(S, "sum", 5)
    source, target = pair.home(), pair.other()
    move(pair.path, S, target)
    with psycopg.connect(pair.dsns[source]) as eraser:
        Meter(eraser).erase_subject(S, P)
        back = Ledger(psycopg.connect(pair.dsns[source], autocommit=True))
        with refused("55P03"):
            back.call("expect_subject", subject=S, source=target)
        back.connection.close()


def test_a_role_is_unbound_on_every_shard(pair: Pair) -> None:
    """Also where the subject has never been."""
    pair.meter.record(S, "sum", 5)
    name = "only_bound_reader"
    with psycopg.connect(pair.dsns["s1"], autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name}".encode())
    try:
        pair.meter.grant_access(name, "read", S)
        pseudonym = next(f"nobody_{n}" for n in range(99) if pair.home(f"nobody_{n}") == pair.home())
        assert pair.meter.erase_subject(S, pseudonym).shards == {pair.home(): 0, pair.other(): 0}
        for dsn in pair.dsns.values():
            with psycopg.connect(dsn) as connection:
                ledger = Ledger(connection)
                assert ledger.value("SELECT count(*) FROM meter.access_grants") == 0
                assert ledger.value("SELECT count(*) FROM meter.admin_log l WHERE l::text ~ %s", [S]) == 0
    finally:
        for dsn in pair.dsns.values():
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(f"DROP OWNED BY {name}".encode())
        with psycopg.connect(pair.dsns["s1"], autocommit=True) as connection:
            connection.execute(f"DROP ROLE {name}".encode())
