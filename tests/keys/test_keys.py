"""A key may do what its level says, until it ends; the database decides, and keeps no key."""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.access.conftest import Roles
from tests.helpers import Ledger, refused
from tests.keys.conftest import LEVELS, Server, credential, new_key, token

OWN_CALL = "SELECT * FROM meter.own_usage('{}', 'tokens')"
# A function of each level that needs nothing.
CALLS = {
    "read": "SELECT * FROM meter.catalog()",
    "write": "SELECT * FROM meter.record('acct_1', 'tokens', 1)",
    "report": "SELECT * FROM meter.report_status()",
    "admin": "SELECT * FROM meter.access()",
    "approve": "SELECT * FROM meter.approve_correction(0)",
    "own": OWN_CALL.format("acct_1"),
}


@pytest.mark.parametrize("level", LEVELS[:-1])
def test_a_key_may_call_the_functions_of_its_level_and_no_other(
    metered: Ledger, server: Server, level: str
) -> None:
    holder = credential(new_key(metered, level))
    for other, statement in CALLS.items():
        try:
            allowed = server.may(holder, statement)
        except psycopg.Error as error:
            allowed = error.sqlstate == "UM007"  # there is no such correction: it looked
        assert allowed == (other == level), other


def test_a_session_that_has_not_authenticated_may_call_nothing_else(server: Server) -> None:
    for statement in CALLS.values():
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            server.session.rows(statement)


@pytest.mark.parametrize("make", ["key", "token", "token of an unbound key"])
def test_a_bound_key_and_a_token_read_one_subject(metered: Ledger, server: Server, make: str) -> None:
    bound = None if make == "token of an unbound key" else "acct_1"
    key = new_key(metered, "read", subject=bound)
    holder = credential(key) if make == "key" else token(key, "acct_1")
    with server.request(holder) as session:
        assert session.rows(OWN_CALL.format("acct_1"))[0].quantity == 5
        assert session.row(
            "SELECT level, subject FROM meter.own_usage('acct_1', 'tokens'), "
            "(VALUES ('own', 'acct_1')) v (level, subject)"
        )
    assert not server.may(holder, OWN_CALL.format("acct_2"))
    for level in ("read", "write", "report", "admin", "approve"):
        assert not server.may(holder, CALLS[level])
    # The role is bound by the credential of the transaction, and of no other.
    server.session.connection.execute("SELECT set_config('role', %s, false)", [server.of_level["own"]])
    with refused("42501", "subject"):
        server.session.rows(OWN_CALL.format("acct_1"))


def test_a_token_is_valid_as_it_was_signed_and_no_other_way(metered: Ledger, server: Server) -> None:
    key, other = new_key(metered, "read"), new_key(metered, "read")
    bound = new_key(metered, "read", subject="acct_2")
    good = token(key, "acct_1")
    number, until, subject, signature = good.split(".")
    wrong = [
        f"{number}.{int(until) + 1}.{subject}.{signature}",
        f"{number}.{until}.{b'acct_2'.hex()}.{signature}",
        f"{other.split('_')[2]}.{until}.{subject}.{signature}",
        f"{number}.{until}.{subject}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        f"{number}.{until}.{subject}.{signature.upper()}",
        f"{number}.{until}.{subject}",
        f"{number}.{until}.{subject}.{signature}.{signature}",
        f" {good}",
        f"{good}\n",
        token(key, "acct_1", valid_for=-1),
        token(bound, "acct_1"),
        token(new_key(metered, "write"), "acct_1"),
        token(new_key(metered, "admin"), "acct_1"),
        token(key, "acct_1", key_id=10**17),
        f"{number}.{until}.ff.{'0' * 64}",
        *("", "x" * 100_000, key, credential(key)[:-1], credential(key).upper(), "0" * 64),
    ]
    for text in wrong:
        with refused("28000", "credential"):
            server.session.rows("SELECT * FROM meter.authenticate(%s)", [text])
    with refused("28000", "credential"):
        server.session.rows("SELECT * FROM meter.authenticate(NULL)")
    for not_a_text in (b"\xff\xfe", b"a\x00b"):
        text = f"{number}.{until}.{not_a_text.hex()}"
        secret = hashlib.sha256(credential(key).encode()).hexdigest().encode()
        signed = f"{text}.{hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}"
        with refused("28000", "credential"):
            server.session.rows("SELECT * FROM meter.authenticate(%s)", [signed])
    assert server.session.row("SELECT * FROM meter.authenticate(%s)", [good]).subject == "acct_1"


def test_a_key_ends_when_it_expires_or_is_revoked_and_its_tokens_with_it(
    metered: Ledger, server: Server
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    short, long = new_key(metered, "read", expires_at=soon), new_key(metered, "read")
    holders = [credential(short), token(short, "acct_1"), credential(long), token(long, "acct_1")]
    found = [server.session.row("SELECT * FROM meter.authenticate(%s)", [holder]) for holder in holders]
    assert [row.expires_at == soon for row in found] == [True, True, False, False]
    time.sleep(0.6)
    (revoked,) = metered.call("revoke_api_key", key_id=int(long.split("_")[2]))
    assert metered.call("revoke_api_key", key_id=revoked.key_id) == [revoked]
    for holder in holders:
        with refused("28000"):
            server.session.rows("SELECT * FROM meter.authenticate(%s)", [holder])
    with refused("UM007", "key_id"):
        metered.call("revoke_api_key", key_id=0)
    with refused("22004", "key_id"):
        metered.call("revoke_api_key", key_id=None)


def test_a_transaction_that_began_earlier_does_not_extend_a_key(metered: Ledger, server: Server) -> None:
    key = new_key(metered, "read", expires_at=datetime.now(UTC) + timedelta(seconds=0.3))
    with refused("28000"), server.session.connection.transaction():
        server.session.rows("SELECT now()")
        time.sleep(0.4)
        server.session.rows("SELECT * FROM meter.authenticate(%s)", [credential(key)])


def test_no_table_holds_a_key(metered: Ledger) -> None:
    key = new_key(metered, "write", name="worker")
    tables = [
        t.relname
        for t in metered.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'meter'::regnamespace AND relkind IN ('r','p')"
        )
    ]
    for table in tables:
        for secret in (key, key.split("_")[3], credential(key)):
            found = metered.value(
                f'SELECT count(*) FROM meter."{table}" t WHERE strpos(t::text, %s) > 0', [secret]
            )
            assert found == 0, table


def test_when_a_key_was_used_is_noted_once_a_minute(metered: Ledger, server: Server) -> None:
    key = new_key(metered, "read")
    digests = "SELECT last_used_at, xmin::text FROM meter.api_keys k"
    assert metered.row(digests).last_used_at is None
    with server.request(credential(key)):
        pass
    first = metered.row(digests)
    assert first.last_used_at is not None
    with server.request(credential(key)):
        pass
    assert metered.row(digests) == first
    metered.execute("UPDATE meter.api_keys SET last_used_at = now() - interval '2 minutes'")
    # Who holds the row used the key just now: nobody waits for them.
    with metered.connection.transaction():
        metered.execute("UPDATE meter.api_keys SET name = 'held'")
        with server.request(credential(key)):
            pass


def test_creating_and_revoking_keys_is_for_whom_it_is_for(metered: Ledger, roles: Roles) -> None:
    for level in ("read", "write", "report", "admin", "approve", "login"):
        session = roles.as_(level)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.call("create_api_key", level="read")
        if level != "admin":
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.call("api_keys")
    new_key(metered, "read", name="portal", subject="acct_1")
    admin = roles.as_("admin")
    (listed,) = admin.call("api_keys")
    assert (listed.name, listed.level, listed.subject) == ("portal", "read", "acct_1")
    assert admin.call("revoke_api_key", key_id=listed.key_id)[0].revoked_at is not None
    logged = metered.rows("SELECT action, object, after FROM meter.admin_log() WHERE action LIKE '%%api_key'")
    assert {entry.action for entry in logged} == {"create_api_key", "revoke_api_key"}
    assert "portal" not in str(logged)


@pytest.mark.parametrize(
    ("given", "sqlstate", "parameter"),
    [
        ({"level": None}, "22004", "level"),
        ({"level": "owner"}, "22023", "level"),
        ({"level": "login"}, "22023", "level"),
        ({"level": "own"}, "22023", "level"),
        ({"level": "write", "subject": "acct_1"}, "22023", "subject"),
        ({"level": "read", "subject": " "}, "22023", "subject"),
        ({"level": "read", "name": ""}, "22023", "name"),
        ({"level": "read", "name": "x" * 101}, "22023", "name"),
        ({"level": "read", "expires_at": "2020-01-01Z"}, "22023", "expires_at"),
        ({"level": "read", "expires_at": "infinity"}, "22023", "expires_at"),
    ],
)
def test_a_bad_value_creates_no_key(
    metered: Ledger, given: dict[str, object], sqlstate: str, parameter: str
) -> None:
    with refused(sqlstate, parameter):
        metered.call("create_api_key", **given)
    assert metered.call("api_keys") == []


def test_a_role_with_two_levels_is_taken_for_none(metered: Ledger, roles: Roles) -> None:
    """A key of level read must not get what the role may do besides."""
    login, both = roles.new("login", options="LOGIN NOINHERIT"), roles.new("read", "write")
    roles.sql("GRANT {} TO {}", both, login)
    key = new_key(metered, "read")
    session = roles.login(login)
    assert session.row("SELECT * FROM meter.authenticate(%s)", [credential(key)]).role is None
    reader = roles.new("read")
    roles.sql("GRANT {} TO {}", reader, login)
    assert session.row("SELECT * FROM meter.authenticate(%s)", [credential(key)]).role == reader


def test_erasing_a_subject_revokes_its_keys_and_their_tokens(metered: Ledger, server: Server) -> None:
    key = new_key(metered, "read", subject="acct_1", name="portal of Ann")
    holders = [credential(key), token(key, "acct_1"), token(key, "erased_1")]
    metered.call("erase_subject", subject="acct_1", pseudonym="erased_1")
    (left,) = metered.call("api_keys")
    assert (left.subject, left.name, left.revoked_at is None) == ("erased_1", f"key {left.key_id}", False)
    for holder in holders:
        with refused("28000"):
            server.session.rows("SELECT * FROM meter.authenticate(%s)", [holder])
