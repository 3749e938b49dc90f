"""OpenTelemetry spans, one per call, when the opentelemetry package is installed; nothing at all otherwise.

A span carries the function, the schema and the metric. It never carries a subject, a quantity, a key or a
connection string, nor the text of an error: its SQLSTATE is enough to group by.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

try:
    from opentelemetry import context, trace
except ImportError:  # the extra `otel` is not installed
    _tracer: Any = None
else:
    _tracer = trace.get_tracer("pymeter")

_NOTHING: AbstractContextManager[None] = nullcontext()


def call_span(function: str, schema: str, params: Mapping[str, Any]) -> AbstractContextManager[None]:
    """A span around one call; a no-op without opentelemetry or without a configured SDK."""
    if _tracer is None or _nothing_listens():
        return _NOTHING
    attributes = {
        "db.system.name": "postgresql",
        "db.namespace": schema,
        "db.operation.name": function,
    }
    if (metric := params.get("metric")) is not None:
        attributes["pymeter.metric"] = metric
    span = _tracer.start_span(f"pymeter.{function}", kind=trace.SpanKind.CLIENT, attributes=attributes)
    # A span that is valid and not recorded was sampled out: what happens inside it has to see that.
    return _CurrentSpan(span) if span.get_span_context().is_valid else _NOTHING


def _nothing_listens() -> bool:
    """Whether no SDK was configured yet. A span that goes nowhere would cost a tenth of a whole `record`.

    The API asks the same of itself, but tells only who starts a span. Should it give up the name that is read
    here, then spans are started.
    """
    return isinstance(_tracer, trace.ProxyTracer) and getattr(trace, "_TRACER_PROVIDER", _tracer) is None


class _CurrentSpan(AbstractContextManager[None]):
    """Makes a span the current one, and ends it. `use_span` would record the text of an error."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        context.detach(self._token)
        if isinstance(error, Exception):
            sqlstate = getattr(error, "sqlstate", None)
            self._span.set_attribute("error.type", sqlstate or type(error).__name__)
            if sqlstate:
                self._span.set_attribute("db.response.status_code", sqlstate)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()
