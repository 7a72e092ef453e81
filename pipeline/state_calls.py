"""Calls of a worker for the state that its engine keeps: many at once, where Beam makes one by one.

Beam's worker waits for the answer to each call before it makes the next: a bundle of a hundred
cases waits two hundred times, for what each case was, and at its end for each that was written.
Here what comes to a step asks for the state of all its keys, and a bundle waits at its end once.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from apache_beam.coders import coder_impl
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker import bundle_processor, sdk_worker

__all__ = ["call_together"]

#: Keys whose state is asked for at once, which bounds how much of it is held.
_AT_ONCE: Final = 256

#: Bytes that are written in one call, as Beam does.
_MOST_BYTES: Final = 10 * 1024 * 1024

_T = TypeVar("_T")


class _Answer:
    """The answer to a call; lighter than Beam's future, of which a bundle has hundreds."""

    __slots__ = ("_came", "_value")

    def __init__(self) -> None:
        self._came = threading.Lock()
        self._came.acquire()

    def wait(self, timeout: float = -1.0) -> bool:
        """Whether it is there, after so many seconds at most."""
        if came := self._came.acquire(timeout=timeout):
            self._came.release()
        return came

    def set(self, value: Any) -> None:
        """It came; once."""
        self._value = value
        self._came.release()

    def get(self) -> Any:
        """The answer, once it is there."""
        return self._value


class _Calls(sdk_worker.GrpcStateHandler):
    """Makes calls without a wait for their answers; a bundle ends with those of all it wrote."""

    def __init__(self, stub: Any) -> None:
        self._bundle = threading.local()
        self._numbers = itertools.count(1)
        super().__init__(stub)

    def start(self) -> None:
        """See GrpcStateHandler."""
        self._requests: Any = queue.SimpleQueue()
        super().start()

    @contextmanager
    def process_instruction_id(self, bundle_id: str) -> Iterator[None]:
        """See GrpcStateHandler; the bundle has ended once all that it wrote is kept."""
        written: list[_Answer] = []
        self._bundle.written = written
        with super().process_instruction_id(bundle_id):
            yield
            for one in written:
                self.answered(one)

    def ask(self, state_key: Any, page: bytes = b"") -> _Answer:
        """Ask for what is kept under a key."""
        get = beam_fn_api_pb2.StateGetRequest(continuation_token=page)
        made: _Answer = self._request(beam_fn_api_pb2.StateRequest(state_key=state_key, get=get))
        return made

    def write(self, request: Any) -> None:
        """Append or clear."""
        self._bundle.written.append(self._request(request))

    def answered(self, asked: _Answer) -> Any:
        """Wait for the answer to a call."""
        while not asked.wait(timeout=1.0):
            if self._exception:
                raise self._exception
            if self._done:
                msg = "the worker ends"
                raise RuntimeError(msg)
        answer = asked.get()
        if answer.error:
            raise RuntimeError(answer.error)
        return answer

    def _request(self, request: Any) -> Any:
        request.id = str(next(self._numbers))
        request.instruction_id = self._context.process_instruction_id
        answer = _Answer()
        self._responses_by_id[request.id] = answer
        self._requests.put(request)
        return answer


class _Bag(bundle_processor.SynchronousBagRuntimeState):
    """A bag that is asked for before it is read, and told without a wait what to keep."""

    def __init__(self, state_handler: Any, state_key: Any, value_coder: Any) -> None:
        super().__init__(state_handler, state_key, value_coder)
        self._calls: _Calls = state_handler._underlying
        self._coder = value_coder.get_impl()
        self._asked: _Answer | None = None
        self._kept: list[Any] | None = None

    def ask(self) -> None:
        """Ask for what is kept, if it may be read and is not known."""
        if self._asked is None and not self._cleared:
            self._asked = self._calls.ask(self._state_key)

    def read(self) -> list[Any]:
        """See BagRuntimeState."""
        if self._cleared:
            return [*self._added_elements]
        if self._kept is None:
            self._kept = [*self._pages()]
        return [*self._kept, *self._added_elements]

    def _pages(self) -> Iterator[Any]:
        asked = self._asked or self._calls.ask(self._state_key)
        while True:
            found = self._calls.answered(asked).get
            stream = coder_impl.create_InputStream(found.data)
            while stream.size() > 0:
                yield self._coder.decode_from_stream(stream, True)
            if not found.continuation_token:
                return
            asked = self._calls.ask(self._state_key, found.continuation_token)

    def commit(self) -> None:
        """See SynchronousBagRuntimeState."""
        if self._cleared:
            self._write(clear=beam_fn_api_pb2.StateClearRequest())
        for some in self._encoded():
            self._write(append=beam_fn_api_pb2.StateAppendRequest(data=some))

    def _encoded(self) -> Iterator[bytes]:
        out = coder_impl.create_OutputStream()
        for one in self._added_elements:
            self._coder.encode_to_stream(one, out, True)
            if out.size() > _MOST_BYTES:
                yield out.get()
                out = coder_impl.create_OutputStream()
        if out.size():
            yield out.get()

    def _write(self, **how: Any) -> None:
        self._calls.write(beam_fn_api_pb2.StateRequest(state_key=self._state_key, **how))


_BeamsBag = bundle_processor.SynchronousBagRuntimeState


def _bag(state_handler: Any, state_key: Any, value_coder: Any) -> Any:
    made = _Bag if _calls(state_handler) else _BeamsBag
    return made(state_handler, state_key, value_coder)


def _calls(state_handler: Any) -> _Calls | None:
    """Where calls are made over gRPC; None in a runner in this process."""
    found = getattr(state_handler, "_underlying", None)
    return found if isinstance(found, _Calls) else None


_MADE = threading.local()


class _Context(bundle_processor.FnApiUserStateContext):
    """The state of a step, which it asks for before the step does."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        #: What the step has asked for so far: it asks the same of each key.
        self._specs: set[Any] = set()
        if _calls(self._state_handler):
            _MADE.contexts[self._transform_id] = self

    def _create_state(self, state_spec: Any, key: Any, window: Any) -> Any:
        self._specs.add(state_spec)
        return super()._create_state(state_spec, key, window)

    def ask(self, key: Any, window: Any) -> None:
        """Ask for all that the step may read of a key."""
        for spec in self._specs:
            kept = self.get_state(spec, key, window)
            if isinstance(kept, _Bag):
                kept.ask()


class _Input(bundle_processor.DataInputOperation):
    """The input of steps, which asks for the state of its keys."""

    contexts: tuple[_Context, ...] = ()

    def process_encoded(self, encoded_windowed_values: bytes) -> None:
        """See DataInputOperation."""
        if not self.contexts:
            super().process_encoded(encoded_windowed_values)
            return
        for value in _asked(self._decoded(encoded_windowed_values), self._ask):
            with self.splitting_lock:
                if self.index == self.stop - 1:
                    return
                self.index += 1
            self.output(value)

    def _decoded(self, encoded: bytes) -> Iterator[Any]:
        stream = coder_impl.create_InputStream(encoded)
        while stream.size() > 0:
            yield self.windowed_coder_impl.decode_from_stream(stream, True)

    def _ask(self, value: Any) -> None:
        for context in self.contexts:
            context.ask(value.value[0], value.windows[0])


class _Timers:
    """The coder of a step's timers, which asks for the state of those that fire."""

    def __init__(self, coder: Any, context: _Context) -> None:
        self._coder = coder
        self._context = context
        self.encode_to_stream = coder.encode_to_stream

    def decode_all(self, encoded: bytes) -> Iterator[Any]:
        """See CoderImpl."""
        return _asked(self._coder.decode_all(encoded), self._ask)

    def _ask(self, timer: Any) -> None:
        self._context.ask(timer.user_key, timer.windows[0])


def _asked(values: Iterable[_T], ask: Callable[[_T], None]) -> Iterator[_T]:
    """The values, after all that come together were asked for."""
    rest = iter(values)
    while some := list(itertools.islice(rest, _AT_ONCE)):
        for one in some:
            ask(one)
        yield from some


class _Bundles(bundle_processor.BundleProcessor):
    """Tells the inputs and timers of a stage whose keys they have."""

    def create_execution_tree(self, descriptor: Any) -> Any:
        """See BundleProcessor; called in a thread of its own."""
        contexts: dict[str, _Context] = {}
        _MADE.contexts = contexts
        steps = super().create_execution_tree(descriptor)
        for name, step in steps.items():
            if isinstance(step, _Input):
                comes = {*descriptor.transforms[name].outputs.values()}
                step.contexts = tuple(
                    context
                    for takes, context in contexts.items()
                    if comes & {*descriptor.transforms[takes].inputs.values()}
                )
        for (name, _), info in self.timers_info.items():
            if name in contexts:
                info.timer_coder_impl = _Timers(info.timer_coder_impl, contexts[name])
        return steps


def call_together() -> None:
    """Let the workers of this process make their calls for state together."""
    sdk_worker.GrpcStateHandler = _Calls  # type: ignore[assignment,misc]
    bundle_processor.FnApiUserStateContext = _Context  # type: ignore[assignment,misc]
    bundle_processor.SynchronousBagRuntimeState = _bag  # type: ignore[assignment,misc]
    bundle_processor.DataInputOperation = _Input  # type: ignore[misc]
    bundle_processor.BundleProcessor = _Bundles  # type: ignore[misc]
