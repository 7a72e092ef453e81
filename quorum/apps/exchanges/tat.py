"""Tech Against Terrorism's hash list: a whole file, whose address its API gives after a log-in.

The protocol is that of the hash list's API as python-threatexchange (Meta) speaks it. The list is
made anew each night; one that was read already is not read again. It takes no opinions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from quorum.apps.exchanges.calls import MAX_LIST, CallRefused, Calls, secret
from quorum.apps.exchanges.values import Changes, Told, shaped
from quorum.core.child_safety_settings import TatExchange
from quorum.core.errors import EngineUnavailable, InputError
from quorum.models.known.hashes import Listed, hash_of
from quorum.models.known.records import Opinion

__all__ = ["TechAgainstTerrorism"]


@dataclass(frozen=True, slots=True)
class TechAgainstTerrorism:
    """A client of the hash list.

    Attributes:
        name: What the settings call the exchange.
        settings: Its settings.
        calls: How it is called.
    """

    name: str
    settings: TatExchange
    calls: Calls
    takes: frozenset[Opinion] = frozenset()

    @classmethod
    def of(cls, name: str, settings: TatExchange, **how: Any) -> TechAgainstTerrorism:
        """A client; its credentials are read at each log-in.

        Raises:
            ConfigurationError: If one is not set.
        """
        secret(settings.user_env, name)
        secret(settings.password_env, name)
        return cls(name, settings, Calls(name, {}, **how))

    def changes(self, checkpoint: str | None) -> Iterator[Changes]:
        """See ExchangeClient."""
        base = self.settings.url.rstrip("/")
        account = {
            "username": secret(self.settings.user_env, self.name),
            "password": secret(self.settings.password_env, self.name),
            "resend": "false",
        }
        answer = self.calls.value(self.calls.send("POST", f"{base}/token-auth/tcap/", data=account))
        try:
            token = shaped(answer["token"], str)
            bearer = Calls(
                self.name,
                {"authorization": f"Bearer {token}"},
                None,
                self.calls.seconds,
                self.calls.wait,
                self.calls.transport,
            )
            about = bearer.value(bearer.get(f"{base}/api/hash-list/{self.settings.ideology}"))
            address, made = shaped(about["file_url"], str), shaped(about["created_on"], str)
            total = shaped(about["total_hashes"], int)
        except (KeyError, TypeError) as error:
            msg = f"the exchange {self.name} answers what is no hash list: {error!r}"
            raise EngineUnavailable(msg) from None
        kept = json.dumps({"created_on": made})
        if kept == checkpoint:
            yield Changes(kept)
            return
        # The address is signed: neither the token nor the account is sent there.
        yield self._whole(self.calls.value(self.calls.get(address, most=MAX_LIST)), total, kept)

    def _whole(self, found: Any, total: int, checkpoint: str) -> Changes:
        listed: dict[tuple[str, str], Listed] = {}
        passed = 0
        try:
            rows = [
                (shaped(one["algorithm"], str), shaped(one["hash_digest"], str), one.get("id", ""))
                for one in shaped(found, list)
            ]
        except (AttributeError, KeyError, TypeError) as error:
            msg = f"the exchange {self.name} has a file that is no hash list: {error!r}"
            raise EngineUnavailable(msg) from None
        if len(rows) != total:
            # What is not in the list is gone: half of a file must not forget the other half.
            msg = f"the exchange {self.name} names {total:,} hashes, and its file has {len(rows):,}"
            raise EngineUnavailable(msg)
        for algorithm, digest, reference in rows:
            try:
                kind, value = hash_of(algorithm.replace("-", ""), digest)
            except InputError:
                passed += 1
                continue
            one = Listed(kind, value, self.settings.category, self.name, str(reference)[:256])
            listed[kind, value] = one
        return Changes(checkpoint, tuple(listed.values()), whole=True, passed=passed)

    def tell(self, told: Told) -> None:
        """See ExchangeClient."""
        msg = f"{self.name} takes no opinions"
        raise CallRefused(msg, 405)
