"""Files that were damaged at random end with a reason, within their limits; see ``fuzz``."""

from __future__ import annotations

import pytest

fuzz = pytest.importorskip("tests.models.media.fuzz", reason="no ffmpeg tool")


@pytest.mark.slow
def test_damaged_files_do_no_harm(tmp_path):
    # As many as have time here; make fuzz reads 10,000.
    report = fuzz.fuzz(seed=1, numbers=range(200), folder=tmp_path)
    assert report.read.total() == 200
    assert not report.faults, report.faults
    assert report.read["in full"] > 20, report
    assert report.read["refused"] > 20, report
    assert report.slowest[0] < fuzz.CPU


def test_what_must_not_be_is_a_fault(tmp_path, monkeypatch):
    def read(path, _wanted):
        match path.read_bytes()[:1]:
            case b"0":
                return fuzz.Reading(fuzz.Decoded(), no_fingerprint="x")
            case b"1":
                return fuzz.Reading(refused="", no_fingerprint="x")
            case b"2":
                fuzz.os._exit(1)
            case b"3":
                while True:
                    pass
        return fuzz.Reading(refused="x", no_fingerprint="x")

    monkeypatch.setattr(fuzz, "read_media", read)
    monkeypatch.setattr(fuzz, "corpus", lambda _: {})
    monkeypatch.setattr(fuzz, "damaged", lambda _f, _s, number: ("a", b"%d" % number))
    monkeypatch.setattr(fuzz, "CPU", 1)
    report = fuzz.fuzz(seed=1, numbers=range(6), folder=tmp_path)
    assert report.read == {
        "without anything": 1, "! no reason": 1, "that killed their process": 2, "refused": 2,
    }  # fmt: skip
    assert [fault.split(" ")[1] for fault in report.faults] == ["1", "3"]
    assert "processor time" in report.faults[1]


def test_a_file_is_made_again_from_its_number():
    files = {"a": bytes(range(256)) * 9, "b": b"xyz" * 400}
    made = [fuzz.damaged(files, 7, number) for number in range(50)]
    assert made == [fuzz.damaged(files, 7, number) for number in range(50)]
    assert sum(data != files[name] for name, data in made) > 45
