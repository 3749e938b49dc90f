"""How many instructions the server executes for one call: a later change can be held against them.

    python -m tests.benchmarks.instructions [--only NAME ...] [--json]

Each kind of call runs in PostgreSQL's single-user mode under valgrind's callgrind, a few times and many
times; the difference is what the calls cost, each in a transaction of its own, without client, network and
disk. Needs valgrind.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from pymeter import migrate
from tests.faults.servers import Server, new_server

_FEW, _MANY = 15, 55
_SUBJECTS = 100
_COLLECTED = re.compile(r"Collected : (\d+)")

_SETUP = """
SELECT meter.define_metric('tokens', 'sum', 'token'), meter.define_metric('peak', 'max', 'GB');
SELECT meter.define_metric('hot', 'sum', 'token', striped => true);
SELECT meter.define_metric('billed', 'sum', 'token');
SELECT meter.report_metric('billed', 'billed');
SELECT meter.define_metric(m, 'sum', 'token'), meter.set_limit(m, 1e9)
FROM unnest('{limited,daily}'::text[]) m;
SELECT meter.define_metric('full', 'sum', 'token'), meter.set_limit('full', 0);
SELECT meter.set_limit('daily', 1e9, period => 'day');
SELECT meter.record('acct', m, 1, overflow => true)
FROM unnest('{tokens,peak,hot,billed,limited,daily,full}'::text[]) m;
SELECT meter.record('acct_' || i, 'tokens', 1, at => date_trunc('hour', now()) - interval '90 minutes')
FROM generate_series(0, 99) i;
SELECT meter.record('late_' || i, 'tokens', 1) FROM generate_series(0, 99) i;
SELECT meter.record('acct', m, 1, idempotency_key => k || '-' || i)
FROM unnest('{tokens,peak}'::text[]) m, unnest('{void,amend}'::text[]) k, generate_series(0, 99) i;
CREATE TABLE own_keys (subject text, metric text, key text, PRIMARY KEY (subject, metric, key));
CREATE TABLE own_totals
    (subject text, metric text, period timestamptz, quantity numeric, PRIMARY KEY (subject, metric, period));
INSERT INTO own_totals VALUES ('acct', 'tokens', date_trunc('month', now()), 0);
VACUUM ANALYZE;
"""


@dataclass(frozen=True)
class Kind:
    """A kind of call: a statement of a client, prepared once, and its arguments by the number of the call."""

    title: str
    statement: str
    arguments: Callable[[int], str]


def _record(
    title: str, subject: str = "acct", metric: str = "tokens", *, at: str = "now()", more: str = ""
) -> Kind:
    return Kind(
        title,
        "(text, numeric, text, timestamptz) AS"
        " SELECT event_id, outcome, quantity, unit, period_start, period_end FROM meter.record("
        f"$1, '{metric}', $2, idempotency_key => $3, at => $4{more})",
        lambda i: f"('{subject.format(i)}', {i % 7 + 1}, 'key-{i:08}-0f0f-4f4f-8f8f-0123456789ab', {at})",
    )


def _correct(title: str, what: str, metric: str, more: str = "") -> Kind:
    return Kind(
        title,
        f"(text) AS SELECT * FROM meter.{what}_event"
        f"('acct', '{metric}', idempotency_key => $1, reason => 'test traffic'{more})",
        lambda i: f"('{what}-{i}')",
    )


KINDS = {
    "ordinary": _record("record(), an ordinary event"),
    "keyless": Kind(
        "without a key",
        "(numeric) AS SELECT * FROM meter.record('acct', 'tokens', $1)",
        lambda i: f"({i % 7 + 1})",
    ),
    "metadata": _record("with metadata", more=""", metadata => '{"model": "large"}'"""),
    "reported": _record("of a reported metric", metric="billed"),
    "limited": _record("of a limited metric", metric="limited"),
    "two limits": _record("of a metric with a limit of the day, too", metric="daily"),
    "refused": _record("of a metric whose quota is used up", metric="full"),
    "over": _record("the same, counted in spite of it", metric="full", more=", overflow => true"),
    "peak": _record("of a max", metric="peak"),
    "striped": _record("of a striped metric", metric="hot"),
    "striped without total": _record(
        "of a striped metric, total => false", metric="hot", more=", total => false"
    ),
    "late": _record("late", "late_{0}", at="now() - interval '5 hours'"),
    "ahead": _record("ahead of the clock", "late_{0}", at="now() + interval '5 hours'"),
    "first of an hour": _record("the first of an hour", "acct_{0}"),
    "new series": _record("the first of a subject", "new_{0}"),
    "repeat": Kind(
        "a repeat",
        "(text) AS SELECT * FROM meter.record('acct', 'tokens', 1, idempotency_key => $1)",
        lambda _: "('again')",
    ),
    "void": _correct("void_event()", "void", "tokens"),
    "void of a max": _correct("void_event(), of a max", "void", "peak"),
    "amend": _correct("amend_event()", "amend", "tokens", ", quantity => 2"),
    "adjust": Kind(
        "adjust()",
        "(numeric) AS SELECT * FROM meter.adjust('acct', 'tokens', $1, reason => 'goodwill')",
        lambda i: f"({-i})",
    ),
    "check_quota": Kind(
        "check_quota()",
        "(numeric) AS SELECT * FROM meter.check_quota('acct', 'tokens', $1)",
        lambda i: f"({i})",
    ),
    "bare select": Kind(
        "a SELECT of one row by primary key",
        "(text) AS SELECT * FROM own_totals"
        " WHERE subject = $1 AND metric = 'tokens' AND period = '-infinity'",
        lambda i: f"('acct_{i}')",
    ),
    "bare key": Kind(
        "an INSERT of a key alone",
        "(text) AS INSERT INTO own_keys VALUES ('acct', 'tokens', $1)",
        lambda i: f"('key-{i:08}-0f0f-4f4f-8f8f-0123456789ab')",
    ),
}


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.instructions", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=KINDS, help=f"of {', '.join(KINDS)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(given)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed", file=sys.stderr)
        return 2
    counted: dict[str, int] = {}
    for name, number in count(options.only or KINDS):
        counted[name] = number
        if not options.json:
            print(f"{KINDS[name].title}: {number:,}", flush=True)
    if options.json:
        print(json.dumps(counted, indent=1))
    else:
        _show(counted)
    return 0


def count(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The instructions of a call of each of these kinds, one after the other."""
    with new_server() as server:
        _prepare(server)
        for name in names:
            yield name, _count(server, KINDS[name])
        server.ensure_running()


def _prepare(server: Server) -> None:
    migrate(server.dsn)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for statement in _SETUP.split(";\n"):
            connection.execute(statement.encode())
    server.stop()


def _count(server: Server, kind: Kind) -> int:
    few = _instructions(server, kind, range(_FEW))
    many = _instructions(server, kind, range(_FEW, _FEW + _MANY))
    return (many - few) // (_MANY - _FEW)


def _instructions(server: Server, kind: Kind, numbers: range) -> int:
    # No kind repeats another's keys.
    calls = [kind.arguments(i).replace("key-", f"{kind.title}-") for i in numbers]
    text = "\n".join([f"PREPARE p {kind.statement}", *(f"EXECUTE p {call}" for call in calls), ""])
    options: dict[str, Any] = server.account.run_options
    done = subprocess.run(
        [
            "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
            server.program("postgres"), "--single", "-D", server.data_dir, "postgres",
        ],
        input=text, capture_output=True, text=True, check=True, cwd="/", **options,
    )  # fmt: skip
    if "ERROR" in done.stderr:
        raise RuntimeError(next(line for line in done.stderr.splitlines() if "ERROR" in line))
    found = _COLLECTED.search(done.stderr)
    assert found, done.stderr[-2000:]
    return int(found.group(1))


def _show(counted: dict[str, int]) -> None:
    base = counted.get("ordinary")
    table = Table("call", "instructions", "of an ordinary one")
    for name, number in counted.items():
        table.add_row(KINDS[name].title, f"{number:,}", f"{number / base:.2f}" if base else "")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
