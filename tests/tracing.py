"""Traces kept in memory, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from quorum.core import otel, tracing

#: What a producer sends.
PRODUCER = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "rojo=00f067aa0ba902b7",
}
TRACE = PRODUCER["traceparent"].split("-")[1]


class Spans(InMemorySpanExporter):
    """The spans that are over."""

    def of(self, upload_id: str) -> list[ReadableSpan]:
        """Those of the trace of an upload: of the spans that name it, and their trace."""
        made = self.get_finished_spans()
        traces = {
            one.context.trace_id
            for one in made
            if one.attributes.get("quorum.upload.id") == upload_id
        }
        return [one for one in made if one.context.trace_id in traces]


@contextmanager
def traces_in_memory() -> Iterator[Spans]:
    """Make traces meanwhile, and keep them."""
    spans = Spans()
    provider = TracerProvider(id_generator=otel.Ids())
    provider.add_span_processor(SimpleSpanProcessor(spans))
    before = tracing._tracer, tracing._decided
    tracing._tracer, tracing._decided = provider.get_tracer("test"), True
    try:
        yield spans
    finally:
        tracing._tracer, tracing._decided = before
