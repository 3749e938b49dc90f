"""Writes the function reference, sql/README.md, from the catalog of a freshly migrated database.

    python -m tests.docs.reference

What follows the introduction comes from the database: signatures, defaults, results, and the COMMENTs in sql/
and migrations/. Change those, then run it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.docs.errors import error_table
from tests.docs.examples import ROLES, Runner
from tests.schema.contract import Function, contract, names, read_functions, short_type

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "sql" / "README.md"
COMMAND = "python -m tests.docs.reference"

Connection = psycopg.Connection[Any]

_FOLDERS = {
    "catalog": "what is metered",
    "record": "recording usage",
    "usage": "asking about it",
    "correct": "taking back, amending and adjusting what was recorded",
    "close": "periods that are final",
    "limits": "who may use how much",
    "pricing": "what usage costs",
    "credits": "who has paid already, and taxes",
    "budgets": "how much may be billed",
    "simulate": "what a scenario would cost",
    "project": "what a billing cycle will hold at its end",
    "focus": "statements for cost tools",
    "notify": "being told in time",
    "repair": "proving and repairing the rollups",
    "report": "telling a biller such as Stripe, each unit once",
    "own": "the same, for a role that is bound to subjects",
    "access": "who may call what",
    "keys": "keys of programs that speak HTTP",
    "operate": "keeping it running",
    "scale": "one of many meters",
    "archive": "old months in files",
}

_INTRODUCTION = """\
# The SQL

The functions are what pymeter is: everything else calls them. A folder is a subject and has a page of its
own. [migrations/](../migrations) has the tables.

## The data model

```mermaid
flowchart TB
    subgraph truth ["source of truth: never rebuilt"]
        metrics["metrics: the catalog"]
        keys["keys, old_keys: every idempotency key, recent and older ones"]
        events["events: the append-only log, by month"]
    end
    subgraph derived ["derived from the log: verify() compares, rebuild() restores"]
        series["series: one row per subject and metric, with the totals of the open buckets"]
        rollups["rollups: totals of all other buckets: closed, or ahead of the clock"]
        members["unique_members: who was seen when"]
    end
    subgraph kept ["kept of months that retention has dropped"]
        dropped["dropped_rollups, dropped_members"]
    end
    subgraph reporting ["reporting: a queue and a journal"]
        unreported["unreported: the queue"] --> pushes["pushes: the journal of what was sent"]
        reported["reported: how much of each bucket has been planned"]
    end
    subgraph closing ["closed periods: append-only, never rebuilt"]
        statements["statements, statement_lines: what was stated"]
        late["late_decisions: what was decided about late usage"]
    end
    series -- "a period is closed" --> statements
    events --> series
    events --> members
    events --> dropped
    series -- "a bucket closes" --> rollups
    series --> pushes
    rollups --> pushes
```

`series` gives each subject and metric a number, `series_id`, which stands for both in the other tables. The
views [logged_events](#view-logged_events) and [buckets](#view-buckets) have the texts: the log, and every
bucket, open or closed.

A metric has buckets of one or two kinds: its `period` and its `rollup`. The longer one is called coarse,
the shorter one fine. The open bucket is the latest one that has an event and has begun by the clock. There
is one of each kind, and the row of the series holds both. When an event of a later bucket comes, the open
bucket closes: its totals go to `rollups`. Late events, and events ahead of the clock, are added to
`rollups` directly.

## The life of an event

`record()` does three things in the caller's transaction: it inserts the idempotency key (a repeat ends
here), adds the event to the row of its series, and writes it to the log. If the metric is reported, it also
queues the event. An event that is not in the open buckets, or of a metric that is not a plain sum or count,
takes a longer way to the same result ([recording](record/README.md#how-an-event-is-recorded)).

Later, questions read `series` and `rollups`, and the log for what these cannot answer. A reporter plans
pushes from the queue. `maintain()` moves the event to the partition of its month, and the key to
`old_keys`. Retention may drop the month; the totals and the key stay.

## The order of locks

One rule for the whole package, so that single calls and batches never deadlock with each other:

1. idempotency keys
2. reservations
3. subjects of limited metrics, then their rows of `series`
4. new rows of `series`
5. other rows of `series`, by `series_id` and `stripe`
6. unique members
7. rollups

Within each table, rows are locked in the order of the primary key. Rollups are written only by a session
that has locked the row of their series and stripe. Events are only inserted and wait for no lock.
Reporting: the biller's row, then lanes (one customer and event name) by primary key, then pushes. Two
exceptions, after which a session that gets 40P01 has lost nothing and tries again: several `record()` calls
in one transaction lock in the order in which you make them, and `maintain()` and `rebuild()` of striped
metrics can meet a batch.

## Calling

Every function takes named arguments and lives in the schema that it was installed into, `meter` unless
another was chosen. Parameters with a `default` may be left out. A function whose name begins with an
underscore is private: any release may change it, and it is never granted to anyone.

```sql
SELECT * FROM meter.record('acct_1', 'tokens', 120, idempotency_key => 'req_1');
```

<!-- From here on generated from the COMMENTs of a migrated database. To bring it up to date: {COMMAND} -->
"""

_FILES = """\
## How this folder is laid out

A folder is a subject. A public function has a file of its own, named after it; private functions, whose names
begin with an underscore, stand beside their owner, one file for each idea. [common/](common) has those that
several subjects share. Every file can be applied again at any time: `pymeter migrate` does, whenever one has
changed. Tables, types, constraints and triggers are in [migrations/](../migrations), which never change once
released. `retired.sql` runs first and drops old signatures; `grants.sql` runs last.
"""


# What the examples find: two metrics, two subjects, a few events of June 2026, a role bound to a subject.
_SETUP = """
SELECT meter.define_metric('tokens', 'sum', 'token');
SELECT meter.define_metric('seats', 'last', 'seat');
SELECT meter.record_batch('[
    {"subject": "acct_1", "metric": "tokens", "quantity": 120, "at": "2026-06-17T09:00:00Z",
     "idempotency_key": "req_0", "metadata": {"model": "small"}},
    {"subject": "acct_1", "metric": "tokens", "quantity": 80, "at": "2026-06-18T10:30:00Z",
     "metadata": {"model": "large"}},
    {"subject": "acct_1", "metric": "seats", "quantity": 5, "at": "2026-06-18T11:00:00Z"},
    {"subject": "acct_2", "metric": "tokens", "quantity": 7, "at": "2026-06-18T12:00:00Z"}
]');
SELECT meter.grant_access('portal', 'read', subject => 'acct_1');
"""


def render(connection: Connection, run: Callable[[str], str], schema: str = "meter") -> str:
    """The whole reference, as Markdown. `run` runs SQL and returns what psql prints."""
    functions = {f.name: f for f in read_functions(connection, schema)}
    relations = _read_relations(connection, schema)
    types = {name for name, (kind, _, _) in relations.items() if kind == "type"}
    public_types = {f.result_type for f in functions.values() if f.is_public} & types
    run(_SETUP)
    parts = [_INTRODUCTION.replace("{COMMAND}", COMMAND), _contents(public_types, relations)]
    for folder, lines in contract().items():
        parts.append(f"## {folder}: {_FOLDERS[folder]}\n")
        parts += [_function(functions[line.split("(")[0]], folder, relations, run) for line in lines]
    parts.append("## Errors\n")
    parts.append(
        "MESSAGE is one constant sentence, DETAIL has the values, HINT the fix, COLUMN the name of the"
        " parameter. Branch on the SQLSTATE; codes are only ever added.\n"
    )
    parts.append(error_table() + "\n")
    parts.append(_refusals(connection, schema))
    parts.append("## Result types\n")
    parts += [_relation(name, relations) for name in _in_order_of_use(functions, public_types)]
    parts.append("## Tables\n")
    parts.append("For reading, joining and reviewing. Functions alone write to them.\n")
    parts += [_relation(name, relations) for name, (kind, _, _) in relations.items() if kind == "table"]
    parts += [_relation(name, relations) for name, (kind, _, _) in relations.items() if kind == "view"]
    parts.append(_internal(functions, relations, types - public_types))
    parts.append(_FILES)
    return "\n".join(parts)


def _contents(public_types: set[str], relations: dict[str, Any]) -> str:
    rows = []
    for folder, lines in contract().items():
        links = ", ".join(f"[{n}](#{n})" for n in (line.split("(")[0] for line in lines))
        anchor = _anchor(f"{folder}: {_FOLDERS[folder]}")
        page = f"[{folder}/]({folder})" if (REFERENCE.parent / folder / "README.md").exists() else ""
        rows.append(f"| [{folder}](#{anchor}) | {_FOLDERS[folder]} | {page} | {links} |")
    tables = ", ".join(f"[{n}](#table-{n})" for n, (kind, _, _) in relations.items() if kind == "table")
    return "\n".join(
        [
            "| Functions | For | Page | |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            f"Also here: [errors](#errors), [result types](#result-types), [tables](#tables) ({tables}),"
            " [private functions](#private-functions),"
            " [how this folder is laid out](#how-this-folder-is-laid-out).",
            "",
        ]
    )


def _function(function: Function, folder: str, relations: dict[str, Any], run: Callable[[str], str]) -> str:
    comment, _, example = (function.comment or "").partition(" Example: ")
    text, raises = _split_raises(comment)
    parts = [
        f"### {function.name}",
        "",
        "```sql",
        _signature(function),
        "```",
        "",
        _linked(text, function.name),
    ]
    if raises:
        parts += ["", f"**Raises** {_linked(raises, function.name)}"]
    parts += ["", _result(function, relations)]
    if example:
        shown = example.replace("; ", ";\n")
        parts += ["", "```sql", shown, "```", "", "```text", run(example).rstrip(), "```"]
    source = f"{folder}/{function.name}.sql"
    parts += ["", f"Source: [{source}]({source})"]
    return "\n".join([*parts, ""])


def _signature(function: Function) -> str:
    returns = f"returns {function.result}"
    if not function.parameters:
        return f"{function.name}() {returns}"
    name_width = max(len(p.name) for p in function.parameters)
    type_width = max(len(p.type) for p in function.parameters)
    lines = []
    for parameter in function.parameters:
        line = f"    {parameter.name:{name_width}}  {parameter.type:{type_width}}"
        lines.append(line.rstrip() if parameter.default is None else f"{line}  default {parameter.default}")
    return f"{function.name}(\n" + ",\n".join(lines) + f"\n) {returns}"


def _result(function: Function, relations: dict[str, Any]) -> str:
    kind = function.result_type
    if kind not in relations:
        return f"**Returns** {'a set of values' if function.returns_set else 'a value'} of type `{kind}`."
    what, _, columns = relations[kind]
    link = f"[{kind}](#{what}-{kind})"
    return f"**Returns** {'a set of' if function.returns_set else 'one'} {link}: {_listed(columns)}."


def _split_raises(comment: str) -> tuple[str, str]:
    """The comment, and what follows "Raises" in its last sentence."""
    match = re.search(r"(?:^|\s)Raises (?=[^.]*\.$)", comment)
    return (comment[: match.start()], comment[match.end() :]) if match else (comment, "")


def _linked(text: str, own: str) -> str:
    """Mentions of public functions as links; names, ranges and SQLSTATEs as code."""

    def mark(match: re.Match[str]) -> str:
        name = match["function"]
        if match["code"]:
            return match["code"]
        return f"[{name}()](#{name})" if name in names() and name != own else f"`{match[0]}`"

    return re.sub(
        r"(?P<code>`[^`]*`)"
        r"|\b(?P<function>_?[a-z_]+)\(\)"
        r"|\[[a-z_]+, [a-z_]+\)"
        r"|\b[a-z]+(?:_[a-z]+)+\b"
        r"|\b(?:UM\d{3}|22004|22023|25001|40001|42501|55000|55P03)\b",
        mark,
        _escaped(text),
    )


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, also within a table."""
    return text.replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")


def _relation(name: str, relations: dict[str, Any]) -> str:
    kind, comment, columns = relations[name]
    parts = [f"### {kind.capitalize()} {name}", "", _linked(comment or "", ""), ""]
    if any(text for _, _, text in columns):
        parts += ["| Column | Type | |", "| --- | --- | --- |"]
        parts += [f"| `{column}` | {type} | {_linked(text or '', '')} |" for column, type, text in columns]
    else:
        parts.append(f"Columns: {_listed(columns)}.")
    return "\n".join([*parts, ""])


def _listed(columns: list[Any]) -> str:
    return ", ".join(f"`{name}` {type}" for name, type, _ in columns)


def _in_order_of_use(functions: dict[str, Function], types: set[str]) -> list[str]:
    used = [functions[name].result_type for name in names()]
    return [name for name in dict.fromkeys(used) if name in types]


def _refusals(connection: Connection, schema: str) -> str:
    query = f'select parameter, message, sqlstate, hint from "{schema}"._problems()'
    with connection.transaction():
        connection.execute(f'set local search_path = "{schema}"'.encode())  # the hints name the schema
        rows = connection.execute(query.encode()).fetchall()
    lines = [f"| `{p}` | {_escaped(m)} | `{s}` | {_escaped(h)} |" for p, m, s, h in rows]
    return "\n".join(
        [
            "### What record() and record_batch() refuse",
            "",
            "The first broken rule is reported. With `on_invalid => 'skip'`, `record_batch()` returns the"
            " same as columns.",
            "",
            "| COLUMN | MESSAGE | SQLSTATE | HINT |",
            "| --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )


def _internal(functions: dict[str, Function], relations: dict[str, Any], types: set[str]) -> str:
    files = _files_of_functions()
    rows = [
        f"| [{f.name}]({files[f.name]}) | {_linked(f.comment or '', f.name)} |"
        for f in functions.values()
        if not f.is_public
    ]
    type_rows = [f"| {name} | {_linked(relations[name][1] or '', '')} |" for name in sorted(types)]
    sequences = [(n, text) for n, (kind, text, _) in relations.items() if kind == "sequence"]
    type_rows += [f"| {name} | {_linked(text or '', '')} |" for name, text in sequences]
    return "\n".join(
        [
            "## Private functions",
            "",
            "For readers of the code: never granted, and any release may change them.",
            "",
            "<details><summary>Private functions, types and sequences</summary>",
            "",
            "| Function | |",
            "| --- | --- |",
            *rows,
            "",
            "| Type or sequence | |",
            "| --- | --- |",
            *type_rows,
            "",
            "</details>",
            "",
        ]
    )


def _files_of_functions() -> dict[str, str]:
    """The file below ``sql/`` that defines each function."""
    return {
        name: file.relative_to(REFERENCE.parent).as_posix()
        for file in REFERENCE.parent.rglob("*.sql")
        for name in re.findall(r"^create or replace function (\w+)", file.read_text(encoding="utf-8"), re.M)
    }


def _read_relations(connection: Connection, schema: str) -> dict[str, tuple[str, str | None, list[Any]]]:
    """``{name: (kind, comment, [(column, type, comment)])}``: tables first, as a reader meets them."""
    rows = connection.execute(
        """
        select c.relname,
               case c.relkind when 'c' then 'type' when 'S' then 'sequence' when 'v' then 'view'
                              else 'table' end,
               coalesce(obj_description(c.oid, 'pg_class'), obj_description(c.reltype, 'pg_type')),
               coalesce(json_agg(json_build_array(
                   a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum))
                   order by a.attnum) filter (where c.relkind <> 'S'), '[]')
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'p', 'v', 'c', 'S')
          and c.relname !~ '^_?yoyo' and not c.relispartition
        group by c.oid, c.relname, c.relkind, c.reltype
        """,
        [schema],
    ).fetchall()
    order = [
        "metrics",
        "series",
        "rollups",
        "unique_members",
        "events",
        "log_months",
        "keys",
        "old_keys",
        "unreported",
        "dropped_rollups",
        "dropped_members",
        "installation",
    ]
    rows.sort(key=lambda row: (order.index(row[0]) if row[0] in order else len(order), row[0]))
    return {
        name: (kind, comment, [(c, short_type(t, schema), d) for c, t, d in columns])
        for name, kind, comment, columns in rows
    }


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def main() -> None:
    from pymeter import migrate
    from pymeter.embedded import temporary_server

    with temporary_server() as dsn:
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection, tempfile.TemporaryDirectory() as folder:
            for role in ROLES:
                connection.execute(f"CREATE ROLE {role}".encode())
            runner = Runner(dsn, dsn, Path(folder), REFERENCE)
            REFERENCE.write_text(render(connection, runner.sql), encoding="utf-8")
    sys.stdout.write(f"wrote {REFERENCE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
