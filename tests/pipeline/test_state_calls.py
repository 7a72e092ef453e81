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

from quorum.pipeline.state_calls import _Bag, _Calls, call_together

#: A key that the engine does not keep.
REFUSED = b"refused"


class Engine:
    """Keeps state, and answers only once so many calls have come; ``page`` bytes at a time."""

    def __init__(self, together: int, page: int = 1000) -> None:
        self.together = together
        self.page = page
        self.kept: dict[bytes, bytes] = {}
        self.appends = 0

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
        match one.WhichOneof("request"):
            case _ if key == REFUSED:
                answer.error = "not kept"
            case "append":
                self.appends += 1
                self.kept[key] = self.kept.get(key, b"") + one.append.data
            case "clear":
                self.kept.pop(key, None)
            case _:
                start = int(one.get.continuation_token or b"0")
                answer.get.data = self.kept.get(key, b"")[start : start + self.page]
                if start + self.page < len(self.kept.get(key, b"")):
                    answer.get.continuation_token = str(start + self.page).encode()
        return answer


def key(name: bytes) -> Any:
    bag = beam_fn_api_pb2.StateKey.BagUserState(user_state_id="case", key=name)
    return beam_fn_api_pb2.StateKey(bag_user_state=bag)


def bag(calls: _Calls, name: bytes) -> _Bag:
    handler = sdk_worker.GlobalCachingStateHandler(sdk_worker.StateCache(0), calls)
    return _Bag(handler, key(name), coders.BytesCoder())


def kept(*values: bytes) -> bytes:
    return b"".join(coders.BytesCoder().encode_nested(one) for one in values)


def test_calls_are_answered_together_and_a_bundle_waits_for_what_it_wrote() -> None:
    engine = Engine(together=3)
    engine.kept = {b"a": kept(b"1", b"2"), b"b": kept(b"2")}
    calls = _Calls(engine)
    with calls.process_instruction_id("bundle"):
        first, _, new = bags = [bag(calls, name) for name in (b"a", b"b", b"c")]
        for one in (*bags, first):
            one.ask()
        assert [one.read() for one in bags] == [[b"1", b"2"], [b"2"], []]
        first.clear()
        for one in (first, new):
            one.add(b"3")
        assert [one.read() for one in bags] == [[b"3"], [b"2"], [b"3"]]
        for one in bags:
            one.commit()
    assert engine.kept == {b"a": kept(b"3"), b"b": kept(b"2"), b"c": kept(b"3")}
    calls.done()


def test_a_bag_of_many_pages_is_read_whole_and_written_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quorum.pipeline.state_calls._MOST_BYTES", 10)
    engine = Engine(together=1, page=4)
    calls = _Calls(engine)
    values = [f"{one:03}".encode() for one in range(20)]
    with calls.process_instruction_id("bundle"):
        one = bag(calls, b"a")
        for value in values:
            one.add(value)
        one.commit()
    assert engine.appends > 1
    with calls.process_instruction_id("next"):
        assert bag(calls, b"a").read() == values
    calls.done()


@pytest.mark.parametrize("reads", [True, False])
def test_a_bundle_fails_with_what_its_engine_refused(reads: bool) -> None:
    calls = _Calls(Engine(together=1))
    with (
        pytest.raises(RuntimeError, match="not kept"),
        calls.process_instruction_id("bundle"),
    ):
        refused = bag(calls, REFUSED)
        if reads:
            refused.read()
        refused.add(b"1")
        refused.commit()
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
        (
            bundle_processor,
            (
                "BundleProcessor",
                "DataInputOperation",
                "FnApiUserStateContext",
                "SynchronousBagRuntimeState",
            ),
        ),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))
    call_together()
    asked: list[bytes] = []
    ask = _Bag.ask

    def noted(self: Any) -> None:
        asked.append(self._state_key.bag_user_state.key)
        ask(self)

    monkeypatch.setattr(_Bag, "ask", noted)
    came = [(f"k{number % 400}", number) for number in range(800)]
    runner = FnApiRunner(default_environment=EmbeddedPythonGrpcEnvironment())
    with beam.Pipeline(runner=runner) as pipeline:
        grouped = pipeline | beam.Create(came) | beam.GroupByKey()
        summed = grouped | "Sum" >> beam.ParDo(Sum())
        assert_that(summed, equal_to([(f"k{one}", 2 * one + 400) for one in range(400)]))
    # For all that come after the step has first read its state, and for each timer.
    assert len(asked) >= 400 - 256 + 400
