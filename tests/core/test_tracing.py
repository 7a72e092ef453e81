"""Traces: off without the variables, W3C's context in and out, one trace for each upload."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from quorum.core import otel, tracing
from quorum.core.errors import ConfigurationError
from quorum.core.logs import _Json
from tests.tracing import PRODUCER, TRACE, Spans, traces_in_memory


@pytest.fixture
def spans() -> Iterator[Spans]:
    with traces_in_memory() as made:
        yield made


def told(variables: dict[str, str], code: str) -> str:
    """What a process with these variables prints."""
    program = "import sys\nfrom quorum.core import tracing\n" + code
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_it_is_off_and_loads_nothing_unless_asked() -> None:
    code = "print(tracing.is_on(), any(n.startswith('opentelemetry') for n in sys.modules))"
    assert told({}, code) == "False False"


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_the_standard_variables_turn_it_on(
    variables: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracing._asked("traces") is on


def test_an_unknown_exporter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jaeger")
    with pytest.raises(ConfigurationError, match="there are otlp and none"):
        otel.provider("quorum-test")


def test_an_exporter_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'quorum-moderation\[otel\]'"):
        otel.provider("quorum-test")


@pytest.mark.parametrize("name", tracing.ATTRIBUTES)
def test_a_context_is_read_and_handed_on(name: str) -> None:
    given = {name: PRODUCER["traceparent"], "tracestate": "other=1"}
    given[name.replace("parent", "state")] = PRODUCER["tracestate"]
    assert tracing.attributes_of(tracing.context_of(given)) == PRODUCER


@pytest.mark.parametrize(
    "parent",
    ["", "00-x", "ff" + PRODUCER["traceparent"][2:], PRODUCER["traceparent"].upper(),
     PRODUCER["traceparent"] + "\n", PRODUCER["traceparent"] + "-01"],
)  # fmt: skip
def test_what_is_no_context_is_none(parent: str) -> None:
    assert tracing.context_of({"traceparent": parent}) == ""


def test_zero_ids_are_no_context() -> None:
    for trace, span in (("0" * 32, "b" * 16), ("a" * 32, "0" * 16)):
        assert tracing.context_of({"traceparent": f"00-{trace}-{span}-01"}) == ""


def test_a_long_tracestate_is_left_out() -> None:
    given = {**PRODUCER, "tracestate": "a=" + "b" * 600}
    assert tracing.context_of(given) == PRODUCER["traceparent"]


def test_a_span_is_a_child_of_what_the_producer_sent(spans: Spans) -> None:
    context = tracing.span("a", tracing.context_of(PRODUCER), 1_000, 2_000, upload_id="u")
    inner = tracing.span("b", context, 1_500, 1_600, error="failed")
    outer, child = spans.get_finished_spans()
    assert f"{outer.context.trace_id:032x}" == TRACE
    assert f"{outer.parent.span_id:016x}" == PRODUCER["traceparent"].split("-")[2]
    assert (outer.start_time, outer.end_time) == (1_000, 2_000)
    assert outer.attributes == {"quorum.upload.id": "u"}
    assert child.parent.span_id == outer.context.span_id
    assert not child.status.is_ok
    assert tracing.attributes_of(inner)["tracestate"] == PRODUCER["tracestate"]


def test_jobs_that_share_nothing_write_into_the_same_trace(spans: Spans) -> None:
    tracing.span("a", tracing.root("u", "d"), 1)
    tracing.span("b", tracing.root("u", "d"), 1)
    tracing.span("c", tracing.root("u", "edited"), 1)
    first, second, edit = (one.context.trace_id for one in spans.get_finished_spans())
    assert first == second != edit


def test_a_producer_that_does_not_sample_is_followed(spans: Spans) -> None:
    unsampled = {"traceparent": PRODUCER["traceparent"][:-2] + "00"}
    context = tracing.span("a", tracing.context_of(unsampled), 1)
    assert not spans.get_finished_spans()
    assert tracing.attributes_of(context)["traceparent"].endswith("-00")


def test_a_log_line_names_its_trace() -> None:
    fields = tracing.ids(tracing.context_of(PRODUCER))
    record = logging.makeLogRecord({"msg": "verdict", **fields})
    line = json.loads(_Json().format(record))
    assert line["trace_id"] == TRACE
    assert tracing.ids("") == {}
    assert "trace_id" not in json.loads(_Json().format(logging.makeLogRecord({"msg": "x"})))


def test_a_log_record_is_exported_as_a_part_of_its_trace() -> None:
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    handler = otel.LogHandler(logger_provider=provider)
    fields = tracing.ids(tracing.context_of(PRODUCER))
    record = {"name": "quorum.x", "msg": "verdict", "levelno": logging.INFO, "action": "allow"}
    handler.emit(logging.makeLogRecord({**record, **fields}))
    handler.emit(logging.makeLogRecord({**record, "name": "google.auth"}))
    (made,) = kept.get_finished_logs()
    assert f"{made.log_record.trace_id:032x}" == TRACE
    assert made.log_record.body == "verdict"
    assert made.log_record.attributes == {"action": "allow"}
