from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import load_policy
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, Status, Upload
from quorum.core.settings import Settings
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.database import Database
from quorum.models.copyright.catalogue.exchange import read_works, write_works
from quorum.models.copyright.catalogue.uploads import KeptUploads
from quorum.models.copyright.catalogue.works import OwnerRule, Work, WorkPrint
from quorum.models.copyright.detector import CopyrightDetector
from quorum.models.detectors import Feature, Features
from quorum.models.ensemble import Ensemble
from quorum.models.fingerprint.fingerprint import WORK_RATE, fingerprint
from tests.contract.detector import DetectorContract
from tests.models.copyright.clips import picture_frames, remux, write_video

ARTIFACT = Path(CopyrightDetector.__module__.replace(".", "/")).parent / "artifact"


class TestContract(DetectorContract):
    detector = CopyrightDetector
    folders = (str(Path(__file__).parents[3] / ARTIFACT),)


def upload(**fields) -> Upload:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    known = {"media": "file:///clip.mp4", "uploader": "someone", **fields}
    return Upload(id="u1", published_at=when, **known)


def of(path: Path, **fields) -> Features:
    return Features(upload(**fields), fingerprint=fingerprint(path))


def work_of(path: Path, name: str = "w1", **fields) -> tuple[Work, WorkPrint]:
    fields = {"rule": OwnerRule(action=Action.REMOVE), **fields}
    work = Work(id=name, title="One", owner="Studio", **fields)
    return work, WorkPrint.of(fingerprint(path, rate=WORK_RATE))


@pytest.fixture(scope="module")
def frames():
    return picture_frames(1, size=(144, 192), seconds=8)


@pytest.fixture(scope="module")
def film(tmp_path_factory, frames) -> Path:
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", frames)


@pytest.fixture(scope="module")
def edited(tmp_path_factory, frames) -> Path:
    """Mirrored and cropped, from the third second on."""
    shown = [np.ascontiguousarray(each[7:-7, 9:-9][:, ::-1])[:130, :174] for each in frames[20:]]
    return write_video(tmp_path_factory.mktemp("edited") / "edited.mp4", shown, crf=32)


def detector_of(tmp_path: Path, *works: tuple[Work, WorkPrint]) -> CopyrightDetector:
    write_works(tmp_path / "works.json", works)
    return CopyrightDetector(catalogue=tmp_path / "works.json")


def test_a_copy_in_another_container_is_certain(film, tmp_path):
    detector = detector_of(tmp_path, work_of(film))
    (copy,) = detector.score([of(remux(film, tmp_path / "c.mkv"))])
    assert copy.score == 1.0
    assert copy.labels == {"copyright/match": 1.0, "copyright/remove": 1.0}
    (evidence,) = copy.evidence
    assert (evidence.kind, evidence.work) == ("match", "w1")
    assert "same file or coded content" in evidence.what


def test_an_edited_part_is_found_with_its_seconds(film, edited, clips, tmp_path):
    detector = detector_of(tmp_path, work_of(film))
    copy, other = detector.score([of(edited), of(clips["two"])])
    assert copy.score > 0.95
    (evidence,) = copy.evidence
    assert "mirrored" in evidence.what
    assert evidence.start == pytest.approx(0.0, abs=0.6)
    assert evidence.end == pytest.approx(6.0, abs=0.6)
    assert evidence.work_start == pytest.approx(2.0, abs=0.6)
    assert evidence.work_end == pytest.approx(8.0, abs=0.6)
    assert (other.status, other.score, other.evidence) == (Status.SCORED, 0.0, ())


@pytest.mark.parametrize(
    ("action", "low", "high"),
    [("remove", 0.95, 1.0), ("review", 0.6, 0.9), ("restrict", 0.5, 0.55), ("allow", 0.0, 0.0)],
)
def test_the_score_says_no_more_than_the_rule(film, edited, tmp_path, action, low, high):
    detector = detector_of(tmp_path, work_of(film, rule=OwnerRule(action=Action(action))))
    (found,) = detector.score([of(edited)])
    assert low <= found.score <= high
    assert found.labels[f"copyright/{action}"] > 0.95
    assert found.labels["copyright/match"] > 0.95
    assert found.evidence


@pytest.mark.parametrize(
    ("facts", "fields", "action", "why"),
    [
        ({"exceptions": ("someone",)}, {}, "allow", "someone may use it"),
        ({"rule": {"action": "remove", "min_seconds": 30}}, {}, "allow", "minimum of 30 s"),
        ({"rule": {"action": "remove", "min_fraction": 0.5}}, {}, "remove", "rule is remove"),
        ({"territories": ("DE", "FR")}, {}, "restrict", "rights only in DE, FR"),
        ({"territories": ("DE",)}, {"territories": ("DE", "AT")}, "restrict", "rights only in DE"),
        ({"territories": ("DE",)}, {"territories": ("DE",)}, "remove", "rule is remove"),
        (
            {"territories": ("DE",)},
            {"territories": ("US",)},
            "allow",
            "not shown in the owner's territories",
        ),
        (
            {"rule": {"action": "allow"}, "embargo_until": datetime.now(UTC) + timedelta(days=9)},
            {},
            "remove",
            "under embargo until",
        ),
        (
            {"rule": {"action": "allow"}, "embargo_until": datetime(2020, 1, 1, tzinfo=UTC)},
            {},
            "allow",
            "rule is allow",
        ),
    ],
)
def test_the_works_rule_decides(film, edited, tmp_path, facts, fields, action, why):
    detector = detector_of(tmp_path, work_of(film, **facts))
    (found,) = detector.score([of(edited, **fields)])
    assert f"copyright/{action}" in found.labels
    assert why in found.evidence[0].what
    assert (found.score > 0.95) == (action == "remove")


def test_no_media_abstains_and_lost_media_fails(film, tmp_path):
    detector = detector_of(tmp_path, work_of(film))
    none = Features(upload(media=None), absent={Feature.FINGERPRINT: "no media"})
    gone = Features(upload(), absent={Feature.FINGERPRINT: "media is gone: HTTP 404"})
    first, second = detector.score([none, gone])
    assert (first.status, first.reason) == (Status.ABSTAINED, "no media")
    assert (second.status, second.reason) == (Status.FAILED, "media is gone: HTTP 404")


def test_the_version_follows_the_content_and_not_its_order(film, clips, tmp_path):
    works = [work_of(film), work_of(clips["two"], "w2")]
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    one = detector_of(tmp_path / "a", *works).version
    assert detector_of(tmp_path / "b", *works[::-1]).version == one
    assert detector_of(tmp_path / "c", works[0]).version != one


def test_a_work_added_to_a_folder_is_found_without_a_restart(film, edited, tmp_path, monkeypatch):
    Catalogue(tmp_path / "catalogue").close()
    settings = Settings(catalogue=str(tmp_path / "catalogue"))
    detector = CopyrightDetector.from_settings(settings)
    features = of(edited)
    assert detector.score([features])[0].score == 0.0
    before = detector.version
    writer = Catalogue(tmp_path / "catalogue")
    writer.add(*work_of(film))
    monkeypatch.setattr("quorum.models.copyright.detector._REFRESH_SECONDS", 0.0)
    assert detector.score([features])[0].score > 0.95
    assert detector.version != before
    writer.remove("w1")
    assert detector.score([features])[0].score == 0.0
    assert detector.version == before


def test_an_owners_territories_become_a_policys(film, edited, tmp_path):
    detector = detector_of(tmp_path, work_of(film, territories=("AT", "DE")))
    (tmp_path / "policy.yaml").write_text(
        """
        name: by-territory
        deadline: 5 s
        detectors:
          copyright: {required: true, missing: review, failed: review, abstained: ignore}
        rules:
          - name: blocked-in-germany
            when: label("copyright/restrict/DE") >= 0.9
            action: remove
            territories: [DE]
            category: intellectual-property
            reason: A registered work.
        """
    )
    policy = load_policy(tmp_path / "policy.yaml")
    for shown, action, told in (
        ((), Action.RESTRICT, {"DE": "remove"}),
        (("DE", "FR"), Action.RESTRICT, {"DE": "remove"}),
        (("FR",), Action.ALLOW, None),
    ):
        asked = of(edited, territories=shown)
        said = Ensemble.of([detector]).detectors["copyright"].score([asked])
        verdict = (
            Decider(policy).first(asked.upload, said, arrived=said[0].at, at=said[0].at).verdict
        )
        assert verdict.action is action
        assert (verdict.model_extra or {}).get("territories") == told


def test_works_come_back_from_their_file(film, tmp_path):
    work, found = work_of(film, territories=("DE",), exceptions=("friend",))
    write_works(tmp_path / "works.json", [(work, found)])
    ((again, print_again),) = read_works(tmp_path / "works.json")
    assert again == work
    assert print_again.digests == found.digests
    np.testing.assert_array_equal(print_again.views, found.views)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not a catalogue"),
        ('{"format": 9, "works": []}', "not a catalogue of format 2"),
        ('{"format": 2, "works": [{"id": "w"}]}', r"works\.0\.fingerprint"),
        ('{"format": 2, "works": [{"id": "w", "fingerprint": "AAAA"}]}', "truncated"),
    ],
)
def test_a_file_that_is_no_catalogue_is_told(tmp_path, content, told):
    file = tmp_path / "catalogue.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=told):
        CopyrightDetector(catalogue=file)


def test_a_missing_catalogue_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot read the catalogue"):
        CopyrightDetector(catalogue=tmp_path / "none.json")


def test_a_work_twice_is_told(film, tmp_path):
    with pytest.raises(ConfigurationError, match="already a work w1;"):
        detector_of(tmp_path, work_of(film), work_of(film))


def test_a_work_registered_later_finds_earlier_uploads(film, edited, clips, tmp_path):
    Catalogue(tmp_path).keep_uploads(30)
    detector = CopyrightDetector(tmp_path)
    batch = [of(edited), Features(upload(), fingerprint=fingerprint(clips["two"]))]
    batch[1] = Features(
        batch[1].upload.model_copy(update={"id": "u2"}), fingerprint=batch[1].fingerprint
    )
    assert [finding.score for finding in detector.score(batch)] == [0.0, 0.0]
    assert list(detector.rescan()) == []
    before = detector.version
    Catalogue(tmp_path).add(*work_of(film))
    again = CopyrightDetector(tmp_path)
    # A prediction that could not be published is yielded again.
    assert next(again.rescan()).upload_id == "u1"
    (new,) = again.rescan()
    again.mark_published([new])
    assert (new.upload_id, new.version) == ("u1", again.version)
    assert new.version != before
    assert new.score > 0.95
    assert new.evidence[0].work == "w1"
    assert list(again.rescan()) == []


def test_uploads_are_kept_only_so_long(edited, tmp_path):
    kept = KeptUploads(Database.file(tmp_path / "uploads.sqlite", lasting=False), days=2)
    found = fingerprint(edited)
    at = datetime(2026, 1, 10, tzinfo=UTC)
    kept.keep(upload(), found, {}, at)
    kept.note("u1", {"copyright/match": 0.9})
    ((again, print_again, labels),) = kept
    assert (again, labels) == (upload(), {"copyright/match": 0.9})
    assert print_again.digests() == found.digests()
    np.testing.assert_array_equal(print_again.video.mirrored, found.video.mirrored)
    assert kept.forget(at + timedelta(days=1)) == 0
    assert kept.forget(at + timedelta(days=3)) == 1
    assert list(kept) == []


def test_an_edit_stays_kept_when_its_first_content_comes_again(edited, tmp_path):
    kept = KeptUploads(Database.file(tmp_path / "uploads.sqlite", lasting=False), days=2)
    found = fingerprint(edited)
    at = datetime(2026, 1, 10, tzinfo=UTC)
    first = upload()
    later = first.published_at + timedelta(minutes=1)
    edit = first.model_copy(update={"title": "edited", "published_at": later})
    for one in (first, edit, first):
        kept.keep(one, found, {}, at)
    assert [one.upload for one in kept] == [edit]


def _folder(path):
    Catalogue(path).close()
    return path


def test_without_a_place_no_uploads_are_kept(tmp_path):
    with pytest.raises(ConfigurationError, match="keeps no uploads"):
        next(CopyrightDetector().rescan())
    with pytest.raises(ConfigurationError, match="keeps no uploads"):
        next(CopyrightDetector(_folder(tmp_path)).rescan())
