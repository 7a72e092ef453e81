"""Decoding runs in a process that is confined and may die; its parent goes on."""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from quorum.core.errors import ArtifactError, MediaRefused
from quorum.models.detectors import Audio, Frames, Motion
from quorum.models.features import decoders
from quorum.models.features.decode import Decoded
from quorum.models.features.decoders import read_media
from quorum.models.features.motion import STATISTICS
from quorum.models.features.parcel import read_parcel, write_parcel
from quorum.models.features.reading import Wanted, read_here
from quorum.models.media import apart as apart_module
from quorum.models.media import sandbox
from quorum.models.media.apart import Bounds, apart, awaited, grow_memory
from quorum.models.media.lines import MediaLine
from quorum.models.media.sandbox import Protection, protection
from quorum.models.media.template import Template
from tests.models.features.media_files import video

MIB = 2**20

writes = pytest.mark.skipif(not protection().no_writing, reason=str(protection()))
network = pytest.mark.skipif(not protection().no_network, reason=str(protection()))


def told_by(folder, act, memory=512 * MIB):
    """What a hostile decoder gets: the text of what it did, or of its error."""

    def work(out):
        try:
            out.write(f"done {act()}".encode())
        except OSError as error:
            out.write(f"refused: {error.strerror}".encode())

    with apart(work, Bounds.inherited(folder, memory)) as source:
        return source.read().decode()


def connect(kind):
    with socket.socket(socket.AF_INET, kind) as made:
        made.connect(("127.0.0.1", 9))
        return made.send(b"x")


NETWORK = {
    "tcp": lambda: connect(socket.SOCK_STREAM),
    "udp": lambda: connect(socket.SOCK_DGRAM),
    "local": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "pair": socket.socketpair,
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "program": lambda: subprocess.run(["/bin/true"], check=True),
    "fork": os.fork,
    "kill": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "mode": lambda: Path(__file__).chmod(0o644),
    "ring": lambda: call(425, 8, ctypes.byref(ctypes.create_string_buffer(256))),
}


def call(number, *arguments):
    """A call of the system by its number, the same on all processors for new ones."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@network
@pytest.mark.parametrize("name", NETWORK)
def test_a_decoder_reaches_nothing(name, tmp_path):
    assert told_by(tmp_path, NETWORK[name]) == "refused: Permission denied"


@writes
def test_a_decoder_writes_into_its_folder_alone(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    (other / "old").write_text("old")
    (mine / "link").symlink_to(other / "old")
    assert told_by(mine, lambda: (mine / "new").write_text("abc")) == "done 3"
    for act in (
        lambda: (other / "new").write_text("abc"),
        lambda: (other / "old").write_text("abc"),
        lambda: (mine / "link").write_text("abc"),
        lambda: (other / "old").unlink(),
        lambda: os.truncate(other / "old", 0),
        lambda: (other / "old").rename(mine / "old"),
        lambda: os.link(other / "old", mine / "hard"),
        lambda: (other / "folder").mkdir(),
        lambda: Path("/dev/shm/quorum-test").write_text("abc"),
    ):
        assert told_by(mine, act).startswith("refused: "), act
    assert sorted(path.name for path in other.iterdir()) == ["old"]
    assert (other / "old").read_text() == "old"
    assert told_by(mine, lambda: (other / "old").read_text()) == "done old"


def test_a_decoder_has_no_open_file_of_its_parent(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "a").open("w") as file:
        number = theirs.fileno()
        told_by(tmp_path, lambda: [os.write(number, b"forged"), os.write(file.fileno(), b"x")])
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(10)
    assert (tmp_path / "a").read_text() == ""


def hoard():
    held = []
    while True:
        held.append(bytearray(16 * MIB))


DEATHS = {
    "crashed (SIGSEGV)": lambda: ctypes.string_at(0),
    "ended with exit code 3": lambda: os._exit(3),
    "ran out of its memory": hoard,
    "was killed by the system": lambda: call_self(signal.SIGKILL),
}


def call_self(number):
    signal.pthread_kill(threading.get_ident(), number)
    time.sleep(10)


@pytest.mark.parametrize("told", DEATHS)
def test_a_decoder_may_die(told, tmp_path):
    with pytest.raises(MediaRefused, match=told.replace("(", r"\(").replace(")", r"\)")):
        told_by(tmp_path, DEATHS[told], 256 * MIB)


def spin():
    while True:
        pass


def test_a_decoder_has_the_processor_time_that_is_left(tmp_path):
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.models.media.test_apart import spin, told_by\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "left = int(used.ru_utime + used.ru_stime) + 2\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (left, -1))\n"
        "told_by(Path(sys.argv[1]), spin)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "used up its processor time" in told.stderr


def test_a_decoder_ends_with_what_waits_for_it(tmp_path):
    begun = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        apart(lambda _: time.sleep(60), Bounds(tmp_path, MIB * 512)),
    ):
        raise KeyboardInterrupt
    with pytest.raises(MediaRefused, match="did not end"):
        told_by(tmp_path, lambda: (os.close(3), os.closerange(3, 600), time.sleep(60)))
    assert time.monotonic() - begun < 10


def test_a_decoder_that_waits_for_a_processor_has_more_time(monkeypatch):
    """It wrote all; on a machine with too much work its end comes late."""
    monkeypatch.setattr(apart_module, "_LOOK_SECONDS", 0.01)
    looks = iter([None] * 30 + ["told"])
    states = iter("RRDZR" * 20)
    monkeypatch.setattr(apart_module, "_sleeps", lambda _: next(states) in "STt")
    assert awaited(lambda _: next(looks), 1, 0.001) == "told"
    states = iter("RSRSSS")
    assert awaited(lambda _: None, 1, 0.001) is None
    assert next(states, "") == "", "one that sleeps lingers"
    assert awaited(lambda _: None, 1, 0.0) is None


def test_memory_grows_with_the_seconds_that_were_read(tmp_path):
    def limit():
        return resource.getrlimit(resource.RLIMIT_AS)[0]

    def grown():
        at_once = limit()
        grow_memory(64.0)
        later = limit()
        grow_memory(10_000.0)
        return f"{(later - at_once) // MIB} {(limit() - at_once) // MIB}"

    assert told_by(tmp_path, grown, 1024 * MIB) == "done 64 256"
    before = limit()
    grow_memory(1000.0)
    assert limit() == before, "this process works in no such limit"
    assert apart_module._memory is None


def test_what_protects_is_told(monkeypatch):
    assert str(Protection(7, True)) == ("no network and no writing outside its temporary folder")
    assert str(Protection(7, False, ("no seccomp: x",))) == (
        "no TCP and no writing outside its temporary folder; no seccomp: x"
    )
    assert str(Protection(0, False)) == "nothing is held back"
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    monkeypatch.setitem(sys.modules, "py_landlock", None)
    found = sandbox.protection.__wrapped__()
    assert (found.landlock, found.seccomp, len(found.missing)) == (0, False, 2)


def test_without_protection_media_are_read_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "protection", lambda: Protection(0, False))
    assert told_by(tmp_path, lambda: connect(socket.SOCK_DGRAM)) == "done 1"


@pytest.fixture
def confined(tmp_path):
    token = decoders._apart.set(decoders._Apart(tmp_path, 1024 * MIB, 0))
    yield
    decoders._apart.reset(token)


WANTED = Wanted(frames=True, audio=True, pages=4, fingerprint=True, motion=True)


def test_a_film_read_apart_is_the_film_read_here(tmp_path, confined):
    path = video(tmp_path / "a.mp4", seconds=4.0, sound=True)
    apart_made = read_media(path, WANTED)
    made = read_here(path, WANTED)
    assert not apart_made.refused, apart_made.refused
    assert apart_made.fingerprint.to_bytes() == made.fingerprint.to_bytes()
    mine, theirs = apart_made.decoded, made.decoded
    np.testing.assert_array_equal(mine.frames.pixels, theirs.frames.pixels)
    np.testing.assert_array_equal(mine.pages.times, theirs.pages.times)
    np.testing.assert_array_equal(mine.audio.samples, theirs.audio.samples)
    assert mine.no_motion == theirs.no_motion == "nothing moves in the media"
    assert (mine.frames.name, mine.frames.length) == (theirs.frames.name, theirs.frames.length)
    assert mine.problems == theirs.problems


def test_a_decoder_that_dies_is_a_reason(tmp_path, confined, monkeypatch):
    monkeypatch.setattr(decoders, "template", Template("tests.models.media.office"))
    made = read_media(video(tmp_path / "a.mp4"), WANTED)
    assert made.refused == made.no_fingerprint
    assert made.refused == "media cannot be read: its decoder crashed (SIGSEGV)"


def parcel_of(decoded):
    out = io.BytesIO()
    write_parcel(out, decoded, "", None, "")
    return out.getvalue()


def frames(times=(0.0, 1.0)):
    pixels = np.arange(len(times) * 24, dtype=np.uint8).reshape(-1, 2, 4, 3)
    return Frames(pixels, np.array(times), 2.0, unread=("a",))


def motion(start=0.0, value=1.0, others=()):
    statistics = np.full((2, len(STATISTICS)), value, np.float32)
    return Motion(np.array([start, start + 1.0]), statistics, "a", others)


def test_a_parcel_keeps_all(tmp_path):
    sound = Audio(np.ones(5, np.float32), 16000, "a", (Audio(np.zeros(0, np.float32), 8000),))
    moves = motion(others=(motion(1.0),))
    lines = [MediaLine("Hello", 1.0, 2.0)]
    sent = Decoded(frames(), None, sound, lines, "x", "y", ["z"], moves, "w")
    got, refused, found, why = read_parcel(io.BytesIO(parcel_of(sent)))
    np.testing.assert_array_equal(got.frames.pixels, sent.frames.pixels)
    assert [len(one.samples) for one in (got.audio, *got.audio.others)] == [5, 0]
    assert (got.lines, got.no_frames, got.problems, got.no_motion) == (lines, "x", ["z"], "w")
    assert [one.times.tolist() for one in got.motion.sights] == [[0.0, 1.0], [1.0, 2.0]]
    np.testing.assert_array_equal(got.motion.statistics, moves.statistics)
    assert (got.frames.unread, got.pages, refused, found, why) == (("a",), None, "", None, "")


FORGED = {
    "nothing": b"",
    "no head": bytes(8),
    "a long head": b"\xff" * 8,
    "no JSON": (4).to_bytes(8, "big") + b"abcd",
    "cut off": parcel_of(Decoded(frames()))[:-1],
    "out of order": parcel_of(Decoded(frames((2.0, 1.0)))),
    "no time": parcel_of(Decoded(frames((0.0, float("nan"))))),
    "huge": parcel_of(Decoded(frames())).replace(b'"shape":[2,2,4]', b'"shape":[999999,999,999]'),
    "no motion": parcel_of(Decoded(frames(), motion=motion(value=np.nan))),
    "no sound": parcel_of(Decoded(audio=Audio(np.full(3, np.nan, np.float32), 8000))),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_parcel_is_refused(name):
    with pytest.raises(ArtifactError):
        read_parcel(io.BytesIO(FORGED[name]))
