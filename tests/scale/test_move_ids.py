"""What has an id of the old home is found, changed and refused where its subject is now."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from pymeter import CredentialRefused, SubjectMoved
from pymeter.scale.moving import move
from pymeter.web.tokens import embed_token
from tests.scale.moves import Pair, S, killed


def credential_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_a_key_that_is_revoked_after_a_move_is_refused_on_every_shard(pair: Pair) -> None:
    pair.meter.record(S, "sum", 5)
    key = pair.meter.create_api_key("read", subject=S, name="portal")
    new = credential_of(key.key)
    tokens = [new, embed_token(key.key, S, timedelta(hours=1))]
    source = pair.meter.meter_of(S)
    move(pair.path, S, pair.other())
    for credential in tokens:
        assert pair.meter.authenticate(credential).subject == S
        with pytest.raises(SubjectMoved) as caught:
            source.authenticate(credential)
        assert caught.value.shard == pair.home()
    with pytest.raises(SubjectMoved):
        source.revoke_api_key(key.key_id)
    assert [row.key_id for row in pair.meter.api_keys()] == [key.key_id]
    assert pair.meter.revoke_api_key(key.key_id).revoked_at
    for credential in tokens:
        with pytest.raises(CredentialRefused):
            pair.meter.authenticate(credential)
        for one in pair.meter.meters.values():
            with pytest.raises((CredentialRefused, SubjectMoved)):
                one.authenticate(credential)
    assert [row.revoked_at is None for row in pair.meter.api_keys()] == [False]
    move(pair.path, S, pair.other())
    for credential in tokens:
        with pytest.raises(CredentialRefused):
            source.authenticate(credential)


def test_a_key_is_accepted_at_no_shard_where_it_cannot_be_revoked(pair: Pair) -> None:
    """A mover that died after the admission: the old home has not heard of it."""
    pair.meter.record(S, "sum", 5)
    key = pair.meter.create_api_key("read", subject=S)
    other = pair.meter.create_api_key("read")
    source, target = pair.meter.meter_of(S), pair.meter.meters[pair.other()]
    killed(pair.path, S, pair.other(), "leave")
    assert target.revoke_api_key(key.key_id).revoked_at
    for one in (source, target):
        with pytest.raises((CredentialRefused, SubjectMoved)):
            one.authenticate(credential_of(key.key))
    # Keys that are bound to nobody are not affected.
    assert pair.meter.authenticate(credential_of(other.key)).key_id == other.key_id


def test_a_push_that_the_old_home_has_planned_is_settled_where_it_is_sent(pair: Pair) -> None:
    pair.meter.define_biller("stripe")
    pair.meter.report_metric("sum", "api_units")
    pair.meter.report_subject(S, "cus_1")
    now = datetime.now(UTC)
    for hours in (5, 4, 3):
        pair.meter.record(S, "sum", 5, at=now - timedelta(hours=hours))
    assert pair.meter.plan_pushes(now=now) == 3
    source, target = pair.meter.meter_of(S), pair.meter.meters[pair.other()]
    killed(pair.path, S, pair.other(), "admit")
    now += timedelta(minutes=10)
    assert target.claim_pushes("stripe", "early", now=now) == []
    move(pair.path, S, pair.other())
    assert source.claim_pushes("stripe", "old", now=now) == []
    claimed = pair.meter.claim_pushes("stripe", "w", now=now)
    assert len(claimed) == 3
    results = [
        {"push_id": row.push_id, "attempt": row.attempt, "outcome": outcome}
        for row, outcome in zip(claimed, ("delivered", "rejected", "rejected"), strict=True)
    ]
    settled = pair.meter.settle_pushes("stripe", "w", results, now=now)
    assert [row.state for row in settled] == ["delivered", "rejected", "rejected"]
    move(pair.path, S, pair.other())
    # Back at the shard whose ids they have; the sealed copy is now at the other one.
    one, two = (row.identifier for row in claimed[1:])
    with pytest.raises(SubjectMoved):
        target.retry_pushes("stripe", one)
    with pytest.raises(SubjectMoved):
        target.leave_pushes("stripe", two)
    assert target.retry_pushes("stripe") == target.leave_pushes("stripe", reason="refused") == []
    assert target.fail_pushes("stripe", "evt_1", [claimed[0].identifier], "late") == 0
    assert len(pair.meter.retry_pushes("stripe", one)) == 1
    assert [row.state for row in pair.meter.leave_pushes("stripe", two)] == ["left"]
