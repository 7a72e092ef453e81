"""A policy: read from YAML, versioned by its content, found by its name or path.

All checks run when the text is read, and two texts with the same content have the same version.
A ``Policy`` is cheap to send to another process: its text is pickled, and read once there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property, lru_cache
from importlib import resources
from json import dumps
from pathlib import Path
from textwrap import indent
from typing import Any, Final

from quorum.aggregator.policy.expression import did_you_mean
from quorum.aggregator.policy.reader import read_content
from quorum.aggregator.policy.tree import MAX_POLICY_BYTES, place, read_tree
from quorum.aggregator.policy.values import PolicyContent, Rule
from quorum.core.errors import PolicyError
from quorum.core.messages import Upload

__all__ = ["Policy", "load_policy", "shipped_policies"]

_FOLDER: Final = "shipped"


class Policy(PolicyContent):
    """A policy that passed all checks; policies of one version are equal."""

    @classmethod
    def from_text(cls, text: str, file: str | None = None) -> Policy:
        """Read a policy.

        Args:
            text: The YAML.
            file: Its name in errors.

        Raises:
            PolicyError: If anything is invalid; the message has line and column, and often a
                suggestion.
        """
        return _read(text, file)

    @classmethod
    def of_draft(cls, text: str) -> Policy:
        """Read a policy that is being written: it is not kept for the next who asks for it.

        Raises:
            PolicyError: As ``from_text``.
        """
        return cls(**vars(read_content(text)))

    @cached_property
    def candidate(self) -> Policy | None:
        """The policy of its rollout."""
        return None if self.rollout is None else Policy(**vars(self.rollout.policy))

    @property
    def sides(self) -> tuple[Policy, ...]:
        """All policies that decide: itself, and its candidate."""
        return (self,) if self.candidate is None else (self, self.candidate)

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules of all sides."""
        return tuple(rule for side in self.sides for rule in side.rules)

    @property
    def has_features(self) -> bool:
        """Whether a side reads features over time."""
        return any(side.features for side in self.sides)

    @property
    def rollouts(self) -> frozenset[str]:
        """What is rolled out, as ``Verdict.rollout`` names it."""
        found = {rule.name for rule in self.all_rules if rule.rollout}
        found |= {name for side in self.sides for name in side.counts_as}
        return frozenset(found if self.rollout is None else {*found, self.rollout.policy.version})

    @cached_property
    def counts_as(self) -> Mapping[str, str]:
        """By the other version of a detector that is rolled out, that detector."""
        return {
            one.rollout.to: name for name, one in self.detectors.items() if one.rollout is not None
        }

    def asks(self, upload: Callable[[], Upload]) -> Mapping[str, str]:
        """By detector that is rolled out, the version that counts for an upload: it or the other.

        Args:
            upload: Returns the upload; called only if a detector is rolled out.
        """
        if not self.counts_as:
            return {}
        whose = upload()
        return {
            name: to if rollout.share.takes(whose.uploader, whose.id) else name
            for to, name in self.counts_as.items()
            if (rollout := self.detectors[name].rollout) is not None
        }

    def decides(self, uploader: str, upload_id: str) -> Policy:
        """The side of a rollout that an uploader is on; itself without one.

        Args:
            uploader: The uploader; empty where there is none.
            upload_id: Stands for the uploader where there is none.
        """
        if self.rollout is None or not self.rollout.share.takes(uploader, upload_id):
            return self
        return self.candidate or self

    def check_versions(self, running: Collection[str]) -> None:
        """Refuse a rollout of a version of a detector that does not run, where all do.

        Args:
            running: The detectors whose predictions count.

        Raises:
            PolicyError: If one does not run.
        """
        for side in self.sides:
            for to, name in side.counts_as.items():
                if to in running:
                    continue
                tree: Any = read_tree(self.text, self.file)
                line, column = place(
                    tree if side is self else tree["rollout"]["policy"],
                    ("detectors", name, "rollout", "to"),
                )
                msg = (
                    f"`{to}` does not run here: add it to `detectors` of the settings, as "
                    f"{to}: {{version_of: {name}, model: …}}, without `shadow`"
                )
                raise PolicyError(msg, file=self.file, line=line, column=column)

    def left_out(
        self, upload: Upload, running: Mapping[str, str | None], shadows: Iterable[Policy] = ()
    ) -> frozenset[str]:
        """The versions of detectors that need not be asked of an upload.

        Args:
            upload: The upload.
            running: The detectors that run here, and which one each is another version of; without
                the version that counts, none is left out.
            shadows: Policies in shadow; what these ask for is not left out.
        """
        side = self.decides(upload.uploader, upload.id)
        others = {
            name
            for name, of in running.items()
            if of is not None and name not in side.counts_as and name not in side.detectors
        }
        if not others and not side.counts_as:
            return frozenset()
        asks = side.asks(lambda: upload)
        others |= {
            name if asks[name] == to else to
            for to, name in side.counts_as.items()
            if asks[name] in running
        }
        for one in shadows:
            other = one.decides(upload.uploader, upload.id)
            names = other.asks(lambda: upload)
            others -= {names.get(name, name) for name in other.detectors}
        return frozenset(others)

    def with_candidate(self, candidate: Policy, percent: float, salt: str | None = None) -> Policy:
        """This policy with a rollout of another one.

        Args:
            candidate: Decides the uploads of a share of uploaders.
            percent: The share.
            salt: Chooses which uploaders come first; by default the candidate's name.

        Raises:
            PolicyError: If the two do not go together.
        """
        if self.rollout is not None:
            msg = f"{self.version} has a `rollout` already; take it out of the file"
            raise PolicyError(msg, file=self.file)
        share = [f"  percent: {percent:g}", *([] if salt is None else [f"  salt: {dumps(salt)}"])]
        text = "\n".join(
            [self.text, "rollout:", *share, "  policy:", indent(candidate.text, " " * 4)]
        )
        made = Policy.from_text(text, self.file)
        if made.candidate != candidate:
            msg = f"{candidate.version} cannot be written into another policy; write it in blocks"
            raise PolicyError(msg, file=candidate.file)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (Policy.from_text, (self.text, self.file))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.version == other.version

    def __hash__(self) -> int:
        return hash(self.version)


def shipped_policies() -> tuple[str, ...]:
    """The names of the shipped policies."""
    folder = resources.files("quorum.aggregator.policy").joinpath(_FOLDER)
    names = (item.name for item in folder.iterdir())
    return tuple(
        sorted(
            name.removesuffix(".yaml")
            for name in names
            if name.endswith(".yaml") and not name.endswith(".cases.yaml")
        )
    )


def load_policy(name_or_path: str | Path) -> Policy:
    """Load a shipped policy by its name, or a policy from a file.

    Raises:
        PolicyError: If it does not exist or is invalid.
    """
    given = str(name_or_path)
    shipped = shipped_policies()
    if given in shipped:
        item = resources.files("quorum.aggregator.policy").joinpath(_FOLDER, f"{given}.yaml")
        return Policy.from_text(item.read_text(encoding="utf-8"), f"{given}.yaml")
    path = Path(given)
    try:
        data = path.read_bytes()
    except OSError as error:
        if path.suffix or "/" in given:
            msg = f"cannot read the policy {given}: {error.strerror or error}"
        else:
            ships = ", ".join(shipped)
            msg = f"no policy is named {given}{did_you_mean(given, shipped)} (there are: {ships})"
        raise PolicyError(msg) from None
    if len(data) > MAX_POLICY_BYTES:
        msg = f"the policy has {len(data):,} bytes; the limit is {MAX_POLICY_BYTES:,}"
        raise PolicyError(msg, file=given)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        msg = "the policy is not valid UTF-8"
        raise PolicyError(msg, file=given, line=line) from None
    return Policy.from_text(text, given)


@lru_cache(maxsize=256)
def _read(text: str, file: str | None) -> Policy:
    return Policy(**vars(read_content(text, file)))
