"""What the answers of many shards are together: rows of all, in the order that one meter returns them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymeter.calls.result import Row

Answers = Mapping[str, Sequence[Row]]
Merge = Callable[[Answers], list[Row]]


def by(*columns: str) -> Callable[[Row], Any]:
    """A key for sorting: columns in this order, ``-`` before those that descend; nulls last."""

    def key(row: Row) -> list[tuple[bool, Any]]:
        found = []
        for column in columns:
            value = row[column.removeprefix("-")]
            found.append((value is None, _Descending(value) if column.startswith("-") else _Ascending(value)))
        return found

    return key


class _Ascending:
    """A value that sorts as in the database: text by its bytes in UTF-8, as collation C does."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value.encode() if isinstance(value, str) else value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ascending) and bool(self.value == other.value)

    def __lt__(self, other: _Ascending) -> bool:
        return bool(self.value is not None and other.value is not None and self.value < other.value)


class _Descending(_Ascending):
    __slots__ = ()

    def __lt__(self, other: _Ascending) -> bool:
        return bool(self.value is not None and other.value is not None and other.value < self.value)


def rows_of(answers: Answers) -> list[Row]:
    """All rows, one shard after the other."""
    return [row for rows in answers.values() for row in rows]


@dataclass(frozen=True)
class Ordered:
    """All rows, in the order of these columns: ``-`` before those that descend."""

    columns: tuple[str, ...]

    once: bool = False
    """Of several rows with the same value of the first column, only the first one counts."""

    def __call__(self, answers: Answers) -> list[Row]:
        rows = sorted(rows_of(answers), key=by(*self.columns))
        if self.once:
            key = self.columns[0].removeprefix("-")
            rows = list({row[key]: row for row in reversed(rows)}.values())[::-1]
        return rows


def ordered(*columns: str) -> Ordered:
    """All rows, in this order."""
    return Ordered(columns)


def once(*columns: str) -> Ordered:
    """As `ordered`, of what the old home keeps when a subject moves: the first column is the id."""
    return Ordered(columns, once=True)


def added(answers: Answers) -> list[Row]:
    """The one row of one number: the sum."""
    rows = rows_of(answers)
    return [{name: sum(row[name] for row in rows) for name in rows[0]}] if rows else []


def any_true(answers: Answers) -> list[Row]:
    """The one row of one truth: true if any is."""
    rows = rows_of(answers)
    return [{name: any(row[name] for row in rows) for name in rows[0]}] if rows else []


def grouped(keys: Sequence[str], **columns: str) -> Merge:
    """Rows with the same `keys` are one, whose other columns are the ``sum``, ``min`` or ``max`` of theirs.

    They are in the order in which the first shard has them.
    """

    def merge(answers: Answers) -> list[Row]:
        found: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows_of(answers):
            found.setdefault(tuple(str(row[key]) for key in keys), []).append(row)
        return [
            {**rows[0], **{name: _joined(how, [row[name] for row in rows]) for name, how in columns.items()}}
            for rows in found.values()
        ]

    return merge


def _joined(how: str, values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return sum(known) if how == "sum" else min(known) if how == "min" else max(known)


def stopped_first(answers: Answers) -> list[Row]:
    """The journal that is stopped, if one is."""
    return sorted(rows_of(answers), key=lambda row: not row["stopped"])[:1]


def named(column: str) -> Merge:
    """All rows, with the shard's name in front of one column."""
    return lambda answers: [
        {**row, column: f"{shard}: {row[column]}"} for shard, rows in answers.items() for row in rows
    ]


def health(answers: Answers) -> list[Row]:
    """Healthy if all are; what each has to say, with its name."""
    if not answers:
        return []
    rows = {shard: rows[0] for shard, rows in answers.items()}

    def told(column: str) -> list[str]:
        return [f"{shard}: {text}" for shard, row in rows.items() for text in row[column]]

    def joined(how: str, column: str) -> Any:
        return _joined(how, [row[column] for row in rows.values()])

    return [
        {
            "healthy": all(row["healthy"] for row in rows.values()),
            "problems": told("problems"),
            "notices": told("notices"),
            "missing_partitions": joined("max", "missing_partitions"),
            "stray_events": joined("sum", "stray_events"),
            "oldest_unreported_at": joined("min", "oldest_unreported_at"),
            "last_maintained_at": None
            if any(row["last_maintained_at"] is None for row in rows.values())
            else joined("min", "last_maintained_at"),
            "silent": [text for row in rows.values() for text in row["silent"]],
            "bloated": told("bloated"),
        }
    ]


# Ages are those of the oldest, and the partitions reach as far as those of the shard that has the fewest.
_NOT_ADDED = {
    "pymeter_last_event_age_seconds": "min",
    "pymeter_partition_horizon_days": "min",
    "pymeter_drift_check_age_seconds": "max",
    "pymeter_maintenance_age_seconds": "max",
    "pymeter_notifications_oldest_seconds": "max",
    "pymeter_reservations_oldest_seconds": "max",
    "pymeter_unreported_oldest_seconds": "max",
}


# Without a row of a shard, the number of all is not known; of other numbers no row means none.
_KNOWN_OF_ALL = ("pymeter_events_recorded", "pymeter_drift_rows")


def metrics(answers: Answers) -> list[Row]:
    """Numbers are added, ages are not; those with one name together."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows_of(answers):
        found.setdefault(row["name"], {}).setdefault(str(row["labels"]), []).append(row)
    return [
        {**rows[0], "value": _joined(_NOT_ADDED.get(name, "sum"), [row["value"] for row in rows])}
        for name, labelled in found.items()
        for rows in labelled.values()
        if len(rows) == len(answers) or name not in _KNOWN_OF_ALL
    ]


def budget_round(answers: Answers) -> list[Row]:
    """The sums, and the time of the latest."""
    rows = rows_of(answers)
    if not rows:
        return []
    how = {name: "max" if name == "judged_at" else "sum" for name in rows[0]}
    return [{name: _joined(how[name], [row[name] for row in rows]) for name in rows[0]}]


def compared_plans(answers: Answers) -> list[Row]:
    """By subject, and the sum of all last; it is unknown if one of its parts is."""
    rows = sorted((row for row in rows_of(answers) if row["subject"] is not None), key=by("subject"))
    sums = [row for row in rows_of(answers) if row["subject"] is None]
    if not sums:
        return rows
    total = dict(sums[0])
    for name in ("amount_a", "amount_b", "difference"):
        values = [row[name] for row in sums]
        total[name] = None if None in values else sum(values)
    for name in ("pays_more", "pays_less", "pays_same"):
        total[name] = sum(row[name] for row in sums)
    for name in ("currency_a", "currency_b"):
        total[name] = _joined("min", [row[name] for row in sums])
    return [*rows, total]


_CAUSES = ("recheck", "uncertain", "due", "routine")


def ranges(answers: Answers) -> list[Row]:
    """By how urgent they are."""
    rows = sorted(rows_of(answers), key=by("range_start", "customer", "event_name"))
    return sorted(rows, key=lambda row: _CAUSES.index(row["cause"]))


def differences(answers: Answers) -> list[Row]:
    """The largest difference first."""
    rows = sorted(rows_of(answers), key=by("range_start", "customer", "event_name", "step"))
    return sorted(rows, key=lambda row: (row["difference"] is not None, -abs(row["difference"] or 0)))


def spike_alerts(answers: Answers) -> list[Row]:
    """By metric, those of everybody first."""
    rows = sorted(rows_of(answers), key=lambda row: row["within"])
    return sorted(rows, key=lambda row: (_Ascending(row["metric"]).value, (row["subject"] or "").encode()))


def charges(answers: Answers) -> list[Row]:
    """By the end of the billing period; those of a statement together."""
    return sorted(rows_of(answers), key=lambda row: str(row["BillingPeriodEnd"]))


def report_status(answers: Answers) -> list[Row]:
    """By metric and state. Where nothing is mapped, a shard has rows of no metric."""
    rows = rows_of(answers)
    named_rows = [row for row in rows if row["metric"] is not None]
    merged = grouped(["metric", "state"], pushes="sum", quantity="sum", oldest="min")(
        {"": named_rows or rows}
    )
    return sorted(merged, key=lambda row: _Ascending(row["metric"] or "").value)
