"""The settings of a deployment: detectors, policy, catalogue, and the allowed sources of media.

Settings are read from a YAML file (``--settings`` or ``QUORUM_SETTINGS``). Each has a default, so
that no file is needed. Secrets are never settings: they are read from the environment, or from a
file that the environment names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container
from datetime import date
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from quorum.core.alert_settings import AlertSettings
from quorum.core.child_safety_settings import ChildSafetySettings, HashSettings
from quorum.core.errors import ConfigurationError
from quorum.core.identity import Publisher, PublisherKey, Publishers
from quorum.core.sign_on_settings import SignOnSettings
from quorum.core.yaml_files import line_of, read_yaml, tree_of

__all__ = [
    "AttributeSource",
    "CatalogueSettings",
    "ChildSafetySettings",
    "DetectorSettings",
    "HashSettings",
    "MediaAccess",
    "NoticeSettings",
    "ReportSettings",
    "Settings",
    "WorkerSettings",
    "check_hashes",
    "check_timeouts",
    "load_settings",
]


_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_HOST = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _host(value: str) -> str:
    value = value.lower()
    if not _HOST.fullmatch(value):
        msg = "must be a host's name alone, such as media.example.org or *.example.org"
        raise ValueError(msg)
    return value


def _bucket(value: str) -> str:
    if not value or "/" in value or ":" in value:
        msg = "must be a bucket's name alone, without gs:// and without a path"
        raise ValueError(msg)
    return value


def _origin(value: str) -> str:
    # A port that is none is a ValueError, too.
    if not _ORIGIN.fullmatch(value) or urlsplit(value).port == 0:
        msg = "must be a scheme, a host and its port alone, such as https://llm.example.org:8000"
        raise ValueError(msg)
    return value


def _defaults_if_empty(value: object) -> object:
    return {} if value is None else value


Host = Annotated[str, AfterValidator(_host)]
Bucket = Annotated[str, AfterValidator(_bucket)]
#: A finite positive number.
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class MediaAccess(_Section):
    """The allowed sources of media, and the limits of what is fetched and decoded.

    By default no media is fetched: a platform names its own hosts, buckets or folders.
    """

    #: Hosts that ``https:`` media is fetched from, such as ``media.example.org``; a leading
    #: ``*.`` allows subdomains. Redirects are checked again; private addresses are refused.
    hosts: tuple[Host, ...] = ()
    #: Buckets that ``gs:`` media is fetched from.
    buckets: tuple[Bucket, ...] = ()
    #: Folders that ``file:`` media is read from; symbolic links that leave them are refused.
    folders: tuple[str, ...] = ()
    #: A larger download is aborted.
    max_bytes: Annotated[int, Field(gt=0)] = 512 * 1024 * 1024
    #: Seconds of the media that are decoded at most.
    max_seconds: Limit = 600.0
    #: A frame with more pixels is refused before it is decoded (8K has 33 million).
    max_pixels: Annotated[int, Field(gt=0)] = 40_000_000
    #: Seconds until a fetch is aborted.
    timeout: Limit = 20.0
    #: Seconds of media of which at least one frame is looked at: long media is seen in more places.
    max_unseen: Limit = 20.0
    #: The frames of one upload in which text is recognised, up to two seconds apart, for
    #: detectors that need it; long media has more, at most ``max_unseen`` apart. 0 for none.
    read_frames: Annotated[int, Field(ge=0, le=64)] = 6
    #: What recognises speech, for detectors that judge words: ``auto`` for the English model of the
    #: extra ``speech``, where that is installed; the reference of a model of Hugging Face
    #: (``hf:``, ``file:``); ``off`` for none.
    speech: Annotated[str, Field(pattern="^(auto|off|(hf|file):.+)$")] = "auto"
    #: Seconds of speech of one upload that are recognised at most.
    max_speech: Limit = 120.0


class DetectorSettings(_Section):
    """The settings of one detector."""

    #: The reference of its model: ``package:``, ``file:``, ``hf:``, ``gs:`` or ``mlflow:``; None
    #: for the detector's own.
    model: str | None = None
    #: The installed detector that this is another version of, with another ``model``, which a
    #: policy rolls out to a share of uploaders. None for the detector of this name.
    version_of: str | None = None
    #: Seconds until a batch is aborted and its uploads are reported as failed.
    timeout: Limit = 30.0
    #: The most uploads that are scored in one batch.
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 32
    #: Whether its predictions are recorded only, and decide nothing.
    shadow: bool = False


class CatalogueSettings(_Section):
    """The location of the catalogue of reference works, if it is not one folder or file."""

    #: The folder of its index files; None to keep the index in memory.
    folder: str | None = None
    #: The URL of the ledger's database if it also holds the works; ``ledger`` for the value of
    #: ``QUORUM_DATABASE``. None for a SQLite file in the folder.
    database: str | None = None


class AttributeSource(_Section):
    """Where the score of an attribute of ``comments:analyze`` comes from.

    Written as ``toxicity``, ``toxicity/insult`` or ``{detector: toxicity, label: hate/insult}``.
    """

    #: The detector.
    detector: Annotated[str, Field(min_length=1)]
    #: Its label; None for its score.
    label: Annotated[str, Field(min_length=1)] | None = None


def _source(value: object) -> object:
    if not isinstance(value, str):
        return value
    return {"detector": value.partition("/")[0], "label": value if "/" in value else None}


class WorkerSettings(_Section):
    """The child processes in which features are made and detectors score."""

    #: Whether there are child processes. Without, a detector that hangs, crashes or eats memory
    #: takes other uploads along; for debugging, and the only way on systems other than Linux.
    isolation: bool = True
    #: How many score at the same time; None for one for each processor.
    processes: Annotated[int, Field(ge=1, le=64)] | None = None
    #: Bytes of memory that a child may use beyond its models.
    memory: Annotated[int, Field(ge=64 * 1024 * 1024)] = 2 * 1024 * 1024 * 1024
    #: Seconds that the features of one upload may take: fetch, decoding, recognition of text.
    timeout: Limit = 60.0


class ReportSettings(_Section):
    """Users' reports: who comes first, and how many of one reporter are taken."""

    #: The API keys of trusted flaggers (Article 22 of the DSA), by name: their reports come first.
    trusted_flaggers: tuple[
        Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$", max_length=64)], ...
    ] = ()
    #: Reports an hour of one user of a platform.
    per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 30
    #: Reports an hour from one network by the form without an account.
    public_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    #: Reports an hour of one trusted flagger.
    trusted_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 2000


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = "must be a time zone of the IANA database, such as America/New_York"
        raise ValueError(msg) from None
    return value


class NoticeSettings(_Section):
    """Legal notices: their terms, and from when an uploader is a repeat infringer."""

    #: Where business days begin and end.
    timezone: Annotated[str, AfterValidator(_zone)] = "America/New_York"
    #: Days that are no business days, beside weekends and the federal holidays of the US.
    holidays: tuple[date, ...] = ()
    #: Hours to remove an intimate image; TAKE IT DOWN has at most 48.
    intimate_hours: Annotated[float, Field(gt=0, le=48)] = 48.0
    #: Hours to answer a copyright notice.
    copyright_hours: Annotated[float, Field(gt=0, le=336)] = 24.0
    #: Hours to check a counter-notice and pass it on.
    counter_hours: Annotated[float, Field(gt=0, le=336)] = 24.0
    #: Uploads that are down because of copyright notices, from which an uploader is told to be a
    #: repeat infringer.
    repeat_infringer: Annotated[int, Field(ge=1, le=1000)] = 3
    #: The YAML file of letters in your words; null for those that ship.
    letters: Annotated[str, Field(min_length=1)] | None = None
    #: Notices an hour of one user of a platform, or from one network.
    per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 20


class Settings(_Section):
    """All settings of a deployment."""

    #: The detectors to run, by name; None for all that are installed.
    detectors: (
        dict[str, Annotated[DetectorSettings, BeforeValidator(_defaults_if_empty)]] | None
    ) = None
    #: The path of a policy file, or the name of a shipped policy.
    policy: str = "balanced"
    #: Where media may be fetched from, and how much of it.
    media: Annotated[MediaAccess, BeforeValidator(_defaults_if_empty)] = MediaAccess()
    #: The file or folder of the catalogue of reference works, or its folder and database; None
    #: for the small one that ships.
    catalogue: str | CatalogueSettings | None = None
    #: Whether detectors that read text only run first, and the others only where they can still
    #: change the action; or the names of the detectors that run first.
    cascade: bool | tuple[str, ...] = False
    #: Who may publish what, by name, each with its public keys; empty to accept every message. See
    #: ``docs/security.md``.
    publishers: Annotated[Publishers, BeforeValidator(_defaults_if_empty)] = {}
    #: The servers that detectors of policies in words may ask, such as ``http://127.0.0.1:11434``.
    endpoints: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    #: What answers each attribute of ``comments:analyze``, beside those that the shipped detectors
    #: answer; null for nothing. See ``docs/web.md``.
    perspective: Annotated[
        dict[
            Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$", max_length=64)],
            Annotated[AttributeSource | None, BeforeValidator(_source)],
        ],
        BeforeValidator(_defaults_if_empty),
    ] = {}
    #: The child processes of the detectors, and their limits.
    workers: Annotated[WorkerSettings, BeforeValidator(_defaults_if_empty)] = WorkerSettings()
    #: Users' reports. See ``docs/reports.md``.
    reports: Annotated[ReportSettings, BeforeValidator(_defaults_if_empty)] = ReportSettings()
    #: Legal notices. See ``docs/notices.md``.
    notices: Annotated[NoticeSettings, BeforeValidator(_defaults_if_empty)] = NoticeSettings()
    #: Listed hashes, and the exchanges that list them. See ``docs/child-safety.md``.
    hashes: Annotated[HashSettings, BeforeValidator(_defaults_if_empty)] = HashSettings()
    #: Child-abuse material. See ``docs/child-safety.md``.
    child_safety: Annotated[ChildSafetySettings, BeforeValidator(_defaults_if_empty)] = (
        ChildSafetySettings()
    )
    #: Single sign-on to the console; None for passwords and reverse proxies only. See
    #: ``docs/console.md``.
    sso: SignOnSettings | None = None
    #: Alerts to people. See ``docs/operations.md``.
    alerts: Annotated[AlertSettings, BeforeValidator(_defaults_if_empty)] = AlertSettings()


_SECTIONS: dict[object, type[BaseModel]] = {
    "detectors": DetectorSettings,
    "media": MediaAccess,
    "catalogue": CatalogueSettings,
    "publishers": Publisher,
    "workers": WorkerSettings,
    "perspective": AttributeSource,
    "reports": ReportSettings,
    "notices": NoticeSettings,
    "hashes": HashSettings,
    "child_safety": ChildSafetySettings,
    "sso": SignOnSettings,
    "alerts": AlertSettings,
}


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the settings.

    Args:
        path: The YAML file; by default the one that ``QUORUM_SETTINGS`` names, else the defaults.

    Raises:
        ConfigurationError: If the file cannot be read, or a setting is unknown or invalid; the
            text names the file, the line, the setting and what is expected.
    """
    chosen = path or os.environ.get("QUORUM_SETTINGS")
    if not chosen:
        return Settings()
    file = Path(chosen)
    data, text = read_yaml(file, f"cannot read the settings {file}")
    if data is None:
        return Settings()
    if not isinstance(data, dict):
        msg = f"{file}: must be a mapping of settings, such as `policy: balanced`"
        raise ConfigurationError(msg)
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        tree = tree_of(text)
        msg = "; ".join(
            f"{file}:{line_of(tree, item['loc'])}: {_problem(item)}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(msg) from None


def check_timeouts(settings: Settings, deadline: float, path: str | Path | None = None) -> None:
    """Refuse a detector's timeout that exceeds the policy's deadline: it would never be reached.

    Args:
        settings: The settings.
        deadline: The policy's deadline, in seconds.
        path: The settings' file, as given to ``load_settings``.

    Raises:
        ConfigurationError: If a timeout that the settings name exceeds it.
    """
    for name, one in (settings.detectors or {}).items():
        if "timeout" in one.model_fields_set and one.timeout > deadline:
            where = ""
            if chosen := path or os.environ.get("QUORUM_SETTINGS"):
                tree = tree_of(Path(chosen).read_text("utf-8"))
                where = f"{chosen}:{line_of(tree, ('detectors', name, 'timeout'))}: "
            msg = (
                f"{where}detectors.{name}.timeout: {one.timeout:g} s exceeds the policy's deadline "
                f"of {deadline:g} s, by which each upload is decided; set at most {deadline:g}"
            )
            raise ConfigurationError(msg)


def check_hashes(settings: Settings, policy: str, reads: Container[str]) -> None:
    """Refuse a policy that reads nothing of the listed hashes that the settings name.

    Args:
        settings: The settings.
        policy: The policy's name.
        reads: The detectors that its rules read.

    Raises:
        ConfigurationError: If a match would change no verdict.
    """
    if settings.hashes.on and "hashes" not in reads:
        msg = (
            f"the settings name hash lists (hashes), but no rule of the policy {policy} reads "
            "them, so that a match would change nothing: add the rules of "
            "docs/child-safety.md#the-policy"
        )
        raise ConfigurationError(msg)


def _problem(item: ErrorDetails) -> str:
    path = item["loc"]
    name = ".".join(str(part) for part in path)
    if item["type"] == "extra_forbidden":
        section = _SECTIONS.get(path[0], Settings) if len(path) > 1 else Settings
        if section is Publisher and len(path) > 3:
            section = PublisherKey
        return f"{name}: unknown setting; there are {', '.join(section.model_fields)}"
    return f"{name}: {item['msg'].removeprefix('Value error, ')}"
