"""Which answers of many shards a front can merge, and the SQL that does it."""

from __future__ import annotations

from pymeter.scale.merging import Merge, Ordered, added, any_true, rows_of
from pymeter.scale.rules import (
    AnyShard,
    Erasing,
    Everywhere,
    FirstShard,
    If,
    Merged,
    MergedDefinitions,
    OnId,
    OnSubject,
    Rule,
    SplitBySubject,
    Subjects,
)
from pymeter.scale.stubs_catalog import Field, Function
from pymeter.scale.stubs_quoting import identifier

_ONE_SHARD = (AnyShard, FirstShard, Erasing, SplitBySubject, Everywhere, MergedDefinitions)


def unsupported(rule: Rule) -> bool:
    """Whether a function with this rule has no stub. One of a subject has, if only for one subject."""
    if isinstance(rule, OnId):
        return rule.otherwise is not None and unsupported(rule.otherwise)
    if isinstance(rule, If):
        return unsupported(rule.rule) or unsupported(rule.otherwise)
    if isinstance(rule, Subjects):
        return unsupported(rule.merged)
    if isinstance(rule, Merged):
        return not (isinstance(rule.merge, Ordered) or rule.merge in (rows_of, added, any_true))
    return not isinstance(rule, (OnSubject, *_ONE_SHARD))


def aggregated(merge: Merge, function: Function) -> str | None:
    """The select list that makes one row of the rows ``t`` of all; None if the rows stay what they are."""
    if merge not in (added, any_true):
        return None
    name = "sum" if merge is added else "bool_or"
    columns = function.columns or (Field("value", function.result),)
    return ", ".join(f"{name}(t.{identifier(c.name)})::{c.type}" for c in columns)


def ordering(rule: Rule, function: Function) -> str:
    """What the rows ``t`` of all shards are ordered by; ``t._n`` keeps the order within a shard."""
    return ", ".join([*_terms(rule, function), "t._n"])


def _terms(rule: Rule, function: Function, only: str | None = None) -> list[str]:
    if isinstance(rule, If):
        given = f"${function.place(rule.argument)}"
        return [
            *_terms(rule.rule, function, f"{given} is true"),
            *_terms(rule.otherwise, function, f"{given} is not true"),
        ]
    if not isinstance(rule, Merged) or not isinstance(rule.merge, Ordered):
        return []
    return [_term(column, function, only) for column in rule.merge.columns]


def _term(column: str, function: Function, only: str | None) -> str:
    name = column.removeprefix("-")
    type = next(field.type for field in function.columns if field.name == name)
    value = f"t.{identifier(name)}"
    if only:
        value = f"case when {only} then {value} end"
    collation = ' collate "C"' if type == "text" else ""
    return f"{value}{collation}{' desc' if column.startswith('-') else ''} nulls last"


def distinct(rule: Rule) -> str:
    """What a select list begins with, if rows that two shards have count once."""
    if not (isinstance(rule, Merged) and isinstance(rule.merge, Ordered) and rule.merge.once):
        return ""
    return f"distinct on (t.{identifier(rule.merge.columns[0].removeprefix('-'))}) "


def pages(rule: Rule) -> bool:
    """Whether max_rows counts for all shards together."""
    return rule.pages if isinstance(rule, Merged) else isinstance(rule, If) and pages(rule.rule)
