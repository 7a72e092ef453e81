"""Traces: an upload's way through the processes as one trace of OpenTelemetry.

Off unless the standard variables ask for it (``OTEL_EXPORTER_OTLP_ENDPOINT``, or
``OTEL_TRACES_EXPORTER``): then nothing of OpenTelemetry is imported, and a stage pays for one
comparison. An upload crosses threads, bundles and jobs, so no span is "the current one": a stage is
given the context of its parent as text, makes its spans with their times when it is done, and hands
a context on. That text is W3C's ``traceparent``, with ``;`` and the ``tracestate`` behind it where
there is one (https://www.w3.org/TR/trace-context).

A producer may send a context with an upload. Where it does not, the id of the trace is a digest of
the upload and its content, so that jobs which share only a stream, or a file without attributes,
write into the same trace. Spans hold ids, names and counts; never what an upload holds.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

__all__ = [
    "ATTRIBUTES",
    "Begun",
    "attributes_of",
    "begin",
    "begun",
    "context_of",
    "ids",
    "is_on",
    "now_ns",
    "root",
    "span",
]

#: By which attributes of a message a producer may send its context: ours, Google's client's, and
#: that of CloudEvents' extension for distributed tracing.
ATTRIBUTES: Final = ("traceparent", "googclient_traceparent", "ce-traceparent")

#: Ids of zeros are invalid.
_PARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_MOST_STATE: Final = 512

_lock = threading.Lock()
_process = "quorum"
_tracer: Any = None
_decided = False

now_ns = time.time_ns


def begin(verb: str) -> None:
    """Name this process in traces and logs, as ``quorum-stream``, and export its logs if asked.

    ``OTEL_SERVICE_NAME`` goes before.

    Raises:
        ConfigurationError: If the variables ask for what is not installed.
    """
    global _process
    _process = f"quorum-{verb}"
    is_on()
    if _asked("logs"):
        from quorum.core.otel import log_handler

        logging.getLogger().addHandler(log_handler(_process))


def is_on() -> bool:
    """Whether traces are made.

    Raises:
        ConfigurationError: If the variables ask for what is not installed.
    """
    return (_tracer if _decided else _decide()) is not None


def _asked(signal: str) -> bool:
    """Whether the variables ask for ``traces``, or for ``logs``."""
    given = os.environ.get
    if given("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = given(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    return bool(given("OTEL_EXPORTER_OTLP_ENDPOINT") or given(own))


def _decide() -> Any:
    """Set the tracer up at the first question, in whatever process that is."""
    global _tracer, _decided
    with _lock:
        if not _decided:
            if _asked("traces"):
                from quorum.core.otel import provider

                _tracer = provider(_process).get_tracer("quorum")
            _decided = True
    return _tracer


def context_of(attributes: Mapping[str, str]) -> str:
    """The context that a message or request carries; empty if it has none that is valid.

    Args:
        attributes: Its attributes or headers, by lower-case names.
    """
    for name in ATTRIBUTES:
        parent = attributes.get(name, "")
        if _PARENT.fullmatch(parent) and not parent.startswith("ff"):
            state = attributes.get(name.replace("parent", "state"), "")
            return f"{parent};{state}" if 0 < len(state) <= _MOST_STATE else parent
    return ""


def attributes_of(context: str) -> dict[str, str]:
    """The attributes by which a message carries a context; none without one."""
    parent, _, state = context.partition(";")
    if not parent:
        return {}
    return {"traceparent": parent} | ({"tracestate": state} if state else {})


def root(upload_id: str, digest: str | None) -> str:
    """Where the trace of an upload begins whose producer sent no context: ``trace:`` and its id."""
    return "trace:" + sha256(f"{upload_id}\0{digest or ''}".encode()).hexdigest()[:32]


def span(
    name: str,
    parent: str,
    begin: int,
    end: int | None = None,
    *,
    kind: str = "internal",
    error: str = "",
    **attributes: Any,
) -> str:
    """Make a span that is over.

    Args:
        name: Its name, of few different ones.
        parent: The context of its parent, or ``root``; empty makes no span.
        begin: When it began, in nanoseconds since 1970.
        end: When it ended; by default now.
        kind: ``internal``, ``client``, ``consumer``, ``producer`` or ``server``.
        error: Why it failed; empty if it did not.
        attributes: Its attributes; names get the prefix ``quorum.``, and ``_`` becomes ``.``.

    Returns:
        Its context, for what it leads to; where traces are off, that of the parent.
    """
    if not parent or not is_on():
        return parent
    from quorum.core import otel

    end = end or now_ns()
    return otel.record(_tracer, name, parent, begin, end, kind, error, _named(attributes))


class Begun:
    """A span whose context is handed on before it is over, as in the headers of a request.

    Args:
        context: Its context; where no span is made, that of the parent.
        made: The SDK's span; None where no span is made.
    """

    def __init__(self, context: str, made: Any = None) -> None:
        self.context = context
        self._made = made

    def end(self, error: str = "") -> None:
        """End it now; with an error as failed."""
        if self._made is not None:
            from quorum.core import otel

            otel.ended(self._made, now_ns(), error)


def begun(name: str, parent: str, *, kind: str = "internal", **attributes: Any) -> Begun:
    """Begin a span now.

    Args:
        name: Its name, of few different ones.
        parent: The context of its parent, or ``root``; empty makes no span.
        kind: As of ``span``.
        attributes: As of ``span``.
    """
    if not parent or not is_on():
        return Begun("" if parent.startswith("trace:") else parent)
    from quorum.core import otel

    made = otel.begun(_tracer, name, parent, now_ns(), kind, _named(attributes))
    return Begun(otel.context_text(made), made)


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"quorum.{key.replace('_', '.')}": value for key, value in attributes.items()}


def ids(context: str) -> dict[str, str]:
    """The ids of a context, as fields of a log line; none without one."""
    found = _PARENT.match(context)
    return {"trace_id": found[1], "span_id": found[2]} if found else {}
