"""StopNCII.org: hashes of intimate images that their subjects reported, in JSON, and feedback.

The protocol is that of StopNCII's API as python-threatexchange (Meta) speaks it. A record is the
whole state of one hash. The token of a page does not live long: a pull that was cut off goes
on from it where it can, and else from the time that it began with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from quorum.apps.exchanges.calls import CallRefused, Calls, secret
from quorum.apps.exchanges.values import Changes, Told, shaped
from quorum.core.child_safety_settings import StopNciiExchange
from quorum.core.errors import EngineUnavailable, InputError
from quorum.core.messages import now
from quorum.models.known.hashes import Kind, Listed, hash_of
from quorum.models.known.records import Opinion

__all__ = ["StopNcii"]

_BEGINNING: Final = 10
_PAGE: Final = 800
#: The kinds of hashes that are compared here, by their names in the API.
_KINDS: Final[Mapping[str, Kind]] = {"ImagePDQ": "pdq", "VideoMD5": "md5"}
_NAMES: Final[Mapping[str, str]] = {kind: name for name, kind in _KINDS.items()}
_GONE: Final = ("Withdrawn", "Deleted")
_FEEDBACK: Final[Mapping[str, str]] = {
    "confirm": "Blocked",
    "deny": "NotBlocked",
    "share": "Blocked",
}


@dataclass(frozen=True, slots=True)
class StopNcii:
    """A client of StopNCII.org.

    Attributes:
        name: What the settings call the exchange.
        settings: Its settings.
        how: How it is called; see ``Calls``.
    """

    name: str
    settings: StopNciiExchange
    how: Mapping[str, Any]
    takes: frozenset[Opinion] = frozenset({"confirm", "deny", "share"})

    @classmethod
    def of(cls, name: str, settings: StopNciiExchange, **how: Any) -> StopNcii:
        """A client with the credentials of the environment.

        Raises:
            ConfigurationError: If that of fetching is not set.
        """
        secret(settings.subscription_env, name)
        return cls(name, settings, how)

    def _calls(self, variable: str) -> Calls:
        headers = {
            "x-functions-key": secret(variable, self.name),
            "Ocp-Apim-Subscription-Key": secret(self.settings.subscription_env, self.name),
        }
        return Calls(self.name, headers, **self.how)

    def changes(self, checkpoint: str | None) -> Iterator[Changes]:
        """See ExchangeClient."""
        at: dict[str, Any] = {"start": _BEGINNING, "page": ""}
        if checkpoint:
            at = json.loads(checkpoint)
        start, token = at["start"], at["page"]
        resumed = bool(token)
        calls = self._calls(self.settings.fetch_env)
        url = f"{self.settings.url.rstrip('/')}/FetchHashes"
        while True:
            asked = {"startTimestamp": start, "pageSize": _PAGE}
            try:
                data = calls.get(url, {**asked, **({"nextPageToken": token} if token else {})})
            except CallRefused:
                if not resumed:
                    raise
                token, resumed = "", False
                continue
            resumed = False
            made, token, done = self._changes(calls.value(data), start)
            yield made
            if done:
                return

    def _changes(self, answer: Any, start: int) -> tuple[Changes, str, bool]:
        try:
            more = shaped(answer["hasMoreRecords"], bool)
            token = shaped(answer.get("nextPageToken") or "", str)
            following = shaped(answer["nextSetTimestamp"], int)
            records = [
                (
                    shaped(one["signalType"], str),
                    shaped(one["hashValue"], str),
                    shaped(one["hashStatus"], str),
                    sorted(one.get("caseNumbers") or ()),
                )
                for one in shaped(answer["hashRecords"], list)
            ]
        except (AttributeError, KeyError, TypeError) as error:
            msg = f"the exchange {self.name} answers what is no page of hashes: {error!r}"
            raise EngineUnavailable(msg) from None
        if more and not token:
            msg = f"the exchange {self.name} has more records, and no token for them"
            raise EngineUnavailable(msg)
        listed, gone, passed = [], [], 0
        for signal, value, status, cases in records:
            try:
                kind, plain = hash_of(_KINDS.get(signal, ""), value)
            except InputError:
                passed += 1
                continue
            if status in _GONE:
                gone.append((kind, plain))
            else:
                reference = str(cases[0])[:256] if cases else ""
                listed.append(Listed(kind, plain, self.settings.category, self.name, reference))
        kept = {"start": start, "page": token} if more else {"start": following, "page": ""}
        made = Changes(
            json.dumps(kept),
            tuple(listed),
            gone_hashes=tuple(gone),
            done=not more,
            passed=passed,
        )
        return made, token, not more

    def tell(self, told: Told) -> None:
        """See ExchangeClient."""
        given = {"tags": [], "feedbackValue": _FEEDBACK[told.opinion]}
        if told.opinion == "share":
            if told.hashed.kind not in _NAMES:
                msg = f"{self.name} takes no {told.hashed.kind}"
                raise CallRefused(msg, 422)
            record = {
                "lastModtimestamp": int(now().timestamp()),
                "signalType": _NAMES[told.hashed.kind],
                "hashValue": told.hashed.value,
                "CSPFeedbacks": [given],
            }
            body: dict[str, Any] = {"count": 1, "hashRecords": [record]}
            calls, function = self._calls(self.settings.submit_env), "SubmitHashes"
        else:
            body = {"count": 1, "hashFeedbacks": [{**given, "hashValue": told.hashed.value}]}
            calls, function = self._calls(self.settings.feedback_env), "SubmitFeedback"
        calls.send("POST", f"{self.settings.url.rstrip('/')}/{function}", json=body)
