"""Workers make their calls for state together: against a state service, and in a job over gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam import coders
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker import bundle_processor, sdk_worker
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from quorum.pipeline.state_calls import _Calls, call_together


class Engine:
    """Keeps state, and answers only once so many calls have come."""

    def __init__(self, together: int) -> None:
        self.together = together
        self.kept: dict[bytes, bytes] = {}
        self.refused = b"no key"

    def State(self, requests: Iterator[Any]) -> Iterator[Any]:  # noqa: N802
        while True:
            came = [next(requests, None) for _ in range(self.together)]
            for one in came:
                if one is None:
                    return
                yield self._answer(one)

    def _answer(self, one: Any) -> Any:
        key = one.state_key.bag_user_state.key
        answer = beam_fn_api_pb2.StateResponse(id=one.id)
        if key == self.refused:
            answer.error = "not kept"
        elif one.WhichOneof("request") == "append":
            self.kept[key] = self.kept.get(key, b"") + one.append.data
        elif one.WhichOneof("request") == "clear":
            self.kept.pop(key, None)
        else:
            answer.get.data = self.kept.get(key, b"")
        return answer


def key(name: bytes) -> Any:
    bag = beam_fn_api_pb2.StateKey.BagUserState(user_state_id="case", key=name)
    return beam_fn_api_pb2.StateKey(bag_user_state=bag)


def test_calls_are_answered_together_and_a_bundle_waits_for_what_it_wrote() -> None:
    engine = Engine(together=3)
    engine.kept = {b"a": b"1", b"b": b"2"}
    calls = _Calls(engine)
    names = (b"a", b"b", b"c")
    with calls.process_instruction_id("bundle"):
        for name in (*names, b"a"):
            calls.ask(key(name))
        assert [calls.get_raw(key(name))[0] for name in names] == [b"1", b"2", b""]
        calls.clear(key(b"a")).get()
        for name in (b"a", b"c"):
            calls.append_raw(key(name), b"3").get()
    assert engine.kept == {b"a": b"3", b"b": b"2", b"c": b"3"}
    calls.done()


@pytest.mark.parametrize("made", ["append_raw", "ask"])
def test_a_bundle_fails_with_what_its_engine_refused(made: str) -> None:
    engine = Engine(together=1)
    calls = _Calls(engine)
    more = (b"1",) if made == "append_raw" else ()
    with (
        pytest.raises(RuntimeError, match="not kept"),
        calls.process_instruction_id("bundle"),
    ):
        getattr(calls, made)(key(engine.refused), *more)
    calls.done()


class Sum(beam.DoFn):
    """Adds up what comes of a key, and tells it at the end."""

    KEPT = BagStateSpec("kept", coders.VarIntCoder())
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, Iterable[int]],
        kept: Any = beam.DoFn.StateParam(KEPT),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> None:
        total = sum(kept.read()) + sum(element[1])
        kept.clear()
        kept.add(total)
        end.set(Timestamp(0))

    @on_timer(END)
    def on_end(
        self,
        name: str = beam.DoFn.KeyParam,  # type: ignore[assignment]
        kept: Any = beam.DoFn.StateParam(KEPT),  # noqa: B008
    ) -> Iterator[tuple[str, int]]:
        yield name, sum(kept.read())
        kept.clear()


def test_a_job_asks_for_the_state_of_its_keys_and_of_its_timers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, names in (
        (sdk_worker, ("GrpcStateHandler",)),
        (bundle_processor, ("FnApiUserStateContext", "DataInputOperation", "BundleProcessor")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))
    call_together()
    asked: list[bytes] = []
    ask = _Calls.ask

    def noted(self: Any, state_key: Any) -> None:
        asked.append(state_key.bag_user_state.key)
        ask(self, state_key)

    monkeypatch.setattr(_Calls, "ask", noted)
    came = [(f"k{number % 400}", number) for number in range(800)]
    runner = FnApiRunner(default_environment=EmbeddedPythonGrpcEnvironment())
    with beam.Pipeline(runner=runner) as pipeline:
        grouped = pipeline | beam.Create(came) | beam.GroupByKey()
        summed = grouped | "Sum" >> beam.ParDo(Sum())
        assert_that(summed, equal_to([(f"k{one}", 2 * one + 400) for one in range(400)]))
    # For all that come after the step has first read its state, and for each timer.
    assert len(asked) >= 400 - 256 + 400
