"""Decoders are forked from a slim process, which starts again if it ended."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from quorum.core.errors import InputError, MediaRefused
from quorum.models.features import decoders
from quorum.models.features.reading import Wanted
from quorum.models.fingerprint.fingerprint import WORK_RATE, fingerprint
from quorum.models.media.apart import Bounds
from quorum.models.media.door import picture_at
from quorum.models.media.limits import Limits
from quorum.models.media.template import Template, TemplateLost
from tests.models.features.media_files import video

MIB = 2**20

pytestmark = pytest.mark.skipif(not Template.possible(), reason="needs Linux and its pidfd_open")


@pytest.fixture(scope="module")
def template():
    made = Template("tests.models.media.office")
    yield made
    made.close()


def told(template, folder, bounds=None, **task):
    with template.apart(task, bounds or Bounds(folder, 256 * MIB)) as source:
        return source.read().decode()


def gone(pid):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_it_does_what_it_is_asked(template, tmp_path):
    before = template.spent
    assert told(template, tmp_path, do="say", what="hello") == "hello"
    assert template.spent > before, "what it costs is told"
    assert int(told(template, tmp_path, do="parent")) != os.getpid()


def test_it_is_as_nice_as_who_asks(template, tmp_path):
    own = os.nice(0)
    assert int(told(template, tmp_path, do="nice")) == own
    asking = Bounds(tmp_path, 256 * MIB, nice=min(19, own + 1))
    assert int(told(template, tmp_path, asking, do="nice")) == min(19, own + 5)


def test_a_process_that_dies_takes_no_other_along(template, tmp_path):
    parent = told(template, tmp_path, do="parent")
    for task, why in (("crash", "crashed"), ("end", "exit code 3")):
        with pytest.raises(MediaRefused, match=why):
            told(template, tmp_path, do=task)
    slow = Bounds(tmp_path, 256 * MIB, 1)
    with pytest.raises(MediaRefused, match="used up its time"):
        told(template, tmp_path, slow, do="sleep", mark=str(tmp_path / "mark"))
    busy = Bounds(tmp_path, 256 * MIB, 0, {resource.RLIMIT_CPU: 1})
    with pytest.raises(MediaRefused, match="used up its processor time"):
        told(template, tmp_path, busy, do="spin")
    assert told(template, tmp_path, do="parent") == parent


def test_files_are_read_side_by_side(template, tmp_path):
    found = []

    def ask(number):
        found.append(told(template, tmp_path, do="say", what=str(number)))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == [str(number) for number in range(8)]


def test_who_stops_waiting_ends_the_process(template, tmp_path):
    mark = tmp_path / "mark"
    with (
        pytest.raises(KeyboardInterrupt),
        template.apart({"do": "sleep", "mark": str(mark)}, Bounds(tmp_path, 256 * MIB)),
    ):
        until = time.monotonic() + 20
        while not (mark.exists() and mark.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        raise KeyboardInterrupt
    assert gone(int(mark.read_text()))


def test_one_that_ended_is_started_again(tmp_path, monkeypatch, caplog):
    made = Template("tests.models.media.office")
    first = int(told(made, tmp_path, do="parent"))
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    with pytest.raises(TemplateLost):
        told(made, tmp_path, do="parent")
    assert int(told(made, tmp_path, do="parent")) != first
    monkeypatch.setattr(decoders, "template", made)
    os.kill(int(told(made, tmp_path, do="parent")), signal.SIGKILL)
    task = {"do": "say", "what": "again"}
    assert decoders._asked(task, Bounds(tmp_path, MIB * 256), lambda file: file.read()) == b"again"
    made.close()


def test_without_one_this_process_forks(tmp_path, monkeypatch, caplog):
    """A file is read though no template can be had."""
    monkeypatch.setattr(decoders, "template", Template("no.such.module"))
    token = decoders._apart.set(decoders._Apart(tmp_path, 1024 * MIB, 0))
    made = decoders.read_media(video(tmp_path / "a.mp4"), Wanted(frames=True))
    decoders._apart.reset(token)
    assert made.decoded is not None, made.refused
    assert "the process that forks decoders ended" in caplog.text


def test_it_ends_with_the_last_process_that_has_it(tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from quorum.models.media.apart import Bounds\n"
        "from quorum.models.media.template import Template\n"
        "made = Template('tests.models.media.office')\n"
        "with made.apart({'do': 'parent'}, Bounds(Path(sys.argv[1]), 2**28)) as source:\n"
        "    print(source.read().decode(), flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
        process.kill()
    assert gone(pid)


def test_works_and_pictures_for_people_are_decoded_apart(tmp_path, monkeypatch):
    path = video(tmp_path / "a.mp4", seconds=2.0, size=(96, 64))
    made = decoders.fingerprint_apart(path, WORK_RATE)
    assert made.to_bytes() == fingerprint(path, rate=WORK_RATE).to_bytes()
    found = decoders.pictures_apart(path, [0.5, 1.5], Limits())
    assert [pixels.shape for pixels, _ in found] == [(64, 96, 3)] * 2
    assert found[0][0].mean() < found[1][0].mean()
    ((pixels, _),) = decoders.pictures_apart(path, [1.5], Limits(), seek=True)
    assert (pixels == picture_at(path, 1.5, Limits()).rgb(96, 64)).all()
    (tmp_path / "b.mp4").write_bytes(b"no film")
    for act in (
        lambda: decoders.fingerprint_apart(tmp_path / "b.mp4", WORK_RATE),
        lambda: decoders.pictures_apart(tmp_path / "b.mp4", [0.0], Limits()),
        lambda: decoders.pictures_apart(tmp_path / "none.mp4", [0.0], Limits(), seek=True),
    ):
        with pytest.raises(InputError, match=r"read|media"):
            act()
    monkeypatch.setattr(decoders, "template", Template("tests.models.media.office"))
    for act in (
        lambda: decoders.fingerprint_apart(path, WORK_RATE),
        lambda: decoders.pictures_apart(path, [0.0], Limits()),
    ):
        with pytest.raises(MediaRefused, match="crashed"):
            act()


FORGED = {
    "nothing": b"",
    "a long head": b"\xff" * 8,
    "no JSON": (4).to_bytes(8, "big") + b"abcd",
    "no picture": (2).to_bytes(8, "big") + b"{}",
    "a huge one": (40).to_bytes(8, "big") + b'{"width":99999,"height":9,"second":0}   ',
    "no time": (40).to_bytes(8, "big") + b'{"width":9,"height":9,"second":NaN}     ',
}


@pytest.mark.parametrize("name", FORGED)
def test_what_a_hostile_decoder_writes_is_checked(name, tmp_path, monkeypatch):
    def forged(_task, _bounds, read):
        return read(io.BytesIO(FORGED[name]))

    monkeypatch.setattr(decoders, "_asked", forged)
    with pytest.raises(InputError):
        decoders.pictures_apart(tmp_path / "a.mp4", [0.0], Limits())
    with pytest.raises(InputError):
        decoders.fingerprint_apart(tmp_path / "a.mp4", WORK_RATE)
