"""OpenTelemetry spans, one per call, when the opentelemetry package is installed; nothing at all otherwise.

A span carries the function, the schema and the metric. It never carries a subject, a quantity, a key or a
connection string, nor the text of an error: its SQLSTATE is enough to group by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

try:
    from opentelemetry import trace
except ImportError:  # the extra `otel` is not installed
    _tracer: Any = None
else:
    _tracer = trace.get_tracer("pymeter")

_NOTHING: AbstractContextManager[None] = nullcontext()


def call_span(function: str, schema: str, params: Mapping[str, Any]) -> AbstractContextManager[None]:
    """A span around one call of `function`; a no-op without opentelemetry."""
    if _tracer is None:
        return _NOTHING
    return _span(function, schema, params.get("metric"))


@contextmanager
def _span(function: str, schema: str, metric: str | None) -> Iterator[None]:
    attributes = {
        "db.system.name": "postgresql",
        "db.namespace": schema,
        "db.operation.name": function,
        **({"pymeter.metric": metric} if metric is not None else {}),
    }
    with _tracer.start_as_current_span(
        f"pymeter.{function}",
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as exc:
            sqlstate = getattr(exc, "sqlstate", None)
            span.set_attribute("error.type", sqlstate or type(exc).__name__)
            if sqlstate:
                span.set_attribute("db.response.status_code", sqlstate)
            span.set_status(trace.StatusCode.ERROR)
            raise
