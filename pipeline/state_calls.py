"""Calls of a worker for the state that its engine keeps: many at once, where Beam makes one by one.

Beam's worker waits for the answer to each call before it makes the next: a bundle of a hundred
cases waits two hundred times, for what each case was, and at its end for each that was written.
Here what comes to a step asks for the state of all its keys, and a bundle waits at its end once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

from apache_beam.coders import coder_impl
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker import bundle_processor, sdk_worker

__all__ = ["call_together"]

#: Keys whose state is asked for at once, which bounds how much of it is held.
_AT_ONCE: Final = 256

_T = TypeVar("_T")


class _Calls(sdk_worker.GrpcStateHandler):
    """Answers what was asked for before, and waits for what a bundle wrote when it ends."""

    def __init__(self, stub: Any) -> None:
        self._bundle = threading.local()
        super().__init__(stub)

    @contextmanager
    def process_instruction_id(self, bundle_id: str) -> Iterator[None]:
        """See GrpcStateHandler; the bundle has ended once all that it wrote is kept."""
        self._bundle.asked, self._bundle.written = {}, []
        with super().process_instruction_id(bundle_id):
            yield
            for one in (*self._bundle.asked.values(), *self._bundle.written):
                self._answer(one)

    def ask(self, state_key: Any) -> None:
        """Ask for what is kept under a key, for ``get_raw`` in the same bundle."""
        name = state_key.SerializeToString()
        if name not in self._bundle.asked:
            get = beam_fn_api_pb2.StateGetRequest()
            request = beam_fn_api_pb2.StateRequest(state_key=state_key, get=get)
            self._bundle.asked[name] = self._request(request)

    def get_raw(self, state_key: Any, continuation_token: bytes | None = None) -> Any:
        """See GrpcStateHandler."""
        asked = None
        if not continuation_token:
            asked = self._bundle.asked.pop(state_key.SerializeToString(), None)
        if asked is None:
            return super().get_raw(state_key, continuation_token)
        found = self._answer(asked).get
        return found.data, found.continuation_token

    def append_raw(self, state_key: Any, data: bytes) -> Any:
        """See GrpcStateHandler."""
        return self._later(super().append_raw(state_key, data))

    def clear(self, state_key: Any) -> Any:
        """See GrpcStateHandler."""
        return self._later(super().clear(state_key))

    def _later(self, written: Any) -> Any:
        self._bundle.written.append(written)
        return sdk_worker._Future.done()

    def _answer(self, asked: Any) -> Any:
        while not asked.wait(timeout=1):
            if self._exception:
                raise self._exception
            if self._done:
                msg = "the worker ends"
                raise RuntimeError(msg)
        answer = asked.get()
        if answer.error:
            raise RuntimeError(answer.error)
        return answer


class _Context(bundle_processor.FnApiUserStateContext):
    """The state of a step, which it asks for before the step does."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        #: What the step has asked for so far: it asks the same of each key.
        self._specs: set[Any] = set()
        calls = getattr(self._state_handler, "_underlying", None)
        if isinstance(calls, _Calls):
            self._calls = calls
            _MADE.contexts[self._transform_id] = self

    def _create_state(self, state_spec: Any, key: Any, window: Any) -> Any:
        self._specs.add(state_spec)
        return super()._create_state(state_spec, key, window)

    def ask(self, key: Any, window: Any) -> None:
        """Ask for all that the step may read of a key."""
        for spec in self._specs:
            cell = self.get_state(spec, key, window)
            if isinstance(cell, bundle_processor.SynchronousBagRuntimeState):
                self._calls.ask(cell._state_key)


_MADE = threading.local()


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
    while some := list(islice(rest, _AT_ONCE)):
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
    bundle_processor.DataInputOperation = _Input  # type: ignore[misc]
    bundle_processor.BundleProcessor = _Bundles  # type: ignore[misc]
