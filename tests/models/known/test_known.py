"""Which uploads match a listed hash: the same file, a like picture, and what was denied."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.child_safety_settings import HashList, HashSettings
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Status, Upload, now
from quorum.core.settings import (
    DetectorSettings,
    MediaAccess,
    Settings,
    check_hashes,
    load_settings,
)
from quorum.models.detectors import Features
from quorum.models.features.extract import Extractor
from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.fingerprint import Fingerprint, fingerprint
from quorum.models.installed import load_detector, release, selected
from quorum.models.known import bank as bank_module
from quorum.models.known import detector as detector_module
from quorum.models.known import records
from quorum.models.known.bank import HashBank
from quorum.models.known.detector import KnownHashDetector
from quorum.models.known.hashes import Listed, read_list
from quorum.store.ledger import Ledger
from tests.aggregator.aggregator_cases import said
from tests.models.copyright.test_copies import still

EXAMPLES = Path(__file__).parents[3] / "examples" / "media"


def upload(media: str | None = "file:///clip.mp4") -> Upload:
    return Upload(id="u", uploader="by", title="t", media=media, published_at=now())


def picture_hash(found: Fingerprint) -> str:
    assert found.video is not None
    return pdq.to_hex(found.video.published[0])


def flipped(value: str, bits: int) -> str:
    data = bytearray(bytes.fromhex(value))
    for bit in range(bits):
        data[bit % 32] ^= 1 << (bit // 32)
    return data.hex()


def test_a_file_is_found_by_each_digest_and_a_picture_within_the_distance() -> None:
    found = replace(still("one"), digest="ab" * 32, sha1="cd" * 20, md5="ef" * 16)
    for kind, value in (("sha256", "ab" * 32), ("sha1", "cd" * 20), ("md5", "ef" * 16)):
        (match,) = HashBank([Listed(kind, value)]).matches(found)
        assert (match.how, match.distance, match.second) == ("exact", 0, None)
    same = picture_hash(found)
    for bits, distance, is_found in ((0, 0, True), (31, 31, True), (32, 31, False), (1, 0, False)):
        listed = [Listed("pdq", flipped(same, bits))]
        near = HashBank(listed, distance=distance).matches(found)
        assert [one.distance for one in near] == ([bits] if is_found else []), bits
    blurred = replace(found, video=replace(found.video, quality=np.array([49], np.uint8)))
    assert HashBank([Listed("pdq", same)]).matches(blurred) == []
    assert HashBank([Listed("pdq", same)], quality=49).matches(blurred)


def test_a_large_list_finds_what_a_small_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    others = [
        Listed("pdq", row.tobytes().hex()) for row in random.integers(0, 256, (300, 32), np.uint8)
    ]
    found = still("three")
    listed = [*others, Listed("pdq", flipped(picture_hash(found), 30))]
    flat = HashBank(listed).matches(found)
    monkeypatch.setattr(bank_module, "_FLAT", 100)
    assert HashBank(listed).matches(found) == flat and [one.distance for one in flat] == [30]


def test_a_denied_hash_or_file_never_matches_and_a_flooded_one_is_told() -> None:
    found = replace(still("one"), digest="ab" * 32, md5="ef" * 16)
    listed = [Listed("md5", "ef" * 16, source="a"), Listed("pdq", picture_hash(found), source="b")]
    assert len(HashBank(listed).matches(found)) == 2
    denied = HashBank(listed, {("md5", "ef" * 16): "denied"})
    assert denied.matches(found) == []  # its file, too: whoever denied it saw this file
    other = replace(found, md5="00" * 16, digest="00" * 32)
    assert len(denied.matches(other)) == 1
    assert HashBank(listed, {("pdq", picture_hash(found)): "denied"}).matches(other) == []
    flooded = HashBank(listed, {("pdq", picture_hash(found)): "flooded"}).matches(found)
    assert [one.flooded for one in flooded] == [False, True]


def test_a_finding_says_what_matches_and_for_whom(tmp_path: Path) -> None:
    found = replace(still("one"), digest="ab" * 32, sha1="cd" * 20, md5="ef" * 16)
    lines = [f"md5:{'ef' * 16}", "", "# more", f"SHA256: {'00' * 32}"]
    (tmp_path / "police.txt").write_text("\n".join(lines))
    table = f"kind,value,category,reference\npdq,{picture_hash(found)},intimate,case 7\n"
    (tmp_path / "ncii.csv").write_text(table)
    lists = tuple(HashList(file=str(tmp_path / name)) for name in ("police.txt", "ncii.csv"))
    detector = KnownHashDetector(HashSettings(lists=lists))
    hit, none, text, broken = detector.score(
        [
            Features(upload(), fingerprint=found),
            Features(upload(), fingerprint=replace(still("nine"), digest="11" * 32)),
            Features(upload(None)),
            Features(upload()),
        ]
    )
    assert hit.labels == {
        "hashes/csam": 1.0,
        "hashes/csam/exact": 1.0,
        "hashes/intimate": 0.9,
        "hashes/intimate/similar": 0.9,
    }
    matched = [one for one in hit.evidence if one.kind == "match"]
    assert [one.work for one in matched] == [f"md5:{'ef' * 16}", f"pdq:{picture_hash(found)}"]
    assert matched[1].what == "a picture that differs in 0 bits, listed by ncii case 7 as intimate"
    assert (none.status, none.score) == (Status.SCORED, 0.0)
    assert (text.status, broken.status) == (Status.ABSTAINED, Status.FAILED)


def test_media_that_cannot_be_decoded_is_found_by_the_digests_of_its_bytes(tmp_path: Path) -> None:
    detector = KnownHashDetector(
        HashSettings(lists=(HashList(file=str(_digest_list(tmp_path, b"no film"))),))
    )
    for name, data in (("listed", b"no film"), ("other", b"nor this"), ("empty", b"")):
        (tmp_path / f"{name}.mp4").write_bytes(data)
    uploads = [upload((tmp_path / f"{one}.mp4").as_uri()) for one in ("listed", "other", "empty")]
    access = MediaAccess(folders=(str(tmp_path),))
    listed, other, empty = detector.score(Extractor(detector.needs, access).extract(uploads))
    assert (listed.score, listed.labels["hashes/csam/exact"]) == (1.0, 1.0)
    assert hashlib.md5(b"no film").hexdigest() in listed.evidence[0].what
    assert [one.status for one in (other, empty)] == [Status.FAILED] * 2
    assert "the media is not readable media" in str(other.reason)


def _digest_list(folder: Path, *files: bytes) -> Path:
    lines = [f"sha1:{hashlib.sha1(one).hexdigest()}" for one in files]
    (folder / "digests.txt").write_text("\n".join(lines))
    return folder / "digests.txt"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("md5:12", "list.txt:1: a md5 has 32 hexadecimal digits"),
        ("# x\nphotodna:12", "list.txt:2: 'photodna' is no kind"),
        ("0cc175b9c0f1b6a831c399e269772661", "write kind:value"),
        ("kind,value,extra\nmd5,12,x", "unknown column extra"),
        (f"kind,value,category\nmd5,{'a' * 32},war", "list.txt:2: 'war' is no category"),
    ],
    ids=["short", "kind", "bare", "column", "category"],
)
def test_a_line_that_is_no_hash_stops_the_start(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        list(read_list(tmp_path / "list.txt"))


def test_a_real_file_has_the_digests_that_exchanges_list(tmp_path: Path) -> None:
    film = EXAMPLES / "lights.mp4"
    found = fingerprint(film, max_seconds=1)
    data = film.read_bytes()
    assert found.digest == hashlib.sha256(data).hexdigest()
    assert found.md5 == hashlib.md5(data).hexdigest()
    assert found.sha1 == hashlib.sha1(data).hexdigest()
    again = Fingerprint.from_bytes(found.to_bytes())
    assert (again.md5, again.sha1) == (found.md5, found.sha1)


def test_it_runs_where_the_settings_name_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"md5:{'a' * 32}\n")
    plain = Settings()
    assert "hashes" not in selected(plain)
    with pytest.raises(ConfigurationError, match="needs `hashes` in the settings"):
        selected(Settings(detectors={"hashes": DetectorSettings()}))
    given = {"lists": [{"file": str(tmp_path / "list.txt")}]}
    (tmp_path / "quorum.yaml").write_text(yaml.safe_dump({"hashes": given}))
    settings = load_settings(tmp_path / "quorum.yaml")
    assert "hashes" in selected(settings)
    assert "hashes" in selected(settings.model_copy(update={"detectors": {}}))
    loaded = load_detector("hashes", settings)
    assert isinstance(loaded, KnownHashDetector)
    release(loaded)
    with pytest.raises(ConfigurationError, match=r"no rule of the policy balanced reads them"):
        check_hashes(settings, "balanced", {"spam", "nsfw"})
    check_hashes(settings, "mine", {"hashes"})
    check_hashes(plain, "balanced", set())


def documented_policy() -> Policy:
    """The shipped policy with the rules of docs/child-safety.md."""
    page = (Path(__file__).parents[3] / "docs" / "child-safety.md").read_text(encoding="utf-8")
    block = page.split("```yaml\ndetectors:")[1].split("```")[0]
    added = yaml.safe_load(f"detectors:{block}")
    whole = yaml.safe_load(load_policy("balanced").text)
    whole["detectors"] |= added["detectors"]
    whole["caps"] |= added["caps"]
    whole["rules"] = [*added["rules"], *whole["rules"]]
    return Policy.from_text(yaml.safe_dump(whole, sort_keys=False))


@pytest.mark.parametrize(
    ("label", "score", "action", "rule"),
    [
        ("exact", 1.0, "remove", "known-child-abuse"),
        ("similar", 0.9, "review", "likely-child-abuse"),
        ("flooded", 1.0, "review", "likely-child-abuse"),
    ],
    ids=["exact", "similar", "flooded"],
)
def test_the_documented_rules_remove_what_is_listed_and_ask_about_what_is_alike(
    label: str, score: float, action: str, rule: str
) -> None:
    policy = documented_policy()
    labels = {"hashes/csam": score, f"hashes/csam/{label}": score}
    made = [said(name, 0.0) for name in ("spam", "violence", "copyright", "nsfw")]
    made.append(said("hashes", score).model_copy(update={"labels": labels}))
    one = upload().model_copy(update={"id": made[0].upload_id})
    verdict = Decider(policy).first(one, made, arrived=now(), at=now()).verdict
    assert (verdict.action.value, verdict.rule) == (action, rule)


def test_what_is_imported_and_denied_reaches_a_running_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    monkeypatch.setattr(detector_module, "_REFRESH_SECONDS", 0.0)
    found = Features(upload(), fingerprint=replace(still("one"), md5="ef" * 16))
    listed = [Listed("md5", "ef" * 16, "csam", "police")]
    with Ledger(url, create=True) as ledger:
        detector = KnownHashDetector(HashSettings(database=url))
        before = detector.version
        assert detector.score([found])[0].score == 0
        ledger.transact(lambda c: records.add_entries(c, listed, now()), writes=True)
        assert detector.score([found])[0].score == 1
        assert detector.version != before
        ledger.transact(
            lambda c: records.set_standing(
                c, "md5", "ef" * 16, "denied", by="sam", at=now(), why="blank"
            ),
            writes=True,
        )
        assert detector.score([found])[0].score == 0
        ledger.transact(lambda c: records.remove_standing(c, "md5", "ef" * 16), writes=True)
        ledger.transact(lambda c: records.withdraw(c, "police"), writes=True)
        assert detector.score([found])[0].score == 0
        detector.close()
