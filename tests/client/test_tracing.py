"""Spans: one for each call, with names that group, and without anything that identifies a customer."""

from __future__ import annotations

import psycopg
import pytest

from pymeter import Meter, tracing
from pymeter.errors import UnknownMetric

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


def test_a_call_is_a_span(meter: Meter, spans: InMemorySpanExporter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.record("secret-subject", "tokens", 120, idempotency_key="secret-key")
    span = spans.get_finished_spans()[-1]
    assert span.name == "pymeter.record"
    assert dict(span.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.namespace": "meter",
        "db.operation.name": "record",
        "pymeter.metric": "tokens",
    }
    assert "secret" not in span.to_json()


def test_a_refusal_is_told_by_its_sqlstate_only(meter: Meter, spans: InMemorySpanExporter) -> None:
    with pytest.raises(UnknownMetric):
        meter.record("secret-subject", "tokns", 120)
    (span,) = spans.get_finished_spans()
    assert not span.status.is_ok
    assert (span.attributes or {})["error.type"] == "UM001"
    assert "secret" not in span.to_json()


def test_without_opentelemetry_nothing_is_traced(
    meter_connection: psycopg.Connection[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)
    assert Meter(meter_connection).catalog() == []
