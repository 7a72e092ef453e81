"""A report's package against the element order and the required elements of the public API.

The lists are written from https://report.cybertip.org/ispws/documentation (report, fileDetails).
"""

from __future__ import annotations

import hashlib
import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from quorum.core.child_safety_settings import ReporterSettings
from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import Upload
from quorum.store.sealed import cybertip
from quorum.store.sealed.cybertip import Reported
from quorum.store.sealed.reading import COLUMNS, SealedEvent
from quorum.store.sealed.values import SealedRules, a_year_after, moved, tone

#: The elements of each type in the order of the schema; those with * are required.
ORDER = {
    "report": "incidentSummary* internetDetails lawEnforcement reporter* personOrUserReported "
    "intendedRecipient victim additionalInfo",
    "incidentSummary": "incidentType* platform escalateToHighPriority reportAnnotations "
    "incidentDateTime* incidentDateTimeDescription",
    "internetDetails": "webPageIncident emailIncident newsgroupIncident chatImIncident "
    "onlineGamingIncident cellPhoneIncident nonInternetIncident peer2peerIncident",
    "webPageIncident": "url additionalInfo",
    "reporter": "reportingPerson* contactPerson companyTemplate termsOfService legalURL",
    "reportingPerson": "firstName lastName phone email* address age dateOfBirth",
    "contactPerson": "firstName lastName phone email address age dateOfBirth",
    "personOrUserReported": "personOrUserReportedPerson vehicleDescription espIdentifier "
    "espService compromisedAccount screenName displayName profileUrl profileBio ipCaptureEvent "
    "deviceId thirdPartyUserReported priorCTReports groupIdentifier accountTemporarilyDisabled "
    "accountPermanentlyDisabled estimatedLocation allEmailsReported associatedAccount "
    "additionalInfo",
    "personOrUserReportedPerson": "firstName lastName phone email address age dateOfBirth",
    "ipCaptureEvent": "ipAddress* eventName dateTime possibleProxy port",
    "fileDetails": "reportId* fileId* originalFileName uploadedToEspTimestamp locationOfFile "
    "fileViewedByEsp exifViewedByEsp publiclyAvailable fileRelevance fileAnnotations "
    "industryClassification originalFileHash ipCaptureEvent deviceId details additionalInfo",
}
AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def problems(element: ET.Element) -> list[str]:
    """What of an element is not as the schema has it."""
    names = ORDER.get(element.tag)
    if names is None:
        return [f"{element.tag} has elements"] if len(element) else []
    order = [name.rstrip("*") for name in names.split()]
    there = [child.tag for child in element]
    found = [f"{element.tag}: unknown {name}" for name in there if name not in order]
    found += [
        f"{element.tag}: lacks {name[:-1]}"
        for name in names.split()
        if name.endswith("*") and name[:-1] not in there
    ]
    places = [order.index(name) for name in there if name in order]
    found += [] if places == sorted(places) else [f"{element.tag}: out of order"]
    return found + [one for child in element for one in problems(child)]


def case(**more: Any) -> Reported:
    row = dict.fromkeys(COLUMNS)
    row |= {"id": "c" * 32, "upload_id": "v-1", "state": "confirmed", "how": "match"}
    row |= {"viewed": False, "sealed_at": AT, **more.pop("row", {})}
    upload = {
        "id": "v-1",
        "uploader": "u<7>",
        "title": "A \x08 title & more",
        "published_at": AT,
        "media": "https://media.example.org/a%20b.jpg?x=1",
        **more.pop("upload", {}),
    }
    match = SimpleNamespace(hash="md5:" + "a" * 32, how="exact", what="the same file")
    events = [
        SealedEvent(1, AT, "sealed", "detector", {"how": "match"}),
        SealedEvent(2, AT, "packaged", "sam", {}),
    ]
    digests = {"md5": "a" * 32, "sha1": "b" * 40, "sha256": "c" * 64}
    return Reported(SimpleNamespace(**row), Upload(**upload), [match], events, digests)


LEAST = ReporterSettings(email="safety@example.org")
WHOLE = ReporterSettings(
    first_name="Ada",
    last_name="Example",
    email="safety@example.org",
    phone="+1 555 0100",
    contact_email="law@example.org",
    company="Example Video",
    terms="No such material.",
    legal_url="https://example.org/law",
)
PRODUCER = {
    "uploader_name": "seven",
    "uploader_email": "seven@example.org",
    "uploader_url": "https://example.org/seven",
    "ip_address": "203.0.113.7",
    "page_url": "https://example.org/v-1",
}


@pytest.mark.parametrize(
    ("reporter", "upload"),
    [
        (ReporterSettings(email="safety@example.org"), {"media": None, "title": ""}),
        (WHOLE, PRODUCER),
    ],
    ids=["least", "whole"],
)
def test_the_xml_is_as_the_public_documentation_has_it(
    reporter: ReporterSettings, upload: dict[str, Any]
) -> None:
    made = cybertip.make(case(upload=upload), reporter, AT)
    for name, root in (("report.xml", "report"), ("file-details.xml", "fileDetails")):
        parsed = ET.fromstring(made.files[name])
        assert parsed.tag == root and problems(parsed) == []
        (schema,) = parsed.attrib.values()
        assert schema == "https://report.cybertip.org/ispws/xsd"
        assert made.files[name].startswith(b'<?xml version="1.0" encoding="UTF-8"?>')


def test_the_check_finds_what_is_wrong() -> None:
    parsed = ET.fromstring(
        "<reporter><legalURL/><reportingPerson><x/></reportingPerson></reporter>"
    )
    assert problems(parsed) == [
        "reporter: out of order",
        "reportingPerson: unknown x",
        "reportingPerson: lacks email",
    ]


def test_a_report_says_what_is_known() -> None:
    made = cybertip.make(case(upload=PRODUCER, row={"viewed": True}), WHOLE, AT)
    report = ET.fromstring(made.files["report.xml"])
    said = {
        "incidentSummary/incidentType": cybertip.INCIDENT,
        "incidentSummary/incidentDateTime": "2026-03-01T12:30:00Z",
        "internetDetails/webPageIncident/url": "https://example.org/v-1",
        "reporter/reportingPerson/email": "safety@example.org",
        "reporter/contactPerson/email": "law@example.org",
        "personOrUserReported/espIdentifier": "u<7>",
        "personOrUserReported/screenName": "seven",
        "personOrUserReported/ipCaptureEvent/ipAddress": "203.0.113.7",
    }
    assert {path: report.findtext(path) for path in said} == said
    words = report.findtext("additionalInfo") or ""
    assert "A \ufffd title & more" in words and "md5:" in words
    details = ET.fromstring(made.files["file-details.xml"])
    assert details.findtext("fileViewedByEsp") == "true"
    assert details.findtext("originalFileName") == "a b.jpg"
    hashes = {one.get("hashType"): one.text for one in details.iter("originalFileHash")}
    assert hashes == {"MD5": "a" * 32, "SHA1": "b" * 40, "SHA256": "c" * 64}
    assert (details.findtext("reportId"), details.findtext("fileId")) == ("0", "0")
    numbered = cybertip.make(case(row={"state": "reported", "report_number": "77"}), WHOLE, AT)
    again = ET.fromstring(numbered.files["file-details.xml"])
    assert again.findtext("reportId") == "77"


def test_the_manifest_holds_digests_and_steps_and_nobody_else_reads_the_folder(
    tmp_path: Path,
) -> None:
    made = cybertip.make(case(), WHOLE, AT)
    folder = tmp_path / "reports" / "case"
    cybertip.write(made, folder)
    cybertip.write(made, folder)
    assert {one.name for one in folder.iterdir()} == set(made.files)
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert [step.split()[1] for step in manifest["steps"][:2]] == ["/submit", "/upload"]
    assert manifest["media"] == "https://media.example.org/a%20b.jpg?x=1"
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [one["event"] for one in log] == ["sealed"]
    assert made.digest == cybertip.make(case(), WHOLE, AT).digest


def test_a_report_needs_a_reporter_and_a_person_who_confirmed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"set child_safety\.reporter"):
        cybertip.make(case(), None, AT)
    with pytest.raises(InputError, match="is open: confirm it"):
        cybertip.make(case(row={"state": "open"}), WHOLE, AT)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write the report"):
        cybertip.write(cybertip.make(case(), WHOLE, AT), tmp_path / "file")


def test_states_and_times() -> None:
    assert moved("open", "confirmed") == "confirmed"
    with pytest.raises(InputError, match="reported cannot become denied"):
        moved("reported", "denied")
    leap = datetime(2028, 2, 29, tzinfo=UTC)
    assert a_year_after(leap) == datetime(2029, 3, 1, tzinfo=UTC)
    assert a_year_after(AT) == datetime(2027, 3, 1, 12, 30, tzinfo=UTC)
    assert a_year_after(leap, 4) == datetime(2032, 2, 29, tzinfo=UTC)
    rules = SealedRules()
    due = AT.replace(day=2)
    assert tone(AT, due, AT) == "well" and rules.report_hours == 24
    assert tone(AT, due, AT.replace(hour=23, day=1)) == "well"
    assert tone(AT, due, AT.replace(day=2, hour=7)) == "near"
    assert tone(AT, due, due) == "late"
