"""Spans: one for each call, with names that group, and without anything that identifies a customer."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext

import psycopg
import pytest

from pymeter import Meter, tracing
from pymeter.errors import UnknownMetric

pytest.importorskip("opentelemetry.sdk")
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF


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


CONFIGURED_LATE = """
import sys, psycopg
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pymeter import Meter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
with psycopg.connect(sys.argv[1]) as connection:
    meter = Meter(connection)
    meter.catalog()
    trace.set_tracer_provider(provider)
    with trace.get_tracer("app").start_as_current_span("request"):
        meter.subjects()
for span in exporter.get_finished_spans():
    print(span.name, span.parent is not None)
"""


def test_an_sdk_that_is_configured_after_the_first_call_gets_the_spans(meter_dsn: str) -> None:
    """In a process of its own: a provider can be set only once in each."""
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURED_LATE, meter_dsn], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["pymeter.subjects True", "request False"]


def test_what_happens_inside_a_call_is_inside_its_span(
    meter_connection: psycopg.Connection[object], spans: InMemorySpanExporter
) -> None:
    seen = []

    class Pool:
        def connection(self) -> AbstractContextManager[psycopg.Connection[object]]:
            seen.append(trace.get_current_span())
            return nullcontext(meter_connection)

    outside = trace.get_current_span()
    Meter(Pool()).catalog()
    assert [span.context.span_id for span in spans.get_finished_spans()] == [
        span.get_span_context().span_id for span in seen
    ]
    assert trace.get_current_span() is outside


def test_a_call_that_is_sampled_out_hides_what_happens_inside_it(
    meter_connection: psycopg.Connection[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_tracer", TracerProvider(sampler=ALWAYS_OFF).get_tracer("test"))
    seen = []

    class Pool:
        def connection(self) -> AbstractContextManager[psycopg.Connection[object]]:
            seen.append(trace.get_current_span().get_span_context())
            return nullcontext(meter_connection)

    Meter(Pool()).catalog()
    assert [(context.is_valid, context.trace_flags.sampled) for context in seen] == [(True, False)]


def test_without_opentelemetry_nothing_is_traced(
    meter_connection: psycopg.Connection[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)
    assert Meter(meter_connection).catalog() == []
