"""The error table of sql/README.md, which the tests compare with the code.

Append-only: a code that was given a meaning keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymeter.errors import BY_SQLSTATE


@dataclass(frozen=True)
class Code:
    """One SQLSTATE that a call can raise."""

    sqlstate: str
    meaning: str
    retry: str
    """What a caller can do."""

    @property
    def python(self) -> str:
        """The exception that the Python clients raise for it."""
        kind = BY_SQLSTATE.get(self.sqlstate)
        return kind.__name__ if kind else "psycopg's own"


CODES = (
    Code("22004", "A null where a value is needed.", "No: send the value."),
    Code(
        "22023", "A value that cannot be: blank, too long, not finite, no window.", "No: correct the value."
    ),
    Code("UM001", "The catalog has no such metric.", "After `define_metric()`."),
    Code(
        "UM002",
        "The metric's definition forbids it: it is retired; a quantity for a `unique` metric, a member for"
        " another; another aggregate or period for a metric that has events.",
        "No: the definition decides.",
    ),
    Code(
        "UM003",
        "An event would go beyond a limit, and the caller asked to be refused: `strict`, or `on_refused`.",
        "When there is room; or with `overflow`.",
    ),
    Code(
        "UM004",
        "The period is closed: the metric refuses late usage (`after_close`), or a billing cycle would begin"
        " before the end of a statement.",
        "No: record at a later time, or begin later.",
    ),
    Code("UM005", "A duplicate or a conflict, and the caller asked to be refused: `strict`.", "No."),
    Code(
        "UM006",
        "The window needs events that retention has dropped.",
        "No: ask for whole buckets, as the HINT says, or for a later window.",
    ),
    Code(
        "UM007",
        "No such plan, limit, subscription or reservation; DETAIL says which.",
        "After it is defined.",
    ),
    Code(
        "UM008",
        "The subject is on another shard, or is being moved; DETAIL is the name of that shard.",
        "There, with the map of shards loaded anew; while it is being moved, in a second.",
    ),
    Code(
        "25001",
        "`maintain()`, or a `define_metric()` that changes an aggregate, period or rollup, outside of"
        " READ COMMITTED.",
        "In a transaction of its own.",
    ),
    Code("28000", "The key or token is unknown, was revoked or has expired.", "With a valid key."),
    Code(
        "40001",
        "The snapshot cannot see a change that was met: of a transaction at REPEATABLE READ or SERIALIZABLE,"
        " or of a question that had to wait while `maintain()` moved events.",
        "Yes: the whole transaction.",
    ),
    Code(
        "42501",
        "UPDATE, DELETE or TRUNCATE on the log; a missing privilege; a subject the role is not bound to.",
        "No.",
    ),
    Code(
        "55000",
        "The tables are there, but not the functions; or a restore has opened functions to everybody, and"
        " nothing can be granted. Or reporting is stopped, because its journal was restored, copied or failed"
        " over (`ReportingStopped`). Or `adopt_journal()` was called for a journal that is not stopped"
        " (`MeterError`). Or a period cannot be closed, or a subject erased, before something is done that"
        " the HINT names (`NotReady`).",
        "After `pymeter migrate`, `pymeter report adopt`, or `pymeter rebuild`.",
    ),
    Code(
        "55P03",
        "A call that changes the log, a definition, a mapping or rollups found them in use for seconds, and"
        " changed nothing; or your own `lock_timeout` ran out.",
        "Yes: later.",
    ),
)


def error_table() -> str:
    """The table as Markdown."""
    rows = [f"| `{c.sqlstate}` | {c.meaning} | {c.retry} | {_python(c)} |" for c in CODES]
    return "\n".join(["| SQLSTATE | Meaning | Try again? | In Python |", "| --- | --- | --- | --- |", *rows])


def _python(code: Code) -> str:
    return f"`{code.python}`" if code.python in {k.__name__ for k in BY_SQLSTATE.values()} else code.python
