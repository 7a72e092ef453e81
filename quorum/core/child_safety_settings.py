"""The settings of child safety: listed hashes and their exchanges, the clock and the report."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quorum.core.alert_settings import Address, Name, Url, Variable

__all__ = [
    "ChildSafetySettings",
    "Exchange",
    "HashCategory",
    "HashList",
    "HashSettings",
    "NcmecExchange",
    "ReporterSettings",
    "StopNciiExchange",
    "TatExchange",
]

#: What a listed hash shows: child-abuse material, an intimate image that is shown without consent,
#: or terrorist content.
HashCategory = Literal["csam", "intimate", "terrorism"]

Text = Annotated[str, Field(max_length=3000)]
ShortText = Annotated[str, Field(max_length=255)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HashList(_Section):
    """A file of hashes: one in each line, as ``kind:value`` or CSV with a header."""

    #: The file's path.
    file: Annotated[str, Field(min_length=1)]
    #: What its hashes show.
    category: HashCategory = "csam"
    #: What evidence and logs call it; by default the file's name.
    name: Name | None = None


class NcmecExchange(_Section):
    """NCMEC's hash sharing, an XML API; its environments differ in who lists what."""

    kind: Literal["ncmec"]
    url: Url = "https://report.cybertip.org/hashsharing"
    category: HashCategory = "csam"
    #: The variables of the environment with the name and password.
    user_env: Variable = "NCMEC_HASH_USER"
    password_env: Variable = "NCMEC_HASH_PASSWORD"  # noqa: S105
    #: The reason of a denial, by kind of hash, where more than one is offered: its GUID.
    reasons: dict[Literal["md5", "sha1", "pdq"], ShortText] = {}


class StopNciiExchange(_Section):
    """StopNCII.org, a JSON API with a key for each of its functions."""

    kind: Literal["stopncii"]
    url: Url = "https://api.stopncii.org/v1"
    category: HashCategory = "intimate"
    #: The variables of the environment with the subscription's key and those of its functions.
    subscription_env: Variable = "STOPNCII_SUBSCRIPTION_KEY"
    fetch_env: Variable = "STOPNCII_FETCH_KEY"
    feedback_env: Variable = "STOPNCII_FEEDBACK_KEY"
    submit_env: Variable = "STOPNCII_SUBMIT_KEY"


class TatExchange(_Section):
    """Tech Against Terrorism's hash list, a file that its API names; it takes no opinions."""

    kind: Literal["tat"]
    url: Url = "https://beta.terrorismanalytics.org"
    category: HashCategory = "terrorism"
    #: The variables of the environment with the name and password.
    user_env: Variable = "TAT_USER"
    password_env: Variable = "TAT_PASSWORD"  # noqa: S105
    #: Which part of the list.
    ideology: Literal["all", "islamist", "far-right"] = "all"


Exchange = Annotated[NcmecExchange | StopNciiExchange | TatExchange, Field(discriminator="kind")]


class HashSettings(_Section):
    """Which uploads match a listed hash; naming a list or a database turns the detector on."""

    #: Files that are read at the start.
    lists: tuple[HashList, ...] = ()
    #: The database with what exchanges list and people denied: a URL, or ``ledger`` for that of
    #: ``QUORUM_DATABASE``.
    database: str | None = None
    #: The exchanges that ``quorum hashes pull`` and ``push`` ask, by name.
    exchanges: dict[Name, Exchange] = {}
    #: The most of 256 bits in which a PDQ hash may differ.
    distance: Annotated[int, Field(ge=0, le=31)] = 31
    #: The least PDQ quality of a frame that is compared.
    quality: Annotated[int, Field(ge=0, le=100)] = 50

    @property
    def on(self) -> bool:
        """Whether there is something to compare uploads with."""
        return bool(self.lists) or self.database is not None


class ReporterSettings(_Section):
    """Who reports to NCMEC's CyberTipline."""

    first_name: ShortText = ""
    last_name: ShortText = ""
    email: Address
    phone: ShortText = ""
    #: Whom law enforcement may ask, if it is somebody else.
    contact_email: Address | None = None
    #: The product or service, as NCMEC knows it.
    company: ShortText = ""
    terms: Text = ""
    #: Where requests of law enforcement go.
    legal_url: Url | None = None


class ChildSafetySettings(_Section):
    """Sealed cases: their clock, their preservation, and what a report says of the platform."""

    #: Hours to report a case.
    report_hours: Annotated[float, Field(gt=0, le=168)] = 24.0
    #: Years for which a reported case is kept against erasure; the law has one.
    preserve_years: Annotated[int, Field(ge=1, le=5)] = 1
    #: Uploads that one hash may match in ``flood_minutes`` before people are asked.
    flood_matches: Annotated[int, Field(ge=2, le=1_000_000)] = 20
    flood_minutes: Annotated[float, Field(gt=0, le=1440)] = 60.0
    #: Who reports; None where no package is written.
    reporter: ReporterSettings | None = None
    #: The folder that packages are written to.
    reports: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.reports is not None and self.reporter is None:
            msg = "reports needs reporter: who reports, with at least an email"
            raise ValueError(msg)
        return self
