from __future__ import annotations

import av
import numpy as np
import pytest

from quorum.core.errors import InputError
from quorum.models.copyright.catalogue.exchange import load_catalogue
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.fingerprint.fingerprint import Fingerprint, fingerprint
from tests.models.copyright.clips import remux, write_video


def test_another_container_keeps_the_streams_digest(clips, tmp_path):
    original = fingerprint(clips["one"])
    wrapped = fingerprint(remux(clips["one"], tmp_path / "wrapped.mkv"))
    assert wrapped.digest != original.digest
    assert wrapped.streams == original.streams != ()
    assert wrapped.duration == pytest.approx(original.duration, abs=0.2)


def test_different_clips_share_nothing(clips):
    prints = [fingerprint(path) for path in clips.values()]
    assert len(frozenset().union(*(each.digests() for each in prints))) == 2 * len(prints)


def test_a_still_picture_is_told_by_the_file_only(tmp_path):
    black = [np.zeros((96, 128, 3), np.uint8)] * 60
    found = fingerprint(write_video(tmp_path / "black.mp4", black))
    assert found.streams == ()
    assert found.digest


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"not a film" * 100, "is not readable media")],
)
def test_what_is_no_media_is_told(tmp_path, content, told):
    path = tmp_path / "upload.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        fingerprint(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"cannot read gone\.mp4"):
        fingerprint(tmp_path / "gone.mp4")


def test_a_file_cut_short_still_has_its_own_digest(clips, tmp_path):
    cut = tmp_path / "cut.mkv"
    whole = remux(clips["one"], tmp_path / "whole.mkv").read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    found = fingerprint(cut)
    assert found.digest
    assert not set(found.streams) & set(fingerprint(clips["one"]).streams)


def _container(path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for _ in range(frames):
            grey = np.full((96, 128, 3), 128, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.start_encoding()
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("frames", "ending"), [(0, "mkv"), (1, "mkv"), (0, "mp4"), (1, "mp4")])
def test_media_of_no_length_match_nothing(tmp_path, frames, ending):
    path = _container(tmp_path / f"short.{ending}", frames)
    try:
        found = fingerprint(path)
    except InputError as error:
        assert path.name in str(error)
        return
    assert found.duration <= 0.2
    assert found.streams == ()
    assert len(found.video) == frames
    assert find_matches(found, load_catalogue()) == []
    again = Fingerprint.from_bytes(found.to_bytes())
    assert len(again.video) == frames
