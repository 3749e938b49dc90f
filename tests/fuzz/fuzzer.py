"""Calls of a public function with anything, and what has to be true of each.

A call answers, or raises an SQLSTATE that the function's COMMENT lists, by a RAISE of our own, and has
written nothing. There are two other ways out: a value that PostgreSQL itself cannot read as the parameter's
type is refused before the function is entered; and a few functions may take too long (``MAY_TAKE_LONG``).
Whatever the server noted as an ERROR, the client was told.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from pymeter.migrate import migrate
from tests.faults.lived_in import SUBJECTS, live
from tests.faults.servers import Server, create_database, execute, new_database, new_server
from tests.fuzz.checks import CHECKS
from tests.fuzz.values import BOUND, FREE, Value, any_value, hurting, sensible, teach
from tests.helpers import Ledger

SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",  # it would be told to go when a database is dropped, and log that
    "log_min_error_statement": "panic",  # the log is for what went wrong, not for a megabyte of what was sent
    "max_wal_size": "1GB",
}
# Everything ends within this time, whatever it is given, but for the functions below: why, and the time
# after which they are not waited for.
STATEMENT_SECONDS_MAX = 10.0
_BUCKETS = "it has up to 100,000 buckets, each of which is a question of its own"
MAY_TAKE_LONG = {"series": (_BUCKETS, 0.3), "own_series": (_BUCKETS, 0.3)}
_MESSAGE_CHARACTERS_MAX = 120
_DETAIL_CHARACTERS_MAX = 2000
_TEMPLATE = "fuzz_template"
_COMMIT_ONE_IN = 10  # answers, so that the ledger changes under the fuzzer and yet stays small
_RAISE = "exec_stmt_raise"
_CODE = r"\b([0-9][0-9A-Z]{4}|UM[0-9]{3})\b"


@dataclass(frozen=True)
class Function:
    """A public function as the catalog has it."""

    name: str
    parameters: tuple[tuple[str, str, bool], ...]  # name, type, whether it has a default
    comment: str


@dataclass
class Tally:
    """How many inputs were tried, and how they ended."""

    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by the function, with a documented SQLSTATE
    unreadable: Counter[str] = field(default_factory=Counter)  # by PostgreSQL, as a value of the type
    unsendable: int = 0  # by the client: NUL, lone surrogates
    too_long: int = 0

    @property
    def inputs(self) -> int:
        refused = self.refused.total() + self.unreadable.total()
        return self.answered + refused + self.unsendable + self.too_long

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def read_functions(connection: psycopg.Connection[Any]) -> list[Function]:
    """Every public function of the schema, whoever added it."""
    rows = connection.execute(
        """
        SELECT p.proname, coalesce(obj_description(p.oid, 'pg_proc'), ''),
               coalesce((
                   SELECT json_agg(json_build_array(
                       p.proargnames[n], format_type(p.proargtypes[n - 1], NULL),
                       n > p.pronargs - p.pronargdefaults) ORDER BY n)
                   FROM generate_series(1, p.pronargs) AS n), '[]')
        FROM pg_proc p
        WHERE p.pronamespace = 'meter'::regnamespace AND p.proname !~ '^_'
        ORDER BY p.proname COLLATE "C"
        """
    ).fetchall()
    return [
        Function(name, tuple(tuple(p) for p in parameters), comment) for name, comment, parameters in rows
    ]


def documented(functions: Mapping[str, Function], name: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """The SQLSTATEs in a function's comment, and in those that it refers to: ``Raises as usage() does``."""
    if name in seen or name not in functions:
        return set()
    comment = functions[name].comment
    codes = set(re.findall(_CODE, comment))
    for other in re.findall(r"\bas (\w+)\(\) does", comment):
        codes |= documented(functions, other, seen | {name})
    return codes


class Target:
    """One function in a database of its own."""

    def __init__(
        self, connection: psycopg.Connection[Any], function: Function, codes: set[str], seed_value: int
    ) -> None:
        self.connection = connection
        self.function = function
        self.codes = codes
        self.tally = Tally()
        self.told: Counter[str] = Counter()  # every ERROR that the client has seen
        self.random = random.Random(seed_value)
        self.check: Callable[..., None] = CHECKS.get(function.name, lambda *_: None)
        self._types = {name: type_name for name, type_name, _ in function.parameters}
        self._count = self._counting_query()
        self._counts = self._end_and_count("ROLLBACK")

    def call(self, values: Mapping[str, Value]) -> None:
        """Call it, and assert all that has to be true."""
        named = ", ".join(f"{name} => %({name})s::{self._types[name]}" for name in values)
        try:
            with self.connection.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(f"SELECT * FROM meter.{self.function.name}({named})", values).fetchall()
                self.check(self.connection, values, rows)
        except (psycopg.DataError, UnicodeEncodeError) as error:
            if getattr(error, "sqlstate", None) is None:
                self._end("ROLLBACK")
                self.tally.unsendable += 1
                return
            self._refused(error, values)
        except psycopg.Error as error:
            self._refused(error, values)
        except AssertionError:
            self._end("ROLLBACK")
            raise
        else:
            self.tally.answered += 1
            if self.random.randrange(_COMMIT_ONE_IN):
                self._end("ROLLBACK")
            else:
                self._counts = self._end_and_count("COMMIT")

    def _refused(self, error: psycopg.Error, values: Mapping[str, Value]) -> None:
        counts = self._end_and_count("ROLLBACK")
        state = error.sqlstate or "none"
        self.told[state] += 1
        shown = f"{self.function.name} raised {state}: {error}\n{error.diag.context}"
        assert counts == self._counts, f"{shown}\nand something was written"
        if state in self.codes and error.diag.source_function == _RAISE:
            self._is_well_worded(error, shown)
            self.tally.refused[state] += 1
            return
        if state == "57014" and self.function.name in MAY_TAKE_LONG:
            self.tally.too_long += 1
            return
        assert self._is_unreadable(state, values), f"{shown}\nwhich its COMMENT lacks, or is no RAISE of ours"
        self.tally.unreadable[state] += 1

    def _is_well_worded(self, error: psycopg.Error, shown: str) -> None:
        diag = error.diag
        assert diag.message_hint, f"{shown}\nwithout a HINT"
        assert diag.message_primary is not None
        assert len(diag.message_primary) <= _MESSAGE_CHARACTERS_MAX, f"{shown}\nwith a value in it"
        assert len(diag.message_detail or "") <= _DETAIL_CHARACTERS_MAX, f"{shown[:3000]}\nwith a whole value"

    def _is_unreadable(self, state: str, values: Mapping[str, Value]) -> bool:
        """Whether the casts alone, without the function, raise the same."""
        self.connection.execute("ROLLBACK")
        try:
            return any(self._cast_raises(state, name, value) for name, value in values.items())
        finally:
            self._end("ROLLBACK")

    def _cast_raises(self, state: str, name: str, value: Value) -> bool:
        try:
            self.connection.execute(f"SELECT %s::{self._types[name]}", [value])
        except psycopg.Error as error:
            self.told[error.sqlstate or "none"] += 1
            return error.sqlstate == state
        return False

    def _counting_query(self) -> str:
        tables = self.connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'meter'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
        ).fetchall()
        counts = ", ".join(f"(SELECT count(*) FROM {name})" for (name,) in tables)
        return f"SELECT ARRAY[{counts}]"

    def _end(self, how: str) -> None:
        """End the transaction and begin the next one."""
        self.connection.execute(f"{how}; {self._begin}".encode())

    @property
    def _begin(self) -> str:
        return f"BEGIN; SET LOCAL ROLE {BOUND}" if self.function.name.startswith("own_") else "BEGIN"

    def _end_and_count(self, how: str) -> list[int]:
        """The same, and how many rows each table has in between."""
        cursor = self.connection.execute(f"{how}; {self._count}; {self._begin}".encode())
        cursor.nextset()
        row = cursor.fetchone()
        assert row is not None
        return list(row[0])


class Fuzzer:
    """A server with a lived-in meter, copied for every function that is fuzzed."""

    def __init__(self, server: Server) -> None:
        self.server = server
        execute(server.dsn, create_database(_TEMPLATE))
        dsn = _database(server.dsn)
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            live(Ledger(connection))
            _bind(connection)
            _limit(connection)
            _correct(connection)
            _close(connection)
            _tell(connection)
            _spend(connection)
            _report(connection)
            self.functions = {f.name: f for f in read_functions(connection)}

    def fuzz(self, name: str, inputs: int, seed_value: int = 0, share: float = 1) -> Tally:
        """Both, one after the other."""
        with self._target(name, seed_value) as target:
            self._sweep(target, seed_value, share)
            self._explore(target, inputs if self.functions[name].parameters else 1, seed_value)
            return target.tally

    def _sweep(self, target: Target, seed_value: int, share: float) -> None:
        """Every hurting value (or a share of them) for every parameter, while the others make sense."""
        function = target.function
        chance = random.Random(seed_value)
        sensible_values = _examples(function, seed_value)
        for parameter, type_name, _ in function.parameters:
            for value in hurting(type_name):
                if chance.random() < share:
                    target.call({**chance.choice(sensible_values), parameter: value})
        if not function.parameters:
            target.call({})

    def _explore(self, target: Target, inputs: int, seed_value: int) -> None:
        """So many inputs as hypothesis makes them up; it looks for a small one where something is wrong."""

        @seed(seed_value)
        @settings(
            max_examples=inputs,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(arguments(target.function))
        def call(values: dict[str, Value]) -> None:
            target.call(values)

        call()

    @contextmanager
    def _target(self, name: str, seed_value: int) -> Iterator[Target]:
        before = self.server.log_size
        with new_database(self.server.dsn, template=_TEMPLATE) as dsn:
            with psycopg.connect(dsn, autocommit=True, application_name="fuzzer") as connection:
                connection.prepare_threshold = None
                _, seconds = MAY_TAKE_LONG.get(name, ("", STATEMENT_SECONDS_MAX))
                connection.execute(f"SET statement_timeout = {round(1000 * seconds)}".encode())
                if name in ("leave_home", "reopen_home"):
                    connection.execute(
                        "SELECT meter.close_home(s, 's2') FROM unnest(%s::text[]) s", [list(SUBJECTS)]
                    )
                target = Target(
                    connection, self.functions[name], documented(self.functions, name), seed_value
                )
                yield target
                connection.rollback()
                drifts = Ledger(connection).verify()
                assert drifts == [], drifts
            database = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
            self._log_says_no_more(self.server.read_log(before), database, target.told)

    def _log_says_no_more(self, log: str, database: str, told: Counter[str]) -> None:
        """The server noted the errors that the client was told, and no others; and nothing worse."""
        error = rf"^\[\d+ fuzzer {database}\] ERROR:  (\w{{5}}):"
        noted = Counter(re.findall(error, log, flags=re.MULTILINE))
        assert noted == told, f"noted {noted - told}, told {told - noted}"
        worst = rf"^\[\d+ fuzzer {database}\] (?:FATAL|PANIC): .*|^.*terminated by signal.*"
        worse = re.findall(worst, log, flags=re.MULTILINE)
        assert worse == [], worse


def _limit(connection: psycopg.Connection[Any]) -> None:
    """Some subjects and metrics have limits, one way or the other; some of these are reached."""
    connection.execute("SELECT meter.define_plan(plan) FROM unnest('{pro,free}'::text[]) plan")
    for n, subject in enumerate(SUBJECTS):
        connection.execute("SELECT meter.subscribe(%s, 'pro', since => '2024-01-01Z')", [subject])
        if n % 2:
            connection.execute("SELECT meter.set_billing_cycle(%s, '2024-01-31 09:00Z')", [subject])
            connection.execute(
                "SELECT meter.set_limit(key, 10, subject => %s, period => 'cycle')"
                " FROM meter.catalog() WHERE aggregate IN ('count', 'unique') AND retired_at IS NULL",
                [subject],
            )
    connection.execute(
        'SELECT meter.define_price(plan, \'base\', \'{"model": "flat", "flat_amount": 5}\'),'
        " meter.define_price(plan, 'usage', '{\"model\": \"unit\", \"unit_amount\": 2}', metric => 'by sum'),"
        " meter.define_price(plan, 'seats', '{\"model\": \"unit\", \"unit_amount\": 2}', metric => 'by max')"
        " FROM unnest('{pro,free}'::text[]) plan"
    )
    connection.execute("SELECT meter.set_limit('by sum', 1000, plan => 'pro')")
    connection.execute("SELECT meter.set_limit('by sum', 1000000, period => '30 days', action => 'alert')")
    connection.execute(
        "SELECT meter.set_limit(key, 1000000) FROM meter.catalog()"
        " WHERE aggregate NOT IN ('min', 'avg') AND retired_at IS NULL"
    )
    held = connection.execute(
        "SELECT r.reservation_id::text FROM unnest(%s::text[]) subject, generate_series(1, 5),"
        " meter.reserve(subject, 'by sum', 5) r WHERE r.outcome = 'held'",
        [list(SUBJECTS)],
    ).fetchall()
    assert held
    teach("reservation_id", [number for (number,) in held])
    for subject in SUBJECTS:
        connection.execute(
            "SELECT meter.top_up(%s, key, 5, 'k', since => '2024-03-05 10:20Z') FROM meter.catalog()"
            " WHERE aggregate IN ('sum', 'count') AND retired_at IS NULL",
            [subject],
        )
    granted = connection.execute(
        "SELECT c.credit_id::text FROM unnest(%s::text[]) subject, generate_series(1, 5) n,"
        " meter.grant_credit(subject, 5, 'USD', n::text, since => '2024-03-05 10:20Z') c",
        [list(SUBJECTS)],
    ).fetchall()
    teach("credit_id", [number for (number,) in granted])
    keys = connection.execute(
        "SELECT k.key_id::text, encode(sha256(k.key::bytea), 'hex')"
        " FROM generate_series(1, 5), meter.create_api_key('read') k"
    ).fetchall()
    teach("key_id", [number for number, _ in keys])
    teach("credential", [credential for _, credential in keys])


def _correct(connection: psycopg.Connection[Any]) -> None:
    """Some events are voided and adjusted; some corrections are open, with entries."""
    connection.execute(
        "SELECT meter.void_event(subject, metric, event_id, reason => 'a fault') FROM ("
        " SELECT e.* FROM unnest(%s::text[]) subject, meter.events(subject, max_rows => 3) e) e",
        [list(SUBJECTS)],
    )
    opened = connection.execute(
        "SELECT meter.open_correction('goodwill')::text FROM generate_series(1, 12)"
    ).fetchall()
    teach("id", [number for (number,) in opened])
    connection.execute(
        "SELECT meter.stage_correction(correction_id, %s) FROM meter.corrections('open')",
        ['[{"entry": "adjust", "subject": "acct_1", "metric": "by sum", "quantity": -1}]'],
    )
    connection.execute(
        "SELECT meter.approve_correction(correction_id) FROM meter.corrections('open')"
        " WHERE correction_id % 2 = 0"
    )
    connection.execute(
        "SELECT meter.record(s, key, 1, idempotency_key => 'k1', overflow => true)"
        " FROM unnest(%s::text[]) s, meter.catalog() WHERE aggregate <> 'unique' AND retired_at IS NULL",
        [list(SUBJECTS)],
    )


def _close(connection: psycopg.Connection[Any]) -> None:
    """Some periods are closed, and some usage comes late; some of it is decided."""
    closed = connection.execute(
        "SELECT h.statement_id::text, h.watermark::text FROM unnest(%s::text[]) subject,"
        " meter.close_period(subject, '2024-03-05Z', '2024-03-06Z') h",
        [list(SUBJECTS)],
    ).fetchall()
    teach("statement_id", [number for number, _ in closed])
    teach("as_of", [min(watermark for _, watermark in closed)])
    connection.execute(
        "SELECT meter.record(s, key, 1, at => '2024-03-05 12:00Z')"
        " FROM unnest(%s::text[]) s, meter.catalog()"
        " WHERE aggregate <> 'unique' AND period <> 'never' AND retired_at IS NULL",
        [list(SUBJECTS)],
    )
    assert connection.execute(
        "SELECT meter.settle_late_usage(statement_id, metric, delta, 'bill')"
        " FROM meter.late_usage() WHERE metric = 'by sum'"
    ).fetchall()


def _spend(connection: psycopg.Connection[Any]) -> None:
    """Budgets of everyone, of a plan and of subjects are judged, so there is something to remove."""
    connection.execute(
        "SELECT meter.set_budget(50, currency, subject, plan, period)"
        " FROM unnest('{EUR,JPY}'::text[]) currency, unnest('{cycle,day,month}'::text[]) period,"
        " (SELECT unnest(%s::text[]), NULL UNION ALL"
        " SELECT NULL, unnest('{NULL,pro}'::text[])) owner (subject, plan)",
        [list(SUBJECTS)],
    )
    connection.execute("SELECT meter.judge_budgets()")


def _tell(connection: psycopg.Connection[Any]) -> None:
    """An endpoint is sent some of what happens, and some subjects' usage is judged."""
    connection.execute("SELECT meter.define_endpoint('hook', 'https://example.com/hook', '{*}')")
    for within in ("1 hour", "1 day"):
        connection.execute(
            "SELECT meter.set_spike_alert(key, 3, within => %s) FROM meter.catalog()"
            " WHERE aggregate IN ('sum', 'count') AND fine_bucket IN ('minute', 'hour')",
            [within],
        )
    connection.execute("SELECT meter.test_endpoint('hook') FROM generate_series(1, 5)")
    connection.execute("SELECT meter.plan_deliveries()")
    connection.execute("SELECT * FROM meter.claim_deliveries('worker', 3)")


def _report(connection: psycopg.Connection[Any]) -> None:
    """What can be reported is: some of it is planned, being sent or uncertain, and more is queued."""
    connection.execute("SELECT meter.define_biller(subject_is_customer => true)")
    # Only these can be erased while something is to be sent.
    for n, subject in enumerate(SUBJECTS[1:]):
        connection.execute("SELECT meter.report_subject(%s, %s)", [subject, f"cus_{n}"])
    connection.execute(
        "SELECT meter.report_metric(key, key) FROM meter.catalog()"
        " WHERE aggregate IN ('sum', 'count') AND rollup = 'hour'"
    )
    connection.execute("SELECT meter.plan_pushes(max_rows => 50)")
    connection.execute("SELECT * FROM meter.claim_pushes('stripe', 'worker', 3)")
    connection.execute(
        """
        INSERT INTO meter.pushes (
            subject, metric, biller, bucket_start, mode, identifier, customer, event_name, value, stamped_at,
            state, attempts, unsure_attempts, unsure_since, first_attempt_at, last_attempt_at, planned_at,
            next_attempt_at)
        SELECT subject, metric, biller, bucket_start, mode, 'pm_uncertain', customer, event_name, value,
               stamped_at, 'uncertain', 1, 1, now(), now(), now(), planned_at, now()
        FROM meter.pushes LIMIT 1
        """
    )
    found = connection.execute(
        "SELECT push_id, attempts, identifier FROM meter.pushes ORDER BY push_id"
    ).fetchall()
    teach("identifier", [identifier for _, _, identifier in found])
    teach(
        "results",
        [
            json.dumps(
                [{"push_id": push_id, "delivery_id": push_id, "attempt": attempts, "outcome": outcome}]
            )
            for push_id, attempts, _ in found
            for outcome in ("delivered", "rejected", "unknown", "not_applied")
        ],
    )


# Whose default is refused: an event is named in one of two ways, and a correction has a reason.
_NEEDED = dict.fromkeys(("void_event", "amend_event"), ("idempotency_key", "reason"))


def _parameters(function: Function) -> list[tuple[str, str, bool]]:
    """Names, types, and whether a call may do without."""
    needed = _NEEDED.get(function.name, ())
    return [
        (name, kind, has_default and name not in needed) for name, kind, has_default in function.parameters
    ]


def arguments(function: Function) -> st.SearchStrategy[dict[str, Value]]:
    """Named arguments: those without a default always, the others sometimes."""
    required = {n: any_value(n, t) for n, t, is_optional in _parameters(function) if not is_optional}
    optional = {n: any_value(n, t) for n, t, is_optional in _parameters(function) if is_optional}
    return st.fixed_dictionaries(required, optional=optional)


def _bind(connection: psycopg.Connection[Any]) -> None:
    """A role that may ask for every subject there is, by the functions for those who may not."""
    connection.execute(f"CREATE ROLE {BOUND}; CREATE ROLE {FREE}".encode())
    for subject in SUBJECTS:
        connection.execute("SELECT meter.grant_access(%s, 'read', %s)", [BOUND, subject])


def _examples(function: Function, seed_value: int, number: int = 25) -> list[dict[str, str]]:
    """Some calls that make sense."""
    made: list[dict[str, str]] = []
    required = {n: sensible(n, t) for n, t, is_optional in _parameters(function) if not is_optional}
    optional = {n: sensible(n, t) for n, t, is_optional in _parameters(function) if is_optional}

    @seed(seed_value)
    @settings(max_examples=number, database=None, deadline=None, phases=(Phase.generate,))
    @given(st.fixed_dictionaries(required, optional=optional))
    def make(values: dict[str, str]) -> None:
        made.append(values)

    make()
    return made


def _database(dsn: str) -> str:
    from tests.faults.servers import with_database

    return with_database(dsn, _TEMPLATE)


@contextmanager
def new_fuzzer(programs: Path | None = None) -> Iterator[Fuzzer]:
    """A fuzzer on a server of its own: the wheel's, or one of other programs."""
    with new_server(programs, SETTINGS) as server:
        yield Fuzzer(server)
