"""The package of a report, in the elements of NCMEC's CyberTipline Reporting API.

The names and the order of elements are those of the API's public documentation
(https://report.cybertip.org/ispws/documentation: report and fileDetails). Nothing is sent: whoever
has an account submits the package in the steps that its manifest names. The package has the file's
digests and where the platform keeps it, never the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from quorum.core.child_safety_settings import ReporterSettings
from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import Upload
from quorum.store.sealed.reading import COLUMNS, SealedEvent

__all__ = ["INCIDENT", "Package", "Reported", "make", "write"]

#: The incident type of such material, as the API names it.
INCIDENT: Final = "Child Pornography (possession, manufacture, and distribution)"

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA: Final = "https://report.cybertip.org/ispws/xsd"

#: What XML 1.0 cannot hold.
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: The hash types of ``originalFileHash``, by kind.
_HASH_TYPES: Final = {"md5": "MD5", "sha1": "SHA1", "sha256": "SHA256"}

_MOST: Final = 3000


@dataclass(frozen=True, slots=True)
class Reported:
    """A case as a report tells it.

    Attributes:
        row: The row of the sealed case.
        upload: The upload as it was sealed.
        matches: The rows of the listed hashes that it matched.
        events: The case's log.
        digests: Those of the file, by kind.
    """

    row: Any
    upload: Upload
    matches: Sequence[Any]
    events: Sequence[SealedEvent]
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Package:
    """The files of a report, by name."""

    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it: the log of the case has it."""
        sha = hashlib.sha256()
        for name, data in sorted(self.files.items()):
            sha.update(f"{name}\0{len(data)}\0".encode())
            sha.update(data)
        return sha.hexdigest()


def make(told: Reported, reporter: ReporterSettings | None, at: datetime) -> Package:
    """Make the package of a report.

    Args:
        told: The case.
        reporter: Who reports.
        at: The time.

    Raises:
        ConfigurationError: If the settings name no reporter.
        InputError: If nobody confirmed the case.
    """
    if reporter is None:
        msg = (
            "the settings name nobody who reports: set child_safety.reporter, with at least an "
            "email (docs/child-safety.md)"
        )
        raise ConfigurationError(msg)
    if told.row.state not in ("confirmed", "reported"):
        msg = f"this case is {told.row.state}: confirm it before it is reported"
        raise InputError(msg)
    files = {
        "report.xml": _document(_report(told, reporter)),
        "file-details.xml": _document(_file_details(told)),
        "log.jsonl": _log(told).encode(),
    }
    files["manifest.json"] = _manifest(told, files, at).encode()
    return Package(files)


def _report(told: Reported, reporter: ReporterSettings) -> ET.Element:
    root = _root("report")
    summary = _add(root, "incidentSummary")
    _add(summary, "incidentType", INCIDENT)
    _add(summary, "incidentDateTime", _time(told.upload.published_at))
    _add(summary, "incidentDateTimeDescription", "When the upload was published.")
    if url := _own(told.upload, "page_url"):
        page = _add(_add(root, "internetDetails"), "webPageIncident")
        _add(page, "url", url)
    who = _add(root, "reporter")
    person = _add(who, "reportingPerson")
    _maybe(person, "firstName", reporter.first_name)
    _maybe(person, "lastName", reporter.last_name)
    _maybe(person, "phone", reporter.phone)
    _add(person, "email", reporter.email)
    if reporter.contact_email:
        _add(_add(who, "contactPerson"), "email", reporter.contact_email)
    _maybe(who, "companyTemplate", reporter.company)
    _maybe(who, "termsOfService", reporter.terms)
    _maybe(who, "legalURL", reporter.legal_url or "")
    _add_reported(root, told.upload)
    _add(root, "additionalInfo", _words(told))
    return root


def _add_reported(root: ET.Element, upload: Upload) -> None:
    """Who uploaded it; beside the id, what the producer's own fields tell of them."""
    user = _add(root, "personOrUserReported")
    if email := _own(upload, "uploader_email"):
        _add(_add(user, "personOrUserReportedPerson"), "email", email)
    _add(user, "espIdentifier", upload.uploader[:255])
    _maybe(user, "screenName", _own(upload, "uploader_name")[:255])
    _maybe(user, "profileUrl", _own(upload, "uploader_url"))
    if address := _own(upload, "ip_address"):
        event = _add(user, "ipCaptureEvent")
        _add(event, "ipAddress", address)
        _add(event, "eventName", "Upload")
        _add(event, "dateTime", _time(upload.published_at))


def _own(upload: Upload, name: str) -> str:
    """A field of the producer's own, if it is a text."""
    value = (upload.model_extra or {}).get(name)
    return value if isinstance(value, str) else ""


def _words(told: Reported) -> str:
    lines = [f"Upload {told.upload.id}, case {told.row.id}."]
    if told.row.how == "match":
        lines.append("Found by a listed hash.")
    else:
        lines.append("Found by a person.")
    lines += [f"Matched {one.hash}: {one.what}." for one in told.matches[:20]]
    lines += [f"Title: {told.upload.title}"] if told.upload.title else []
    lines += [f"Description: {told.upload.description}"] if told.upload.description else []
    return "\n".join(lines)[:_MOST]


def _file_details(told: Reported) -> ET.Element:
    root = _root("fileDetails")
    number = told.row.report_number or "0"
    _add(root, "reportId", number if number.isdecimal() else "0")
    _add(root, "fileId", "0")
    media = told.upload.media or ""
    _maybe(root, "originalFileName", unquote(urlsplit(media).path).rpartition("/")[2][:2056])
    _add(root, "uploadedToEspTimestamp", _time(told.upload.published_at))
    _maybe(root, "locationOfFile", media if media.startswith("https:") else "")
    _add(root, "fileViewedByEsp", "true" if told.row.viewed else "false")
    _add(root, "fileRelevance", "Reported")
    for kind, name in _HASH_TYPES.items():
        if value := told.digests.get(kind):
            _add(root, "originalFileHash", value).set("hashType", name)
    _add(root, "additionalInfo", f"Case {told.row.id}.")
    return root


def _root(tag: str) -> ET.Element:
    ET.register_namespace("xsi", _XSI)
    return ET.Element(tag, {f"{{{_XSI}}}noNamespaceSchemaLocation": _SCHEMA})


def _add(parent: ET.Element, tag: str, text: str | None = None) -> ET.Element:
    made = ET.SubElement(parent, tag)
    if text is not None:
        made.text = _NO_XML.sub("\ufffd", text)
    return made


def _maybe(parent: ET.Element, tag: str, text: str) -> None:
    if text:
        _add(parent, tag, text)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _document(root: ET.Element) -> bytes:
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root) + b"\n"


def _log(told: Reported) -> str:
    lines = [
        {
            "number": one.number,
            "at": _time(one.at),
            "event": one.event,
            "actor": one.actor,
            **one.details,
        }
        for one in told.events
        if one.event != "packaged"
    ]
    return "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in lines)


def _manifest(told: Reported, files: Mapping[str, bytes], at: datetime) -> str:
    made = {
        "case": told.row.id,
        "made_at": _time(at),
        "media": told.upload.media,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        "facts": {
            name: _plain(getattr(told.row, name))
            for name in COLUMNS
            if name not in ("packaged_at", "package")
        },
        "steps": [
            "POST /submit with report.xml: the answer has the reportId",
            "POST /upload with id=<reportId> and the file that `media` names: it has the fileId",
            "write both into reportId and fileId of file-details.xml; POST /fileinfo with it",
            "POST /finish with id=<reportId>",
            f"quorum sealed reported {told.row.id} --number <reportId>",
        ],
    }
    return json.dumps(made, indent=2) + "\n"


def _plain(value: Any) -> Any:
    return _time(value) if isinstance(value, datetime) else value


def write(package: Package, folder: Path) -> None:
    """Write a package into a folder of its own, readable by this system's user alone.

    Args:
        package: The package.
        folder: The folder; files of an earlier package of the case are replaced.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, data in package.files.items():
            temporary = folder / f".{name}.new"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(folder / name)
    except OSError as error:
        msg = f"cannot write the report into {folder}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
