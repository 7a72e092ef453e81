"""The deployment under test: its policy, settings and command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak import detectors
from benchmarks.soak.broker import subscription, topic

__all__ = ["Setting"]

_POLICY = """
name: soak
deadline: {deadline:g} s
retention: {retention:g} s
orphan_wait: {orphan_wait:g} s
detectors:
  words: {{required: true, missing: review, failed: review, abstained: ignore}}
  frames: {{required: true, missing: review, failed: review, abstained: ignore}}
  odd: {{required: true, missing: review, failed: review, abstained: ignore}}
  partner: {{required: false, missing: ignore, failed: ignore, abstained: ignore, deadline: 1 s}}
rules:
  - name: bad-words
    when: score("words") >= 0.9
    action: remove
    category: spam
    reason: The words are bad.
  - name: bright
    when: score("frames") >= 0.5
    action: restrict
    category: violence
    reason: The picture is bright.
  - name: partner-says-so
    when: score("partner") >= 0.8
    action: review
    category: spam
    reason: The partner says so.
"""

_SETTINGS = """
detectors:
  words: {{timeout: {timeout:g}}}
  frames: {{timeout: {timeout:g}}}
  odd: {{timeout: {timeout:g}}}
media:
  folders: ["{media}"]
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the job is started with.

    Attributes:
        folder: For its files.
        media: The folder of the clips.
        deadline: Of the policy, in seconds.
        retention: Seconds that cases are kept after their verdict.
        orphan_wait: Seconds that a prediction waits for its upload.
    """

    folder: Path
    media: Path
    deadline: float
    retention: float
    orphan_wait: float = 10.0

    @property
    def policy_text(self) -> str:
        """The policy as YAML."""
        return _POLICY.format(
            deadline=self.deadline, retention=self.retention, orphan_wait=self.orphan_wait
        )

    @property
    def settings_path(self) -> Path:
        """The settings file."""
        return self.folder / "settings.yaml"

    def write(self) -> None:
        """Write policy, settings and the plug-in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        detectors.install(self.folder / "plugin")
        (self.folder / "policy.yaml").write_text(self.policy_text)
        self.settings_path.write_text(
            _SETTINGS.format(timeout=self.deadline * 0.6, media=self.media)
        )

    def arguments(self, metrics_port: int | None) -> list[str]:
        """The command line after ``quorum``; the metrics of a cluster's workers are its own."""
        metrics = () if metrics_port is None else ("--metrics-port", str(metrics_port))
        return [
            "stream",
            *("--uploads", subscription("uploads-stream")),
            *("--other-predictions", subscription("partner-stream")),
            *("--reviews", subscription("reviews-stream")),
            *("--verdicts", topic("verdicts")),
            *("--predictions", topic("predictions")),
            *("--dead-letters", topic("dead-letters")),
            *("--settings", str(self.settings_path)),
            *("--policy", str(self.folder / "policy.yaml")),
            *metrics,
        ]
