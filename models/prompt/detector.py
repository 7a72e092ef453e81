"""A policy in words as a detector: a language model judges by it, on another server.

The settings name the servers that may be asked, and a file for a detector of any new name:

.. code-block:: yaml

    endpoints: ["http://127.0.0.1:11434"]
    detectors:
      harassment: {model: file:harassment.yaml}

and the file describes how to ask (``quorum.models.prompt.recipe`` has all keys):

.. code-block:: yaml

    task: policy-prompt
    endpoint: http://127.0.0.1:11434/v1     # vLLM, Ollama, llama.cpp: anything OpenAI-compatible
    model: gpt-oss-safeguard:20b
    policy: harassment.md                   # beside this file
    labels: {insult: harassment/insult, threat: violence/threat}

Whatever is no checked answer is a failed finding, never a low score.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Evidence, Usage
from quorum.core.settings import Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding, Text
from quorum.models.features.languages import ALL, Languages
from quorum.models.features.text import evidence_of
from quorum.models.prompt.answer import (
    Answer,
    Nonsense,
    as_document,
    content_of,
    of_document,
    read_answer,
    tokens_of,
)
from quorum.models.prompt.endpoint import FORMATS, CallFailed, Endpoint, run
from quorum.models.prompt.framing import FORMAT, Part, messages_of, parts_of, schema_of
from quorum.models.prompt.recipe import NONE, PromptRecipe, api_key, check_allowed, read_prompt
from quorum.models.prompt.shared import SharedState
from quorum.models.registry.descriptions import reference_of
from quorum.models.scoring.calibration import Platt, log_odds

__all__ = ["PolicyPromptDetector"]

_EXPLAIN_FROM = 0.5
_MOST_EVIDENCE = 5
_MOST_CHARACTERS = 300

#: Characters of a token, to reserve a budget before the server has counted; few, to be safe.
_CHARACTERS = 2


@dataclass(frozen=True, slots=True)
class _Asked:
    """What became of one part: an answer, or why there is none; and its cost."""

    answer: Answer | None
    why: str = ""
    usage: Usage = field(default_factory=Usage)


class PolicyPromptDetector(Detector):
    """A detector described by a file with the task ``policy-prompt``.

    Args:
        name: Name of the detector in the settings.
        reference: Reference of the file.
        settings: Of the deployment: the servers that may be asked.

    Raises:
        ConfigurationError: If the file is invalid, its server is not allowed, or the environment
            has no key.
    """

    needs = frozenset({Feature.TEXT})
    remote = True

    def __init__(self, name: str, reference: str, settings: Settings) -> None:
        self.recipe, self._policy, path = read_prompt(reference)
        self.name = name
        check_allowed(self.recipe.endpoint, settings, str(path))
        recipe = self.recipe
        formats = FORMATS if recipe.response == "auto" else (recipe.response,)
        self._endpoint = Endpoint(
            recipe.endpoint, api_key(recipe.endpoint, recipe.key_env, str(path)), formats
        )
        self._labels = tuple(recipe.labels)
        self._schema = schema_of(self._labels)
        self._shared = SharedState(recipe.tokens_per_hour, recipe.cache)
        self.version = _version(recipe, self._policy)
        self.max_batch = 4 * recipe.concurrency
        self._languages = Languages(recipe.language or (ALL,))
        platt = recipe.calibration
        self._calibration = Platt(platt.slope, platt.offset, platt.prevalence) if platt else None

    @classmethod
    def of(cls, name: str, settings: Settings) -> Self:
        """Create the detector that the settings describe under a name."""
        reference = reference_of(name, settings)
        made = cls(name, reference, settings)
        timeout = (settings.detectors or {})[name].timeout
        if made.recipe.seconds > timeout:
            msg = (
                f"{reference}: seconds: {made.recipe.seconds:g} exceeds the timeout of the "
                f"detector {name}, {timeout:g} s"
            )
            raise ConfigurationError(msg)
        return made

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """See Detector."""
        return self._languages.judged(batch, self._judged)

    def _judged(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """Ask about the words that are read."""
        until = time.monotonic() + self.recipe.seconds
        gate = asyncio.Semaphore(self.recipe.concurrency)

        async def judge() -> list[Finding]:
            return await asyncio.gather(*(self._judge(one, gate, until) for one in batch))

        return run(judge()).result(self.recipe.seconds + 5.0)

    async def _judge(self, features: Features, gate: asyncio.Semaphore, until: float) -> Finding:
        text = features.text
        recipe = self.recipe
        if text is None:
            return Finding.without(features, Feature.TEXT)
        parts, whole = parts_of(text.fields, recipe.max_characters, recipe.max_parts)
        asked = await asyncio.gather(*(self._ask(part, gate, until) for part in parts))
        usage = Usage(
            calls=sum(one.usage.calls for one in asked),
            tokens=sum(one.usage.tokens for one in asked),
            seconds=sum(one.usage.seconds for one in asked),
            cached=sum(one.usage.cached for one in asked),
        )
        return replace(self._finding(text, asked, whole=whole), usage=usage)

    def _finding(self, text: Text, asked: Sequence[_Asked], *, whole: bool) -> Finding:
        """What the answers to all parts say together: the worst counts."""
        answers = [one.answer for one in asked if one.answer is not None]
        worst = max(answers, key=lambda one: one.probability, default=None)
        if worst is None or worst.probability < _EXPLAIN_FROM:
            # What was not judged may be worse.
            why = next((one.why for one in asked if one.answer is None), "")
            if not whole:
                most = self.recipe.max_characters * self.recipe.max_parts
                why = why or f"the text is too long: {most:,} characters are judged"
            if why or worst is None:
                return Finding.failed(why)
        score = worst.probability
        if self._calibration is not None:
            score = float(self._calibration.apply(log_odds(np.array([score])))[0])
        labels = {} if worst.label == NONE else {self.recipe.labels[worst.label]: score}
        return Finding.scored(score, labels, self._evidence(text, worst))

    def _evidence(self, text: Text, answer: Answer) -> list[Evidence]:
        if answer.label == NONE:
            return []
        rationale = " ".join(answer.rationale.split())[:_MOST_CHARACTERS]
        return [
            evidence_of(text, one.field, one.start, one.end, rationale, answer.probability)
            for one in answer.quotes[:_MOST_EVIDENCE]
        ]

    async def _ask(self, part: Part, gate: asyncio.Semaphore, until: float) -> _Asked:
        """Ask about one part, unless the answer is known."""
        key = hashlib.sha256(f"{self.version}\0{json.dumps([*part.fields.items()])}".encode())
        known = self._shared.get(key.digest())
        if known is not None:
            shifted = _moved(of_document(known), part)
            return _Asked(shifted, usage=Usage(cached=1))
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await gate.acquire()
        except TimeoutError:
            return _Asked(None, f"not asked within {self.recipe.seconds:g} s: too many wait")
        began = time.monotonic()
        try:
            asked = await self._call(part, until)
        finally:
            gate.release()
        if asked.answer is not None:
            self._shared.put(key.digest(), as_document(_moved(asked.answer, part, back=True)))
        seconds = max(0.0, time.monotonic() - began)
        return replace(asked, usage=asked.usage.model_copy(update={"seconds": seconds}))

    async def _call(self, part: Part, until: float) -> _Asked:
        recipe = self.recipe
        messages = messages_of(self._policy, self._labels, part, secrets.token_hex(16))
        length = sum(len(one["content"]) for one in messages)
        reserved = length // _CHARACTERS + recipe.max_tokens
        if not self._shared.reserve(reserved):
            return _Asked(None, f"the {recipe.tokens_per_hour:,} tokens of this hour are used up")
        question = {
            "model": recipe.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": recipe.max_tokens,
            "stream": False,
        }
        used = reserved
        calls = 1
        try:
            response = await self._endpoint.ask(question, self._schema, until)
            calls = response.calls
            counted = tokens_of(response.body)
            content = content_of(response.body)
            used = counted if counted is not None else (length + len(content)) // _CHARACTERS
            usage = Usage(calls=calls, tokens=used)
            return _Asked(read_answer(content, self._labels, part), usage=usage)
        except CallFailed as error:
            used = 0
            usage = Usage(calls=error.calls)
            return _Asked(None, f"no judgement from {recipe.model}: {error}", usage)
        except Nonsense as error:
            used = counted if counted is not None else reserved
            usage = Usage(calls=calls, tokens=used)
            return _Asked(None, f"no judgement from {recipe.model}: {error}", usage)
        finally:
            self._shared.settle(reserved, used)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Empty: what is flagged depends on the policy."""
        return ()

    def close(self) -> None:
        """See Detector."""
        self._endpoint.close()
        self._shared.close()


def _moved(answer: Answer, part: Part, *, back: bool = False) -> Answer:
    """An answer with its quotes placed in the whole fields, or back in the part."""
    sign = -1 if back else 1
    quotes = tuple(
        replace(one, start=one.start + by, end=one.end + by)
        for one in answer.quotes
        for by in [sign * part.starts[one.field]]
    )
    return replace(answer, quotes=quotes)


def _version(recipe: PromptRecipe, policy: str) -> str:
    """A digest of the question: of the policy, the model's name, the labels and the framing.

    A server that puts another model behind the same name is not noticed.
    """
    how = recipe.model_dump_json(
        include={"model", "labels", "language", "max_characters", "max_parts", "calibration"}
    )
    return hashlib.sha256(f"{FORMAT}\0{how}\0{policy}".encode()).hexdigest()[:16]
