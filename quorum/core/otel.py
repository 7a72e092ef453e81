"""What ``tracing`` needs of OpenTelemetry's SDK; imported only where traces are on."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from quorum.core.errors import ConfigurationError
from quorum.core.logs import FIELDS

__all__ = [
    "Ids",
    "LogHandler",
    "begun",
    "context_text",
    "ended",
    "log_handler",
    "provider",
    "record",
]

#: The id of the trace that the next span without a parent begins.
_next_trace: ContextVar[int] = ContextVar("quorum_next_trace", default=0)


_SEVERITY = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class Ids(RandomIdGenerator):
    """Random ids, but for a trace whose id is known: so the sampler decides on it as on any."""

    def generate_trace_id(self) -> int:
        """See RandomIdGenerator."""
        return _next_trace.get() or super().generate_trace_id()


def _exporter(signal: str) -> Any:
    """The exporter of ``traces`` or ``logs`` that the variables name; by default OTLP.

    Raises:
        ConfigurationError: If it is not installed, or unknown.
    """
    name = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() or "otlp"
    if name == "console" and signal == "traces":
        return ConsoleSpanExporter()
    if name != "otlp":
        msg = f"OTEL_{signal.upper()}_EXPORTER={name}: there are otlp and none"
        raise ConfigurationError(msg)
    try:
        if signal == "traces":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter()
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        return OTLPLogExporter()
    except ImportError:
        msg = "OTEL_… asks for OpenTelemetry: pip install 'quorum-moderation[otel]', or unset it"
        raise ConfigurationError(msg) from None


def provider(process: str) -> TracerProvider:
    """A provider that exports as the standard variables say (``OTEL_TRACES_SAMPLER``, …).

    Args:
        process: The name of the service, unless ``OTEL_SERVICE_NAME`` gives another.

    Raises:
        ConfigurationError: If the exporter is not installed.
    """
    made = TracerProvider(resource=_resource(process), id_generator=Ids())
    made.add_span_processor(BatchSpanProcessor(_exporter("traces")))
    return made


def _resource(process: str) -> Resource:
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": process}
    return Resource.create(named)


def log_handler(process: str) -> logging.Handler:
    """A handler that exports log records, with the ids of their trace.

    Raises:
        ConfigurationError: If the exporter is not installed.
    """
    made = LoggerProvider(resource=_resource(process))
    made.add_log_record_processor(BatchLogRecordProcessor(_exporter("logs")))
    return LogHandler(logger_provider=made)


class LogHandler(logging.Handler):
    """Exports our log records; those with the ids of a trace (``tracing.ids``) as a part of it.

    Args:
        logger_provider: Makes the loggers.
    """

    def __init__(self, logger_provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = logger_provider

    def emit(self, record: logging.LogRecord) -> None:
        """Export a record."""
        if not record.name.startswith("quorum"):
            return
        fields = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        trace, span = fields.pop("trace_id", ""), fields.pop("span_id", "")
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception.type"] = record.exc_info[0].__name__
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                context=context(f"00-{trace}-{span}-01") if trace else Context(),
                severity_text=record.levelname,
                severity_number=_SEVERITY.get(record.levelno, SeverityNumber.UNSPECIFIED),
                body=record.getMessage(),
                attributes=fields,
            )
        )


def context(parent: str) -> Context:
    """The SDK's context of a text of ``tracing``; one without a parent for ``trace:…``."""
    text, _, state = parent.partition(";")
    if text.startswith("trace:"):
        return Context()
    _, trace, span, flags = text.split("-")
    remote = SpanContext(
        int(trace, 16),
        int(span, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16) & 1),
        trace_state=TraceState.from_header([state]),
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())


def begun(
    tracer: Tracer, name: str, parent: str, begin: int, kind: str, attributes: Mapping[str, Any]
) -> Span:
    """Begin a span; see ``tracing.begun``."""
    text = parent.partition(";")[0]
    known = int(text.removeprefix("trace:"), 16) if text.startswith("trace:") else 0
    token = _next_trace.set(known)
    try:
        return tracer.start_span(
            name,
            context(parent),
            kind=SpanKind[kind.upper()],
            attributes=dict(attributes),
            start_time=begin,
        )
    finally:
        _next_trace.reset(token)


def ended(span: Span, end: int, error: str) -> None:
    """End a span, as failed where there is an error."""
    if error:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(end)


def context_text(span: Span) -> str:
    """The context of a span, as ``tracing`` writes it."""
    here = span.get_span_context()
    told = f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"
    state = here.trace_state.to_header()
    return f"{told};{state}" if state else told


def record(
    tracer: Tracer,
    name: str,
    parent: str,
    begin: int,
    end: int,
    kind: str,
    error: str,
    attributes: Mapping[str, Any],
) -> str:
    """Make a span that is over; see ``tracing.span``."""
    made = begun(tracer, name, parent, min(begin, end), kind, attributes)
    ended(made, end, error)
    return context_text(made)
