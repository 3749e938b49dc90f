"""The plans that a call really ran, also inside of its functions: auto_explain sends them as notices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

_PREFIX = "duration:"
# Rows and buffers, never times.
_SETTINGS = {
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "auto_explain.log_min_duration": "0",
}


@dataclass(frozen=True)
class Scan:
    """One table read by one node of a plan."""

    table: str
    node: str
    index: str
    condition: str
    rows: float
    """Rows that it looked at, those that it threw away included."""


@dataclass
class Plans:
    """Every plan of one call."""

    plans: list[dict[str, Any]] = field(default_factory=list)

    def nodes(self) -> Iterator[dict[str, Any]]:
        waiting = [plan["Plan"] for plan in self.plans]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", [])

    def scans(self, *tables: str) -> list[Scan]:
        """The scans of these tables that were executed; ``events`` stands for all of its partitions."""
        return [
            Scan(
                node["Relation Name"],
                node["Node Type"],
                node.get("Index Name", _bitmap_index(node)),
                node.get("Index Cond", node.get("Recheck Cond", "")),
                (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"],
            )
            for node in self.nodes()
            if "Relation Name" in node
            and node["Node Type"] != "ModifyTable"
            and node["Actual Loops"] > 0
            and _is_one_of(node["Relation Name"], tables)
        ]

    def rows(self, *tables: str) -> float:
        """How many rows of these tables were looked at."""
        return sum(scan.rows for scan in self.scans(*tables))

    def writes(self, table: str) -> list[dict[str, Any]]:
        return [
            node
            for node in self.nodes()
            if node["Node Type"] == "ModifyTable" and _is_one_of(node["Relation Name"], (table,))
        ]

    def buffers(self) -> int:
        """Pages that were looked at, in memory or not; the outermost plan counts those of all others."""
        return max(
            plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] for plan in self.plans
        )

    def assert_by_index(self, *tables: str) -> None:
        """Nothing was read that was not found through an index whose condition names a series, or a key."""
        for scan in self.scans(*tables):
            assert "Seq" not in scan.node, f"{scan.table} is read from end to end"
            assert scan.index, scan
            names = {
                "series": ("subject", "series_id"),
                "keys": ("digest",),
                "old_keys": ("digest",),
                "reservations": ("subject", "reservation_id", "state"),
            }
            assert any(name in scan.condition for name in names.get(scan.table, ("series_id",))), (
                f"{scan.table} is not looked up by its series: {scan.condition}"
            )


@contextmanager
def captured(connection: psycopg.Connection[Any]) -> Iterator[Plans]:
    """Collect the plans of what runs in the block."""
    plans = Plans()

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        message = diagnostic.message_primary or ""
        if message.startswith(_PREFIX):
            plans.plans.append(json.loads(message.partition("plan:")[2]))

    connection.add_notice_handler(keep)
    _set(connection, _SETTINGS)
    try:
        yield plans
    finally:
        _set(connection, {"auto_explain.log_min_duration": "-1"})
        connection.remove_notice_handler(keep)


def explainer(connection: psycopg.Connection[Any]) -> Callable[[str, Sequence[Any]], Plans]:
    """``explain(call, parameters)``: the plans of a call that was made before, so that they are settled."""
    try:
        connection.execute("LOAD 'auto_explain'")
    except (psycopg.errors.UndefinedFile, psycopg.errors.InsufficientPrivilege) as error:
        pytest.skip(f"needs auto_explain: {error}")

    def explain(call: str, parameters: Sequence[Any] = (), *, calls_before: int = 6) -> Plans:
        for _ in range(calls_before):
            connection.execute(call, parameters)
        with captured(connection) as plans:
            connection.execute(call, parameters)
        assert plans.plans
        return plans

    return explain


def _set(connection: psycopg.Connection[Any], settings: dict[str, str]) -> None:
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", [name, value])


def _bitmap_index(node: dict[str, Any]) -> str:
    return next((child.get("Index Name", "") for child in node.get("Plans", [])), "")


def _is_one_of(relation: str, tables: Sequence[str]) -> bool:
    return relation in tables or ("events" in tables and relation.startswith("events"))
