"""NCMEC's hash sharing, version 2: entries by time, in XML, and feedback on each fingerprint.

The protocol is that of NCMEC's documentation as python-threatexchange (Meta) speaks it. Entries
come in no order of time: the checkpoint moves when a range of time is read to its end, and has the
cursor of the next page until then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from quorum.apps.exchanges.calls import CallRefused, Calls, secret
from quorum.apps.exchanges.values import Changes, Told
from quorum.core.child_safety_settings import NcmecExchange
from quorum.core.errors import EngineUnavailable, InputError
from quorum.core.messages import now
from quorum.models.known.hashes import Kind, Listed, hash_of
from quorum.models.known.records import Opinion

__all__ = ["Ncmec"]

_SPACE: Final = "https://hashsharing.ncmec.org/hashsharing/v2"
_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_BEGINNING: Final = "1970-01-01T00:00:00Z"
_KINDS: Final = ("md5", "sha1", "pdq")


@dataclass(frozen=True, slots=True)
class Ncmec:
    """A client of NCMEC's hash sharing.

    Attributes:
        name: What the settings call the exchange.
        settings: Its settings.
        calls: How it is called.
    """

    name: str
    settings: NcmecExchange
    calls: Calls
    takes: frozenset[Opinion] = frozenset({"confirm", "deny"})

    @classmethod
    def of(cls, name: str, settings: NcmecExchange, **how: Any) -> Ncmec:
        """A client with the credentials of the environment.

        Raises:
            ConfigurationError: If one is not set.
        """
        auth = secret(settings.user_env, name), secret(settings.password_env, name)
        return cls(name, settings, Calls(name, {"accept": "application/xml"}, auth, **how))

    def changes(self, checkpoint: str | None) -> Iterator[Changes]:
        """See ExchangeClient."""
        at = json.loads(checkpoint) if checkpoint else {"from": _BEGINNING, "next": ""}
        begun, cursor = at["from"], at["next"]
        newest = at.get("newest", "")
        to = at.get("to") or now().astimezone(UTC).strftime(_FORMAT)
        resumed = bool(cursor)
        while True:
            try:
                root = self._page(begun, to, cursor)
            except CallRefused:
                if not resumed:
                    raise
                # The cursor is too old: the range is read again from its beginning.
                cursor, resumed = "", False
                continue
            resumed = False
            newest = max([newest, *(one.get("maxTimestamp", "") for one in root)])
            following = (root.findtext("paging/next") or "").strip()
            done = not following
            kept = {"from": newest or begun, "next": ""}
            if not done:
                kept = {"from": begun, "to": to, "next": following, "newest": newest}
            yield self._changes(root, json.dumps(kept), done)
            if done:
                return
            cursor = following

    def _page(self, begun: str, to: str, cursor: str) -> ET.Element:
        if cursor:
            if not cursor.startswith("/v2/entries?"):
                msg = f"the exchange {self.name} names a next page elsewhere: {cursor[:100]}"
                raise EngineUnavailable(msg)
            data = self.calls.get(self.settings.url.rstrip("/") + cursor)
        else:
            url = f"{self.settings.url.rstrip('/')}/v2/entries"
            data = self.calls.get(url, {"from": begun, "to": to})
        return self.calls.document(data)

    def _changes(self, root: ET.Element, checkpoint: str, done: bool) -> Changes:
        listed: list[Listed] = []
        gone: list[str] = []
        passed = 0
        for entry in (one for group in root if group.tag in ("images", "videos") for one in group):
            name, member = entry.findtext("id"), entry.find("member")
            if not name or member is None or not member.get("id"):
                msg = f"the exchange {self.name} lists an entry without an id or a member"
                raise EngineUnavailable(msg)
            reference = f"{member.get('id')}/{name}"
            gone.append(reference)
            if entry.tag.lower().startswith("deleted"):
                continue
            for printed in entry.iterfind("fingerprints/*"):
                try:
                    kind, value = hash_of(printed.tag, printed.text or "")
                except InputError:
                    passed += 1
                    continue
                category = self.settings.category
                listed.append(Listed(kind, value, category, self.name, reference[:256]))
        return Changes(checkpoint, tuple(listed), tuple(gone), done=done, passed=passed)

    def tell(self, told: Told) -> None:
        """See ExchangeClient."""
        member, slash, entry = told.hashed.reference.partition("/")
        if not slash or told.hashed.kind not in _KINDS:
            msg = f"{told.hashed.name} is no entry of {self.name}"
            raise CallRefused(msg, 404)
        kind = told.hashed.kind
        root = ET.Element("feedbackSubmission", {"xmlns": _SPACE})
        if told.opinion == "confirm":
            ET.SubElement(root, "affirmative")
        else:
            reasons = ET.SubElement(ET.SubElement(root, "negative"), "reasonIds")
            ET.SubElement(reasons, "guid").text = self._reason(kind)
        path = f"{quote(member, safe='')}/{quote(entry, safe='')}/{kind.upper()}/feedback"
        self.calls.send(
            "PUT",
            f"{self.settings.url.rstrip('/')}/v2/entries/{path}",
            content=ET.tostring(root, xml_declaration=True, encoding="UTF-8"),
            headers={"content-type": "application/xml"},
        )

    def _reason(self, kind: Kind) -> str:
        """The reason of a denial: the one of the settings, or the only one that is offered."""
        chosen = next((one for name, one in self.settings.reasons.items() if name == kind), None)
        if chosen is not None:
            return chosen
        url = f"{self.settings.url.rstrip('/')}/v2/feedback/{kind.upper()}/reasons"
        root = self.calls.document(self.calls.get(url))
        offered = [(one.get("guid", ""), one.get("name", "")) for one in root.iter("reason")]
        if len(offered) != 1:
            told = "; ".join(f"{guid} ({name})" for guid, name in offered) or "none"
            msg = f"choose hashes.exchanges.{self.name}.reasons.{kind} in the settings: {told}"
            raise CallRefused(msg, 422)
        return offered[0][0]
