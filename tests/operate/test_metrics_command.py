"""``pymeter metrics`` and what programs serve at /metrics: the rows of operational_metrics(), as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from pymeter import Meter
from pymeter.models import OperationalMetric
from pymeter.operate import MeterCollector, exposition
from tests.cli.conftest import Run, pymeter
from tests.helpers import Ledger

__all__ = ["pymeter"]

Numbers = set[tuple[str, str, str, tuple[tuple[str, str], ...]]]


def parsed(text: str) -> Numbers:
    return {
        (sample.name, family.type, family.documentation, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def expected(rows: list[OperationalMetric]) -> Numbers:
    return {(row.name, row.type, row.help, tuple(sorted(row.labels.items()))) for row in rows}


@pytest.fixture
def metered(ledger: Ledger) -> Ledger:
    for metric in ("tokens", 'of "quotes"\\ and\nlines'):
        ledger.execute("SELECT meter.define_metric(%s, 'sum', 'unit')", [metric.replace("\n", " ")])
    ledger.record("acct_1", "tokens", 3)
    ledger.record("acct_2", "tokens", 4)
    return ledger


def test_it_prints_every_number_once(pymeter: Run, metered: Ledger) -> None:
    ran = pymeter("metrics")
    assert ran.status == 0
    rows = Meter(metered.connection).operational_metrics()
    assert parsed(ran.out) == expected(rows)
    assert len([line for line in ran.out.splitlines() if not line.startswith("#")]) == len(rows)
    assert 'pymeter_events_recorded{metric="tokens"} 2.0' in ran.out.splitlines()
    assert "acct_1" not in ran.out


def test_json_has_the_same_numbers_exactly(pymeter: Run, metered: Ledger) -> None:
    ran = pymeter("metrics", "--json")
    assert [{**row, "value": None} for row in ran.json] == [
        {**row.model_dump(), "value": None} for row in Meter(metered.connection).operational_metrics()
    ]
    assert all(isinstance(row["value"], str) for row in ran.json)


def test_without_prometheus_client_it_says_what_is_missing(
    pymeter: Run, metered: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    ran = pymeter("metrics")
    assert (ran.status, ran.out) == (2, "")
    assert "pymeter-ledger[prometheus]" in ran.err
    assert pymeter("metrics", "--json").status == 0


@pytest.mark.parametrize("collect", [exposition, lambda meter: _through_a_registry(meter)])
def test_programs_serve_the_same(metered: Ledger, collect: Callable[[Meter], str]) -> None:
    meter = Meter(metered.connection)
    assert parsed(collect(meter)) == expected(meter.operational_metrics())


def _through_a_registry(meter: Meter) -> str:
    from prometheus_client import generate_latest

    registry = CollectorRegistry()
    registry.register(MeterCollector(meter))
    return generate_latest(registry).decode()


def test_registering_asks_no_database_and_each_scrape_does(metered: Ledger) -> None:
    registry = CollectorRegistry()
    registry.register(MeterCollector(Meter(metered.connection)))
    labels = {"metric": "tokens"}
    assert registry.get_sample_value("pymeter_events_recorded", labels) == 2
    metered.record("acct_1", "tokens", 1)
    assert registry.get_sample_value("pymeter_events_recorded", labels) == 3
    metered.connection.close()
    CollectorRegistry().register(MeterCollector(Meter(metered.connection)))
    with pytest.raises(psycopg.Error):
        list(registry.collect())


def test_it_gives_up_instead_of_waiting_for_ever(
    pymeter: Run, metered: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymeter.cli.operating._SECONDS_MAX", 1)
    with metered.connection.transaction():
        metered.execute("LOCK TABLE meter.metrics IN ACCESS EXCLUSIVE MODE")
        ran = pymeter("metrics")
    assert (ran.status, ran.out) == (2, "")
    assert "timeout" in ran.err


def test_check_drift_says_no_if_something_differs(pymeter: Run, metered: Ledger) -> None:
    ran = pymeter("operate", "check-drift")
    assert (ran.status, ran.out) == (0, "✓ no drift: every rollup and statement is as it should be\n")
    metered.execute("UPDATE meter.series SET fine_total = fine_total + 1 WHERE subject = 'acct_1'")
    ran = pymeter("operate", "check-drift", "--json")
    assert (ran.status, ran.json) == (1, {"drift_rows": len(metered.verify())})
    assert ran.json["drift_rows"] > 0
    assert "pymeter_drift_rows 0.0" not in pymeter("metrics").out
