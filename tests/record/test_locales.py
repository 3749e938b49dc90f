"""The same answers in a database of another locale provider or encoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pymeter import pytest_plugin
from pymeter.migrate import migrate
from tests.databases import Databases
from tests.helpers import Ledger, at

LOCALES = {
    "C": "LOCALE_PROVIDER libc LOCALE 'C'",
    "builtin": "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
    "unicode": "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' LOCALE 'C'",
    "icu": "LOCALE_PROVIDER icu ICU_LOCALE 'und' LOCALE 'C'",
    "icu turkish": "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C'",
    "icu numeric": "LOCALE_PROVIDER icu ICU_LOCALE 'en-u-kn-true-ks-level1' LOCALE 'C'",
    "latin1": "LOCALE_PROVIDER libc LOCALE 'C' ENCODING 'LATIN1'",
}


@pytest.fixture(scope="module", params=LOCALES)
def local_template(request: pytest.FixtureRequest, pymeter_server: str) -> Iterator[str]:
    """The name of a database of that locale, with a meter in it."""
    name = pytest_plugin._database_name("locale")
    with psycopg.connect(pymeter_server, autocommit=True) as server:
        encoding = "" if "ENCODING" in LOCALES[request.param] else "ENCODING 'UTF8'"
        try:
            server.execute(f"CREATE DATABASE {name} TEMPLATE template0 {encoding} {LOCALES[request.param]}")
        except psycopg.Error as error:
            pytest.skip(f"this server has no such locale: {error.diag.message_primary}")
        try:
            migrate(make_conninfo(pymeter_server, dbname=name))
            yield name
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def local_ledger(databases: Databases, local_template: str) -> Iterator[Ledger]:
    name = pytest_plugin._database_name("locale_copy")
    with psycopg.connect(databases.create(name, local_template), autocommit=True) as connection:
        yield Ledger(connection)
    databases.drop(name)


def test_a_locale_changes_nothing(local_ledger: Ledger) -> None:
    ledger = local_ledger
    for metric in ("m", "M", "i", "I", "ß", "é", "10", "9"):
        ledger.define(metric, "sum")
    ledger.define("u", "unique")
    for moment in ("2026-06-18T14:30:45.5Z", "2026-06-18 14:30+02:00"):
        for metric in ("m", "M", "i", "I", "ß", "é", "10", "9"):
            for subject in ("a", "A", "é", "1", "10", "a-b", "ab"):
                event: dict[str, Any] = {
                    "subject": subject,
                    "metric": metric,
                    "quantity": "1.5",
                    "at": moment,
                }
                outcomes = [
                    o.outcome for o in ledger.batch([event | {"idempotency_key": k} for k in ("k", "K", "k")])
                ]
                first = [*["recorded"] * 2, "duplicate"]
                assert outcomes == (first if moment.endswith("Z") else ["duplicate"] * 3)
    for member in ("i", "I", "e", "é"):
        ledger.record("a", "u", member=member, at=at("2026-06-18"))
    assert ledger.usage("a", "u", period="never").quantity == 4
    # The key was recorded with the first time only.
    assert ledger.usage("a", "m", period="never").quantity == 3
    for period in ("MINUTE", "15M", "1 MINUTE 30 MIN", "Week", "minute"):
        ledger.window(period=period, now=at("2026-06-18"))
    assert len(ledger.call("subjects")) == 7
    ledger.forget()
    ledger.execute("TRUNCATE meter.unique_members")
    ledger.rebuild()
    assert ledger.verify() == []
    assert ledger.usage("A", "ß", period="never").quantity == 3


def test_p8_digits_of_other_scripts_are_rejected_not_a_failure(local_ledger: Ledger) -> None:
    ledger = local_ledger
    if ledger.value("SHOW server_encoding") != "UTF8":
        pytest.skip("the encoding has no such digits")
    ledger.define("m", "sum")
    good = {"subject": "a", "metric": "m", "quantity": 1}
    events = [
        good | {"quantity": "٣"},
        good | {"quantity": "1e٣"},
        good | {"at": "٢٠٢٦-06-18T14:30:45Z"},
        good,
    ]
    outcomes = ledger.batch([*events, good | {"at": "2026-06-18T14:30:4٣Z"}], "skip")
    assert [o.outcome for o in outcomes] == ["rejected", "rejected", "rejected", "recorded", "rejected"]
    for period in ("٣ days", "1٣m"):
        with pytest.raises(psycopg.Error) as caught:
            ledger.window(period=period)
        assert caught.value.sqlstate == "22023"
        assert caught.value.diag.message_hint
