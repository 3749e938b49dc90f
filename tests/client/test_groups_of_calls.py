"""Calls that belong together are together: ``meter.reporting``, ``meter.access``, ``meter.for_subject``."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pymeter import AsyncMeter, Meter


def test_reporting_is_the_same_calls_under_one_name(meter_connection: psycopg.Connection[Any]) -> None:
    meter = Meter(meter_connection)
    meter.define_metric("tokens", "sum", "token")
    meter.reporting.report_metric("tokens", "api_tokens")
    assert meter.reporting.report_mappings() == meter.report_mappings()
    assert [mapping.event_name for mapping in meter.report_mappings()] == ["api_tokens"]


def test_access_lists_grants_and_revokes(meter_connection: psycopg.Connection[Any]) -> None:
    role = "pymeter_group_of_calls"
    meter_connection.execute(f"create role {role}")
    meter = Meter(meter_connection)
    meter.access.grant(role, "read")
    assert [(right.role, right.level) for right in meter.access()] == [(role, "read")]
    meter.access.revoke(role)
    assert meter.access() == []


def test_a_subject_is_given_once_to_the_questions_about_it(
    meter_connection: psycopg.Connection[Any],
) -> None:
    """They are for a role that is bound to the subject, so the owner is refused, by SQL."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        Meter(meter_connection).for_subject("acct_1").usage("tokens")


def test_the_asynchronous_client_has_them_too(meter_dsn: str) -> None:
    async def ask() -> tuple[Any, Any]:
        async with await psycopg.AsyncConnection.connect(meter_dsn) as connection:
            meter = AsyncMeter(connection)
            return await meter.access(), await meter.reporting.report_mappings()

    assert asyncio.run(ask()) == ([], [])
