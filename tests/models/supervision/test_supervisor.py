"""Whatever a detector does, it costs its own upload a failure and the others nothing."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Prediction, Upload
from quorum.core.settings import MediaAccess, WorkerSettings
from quorum.models.ensemble import Ensemble
from quorum.models.supervision.breaker import BreakerState
from quorum.models.supervision.launcher import InThread, Launcher
from quorum.models.supervision.shared import start_supervisor
from quorum.models.supervision.spec import EnsembleSpec
from quorum.models.supervision.supervisor import Supervisor
from quorum.models.supervision.task import Task
from quorum.models.supervision.zygote import Zygote
from tests.models.supervision import mad

WORKERS = WorkerSettings(memory=512 * 1024 * 1024, processes=2)


def spec(timeout: float = 20.0) -> EnsembleSpec:
    return EnsembleSpec(mad.detectors(timeout), MediaAccess(), workers=WORKERS)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = start_supervisor(spec())
    yield made
    made.close()


def score(
    supervisor: Supervisor, uploads: Sequence[Upload], deadline: float
) -> dict[str, dict[str, Prediction]]:
    """The predictions of each upload that came by the deadline, by detector."""
    found: dict[str, dict[str, Prediction]] = {upload.id: {} for upload in uploads}
    ended = threading.Semaphore(0)
    due = time.monotonic() + deadline

    def deliver(task: Task, new: Sequence[Prediction], last: bool) -> None:
        if time.monotonic() < due:
            found[task.upload.id].update({one.detector: one for one in new})
        if last:
            ended.release()

    supervisor.submit(Task(upload=one, deliver=deliver, due=due) for one in uploads)
    for _ in uploads:
        assert ended.acquire(timeout=deadline + 5)
    return found


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("sleep 60", "timed out"),
        ("lock", "timed out"),
        ("spin", "timed out"),
        ("segfault", "SIGSEGV"),
        ("exit", "exit code 3"),
        ("memory", "MemoryError"),
        ("hoard", "MemoryError"),
        ("files", "Too many open files"),
        ("raise so", "so"),
    ],
)
def test_a_mad_upload_costs_itself_one_detector_and_the_others_nothing(
    supervisor: Supervisor, act: str, reason: str
) -> None:
    uploads = [mad.upload(n, act if n in (7, 30) else "fine") for n in range(60)]
    found = score(supervisor, uploads, 12.0)
    for number, upload in enumerate(uploads):
        made = found[upload.id]
        if number in (7, 30):
            if (one := made.get("mad")) is not None:  # else missing at the deadline
                assert one.status == "failed"
                assert reason in (one.reason or "")
            else:
                assert reason == "timed out"
        else:
            assert made["mad"].score == made["sane"].score == 0.25, upload.title


def test_media_let_texts_go_first_unless_they_are_late_or_nobody_waits() -> None:
    """What ``nice`` scores is the niceness of its process."""
    own = min(os.nice(0), 14)
    if own != os.nice(0):
        pytest.skip("this process is as nice as can be")
    names = mad.detectors(20.0, ("mad", "nice"))
    supervisor = start_supervisor(EnsembleSpec(names, MediaAccess(), workers=WORKERS))
    numbers = iter(range(1000))

    def niceness(media: str | None, deadline: float = 20.0) -> int:
        one = mad.upload(next(numbers), media=media)
        if deadline == math.inf:
            (made,) = supervisor.score([one])
            by_name = {each.detector: each for each in made}
        else:
            by_name = score(supervisor, [one], deadline)[one.id]
        return round((by_name["nice"].score or 0.0) * 40) - 20 - own

    try:
        assert niceness(None) == 0
        assert niceness("file:///nowhere.mp4") == 5
        assert niceness("file:///nowhere.mp4", math.inf) == 0
        late = mad.upload(next(numbers), "sleep 60", "file:///nowhere.mp4")
        score(supervisor, [late], 3.0)
        assert niceness("file:///nowhere.mp4") == 0, "media were too slow a moment ago"
    finally:
        supervisor.close()


def test_workers_that_were_killed_are_gone(supervisor: Supervisor) -> None:
    score(supervisor, [mad.upload(0, "spin")], 2.0)
    supervisor.close()
    left = Path("/proc/self/task").parent.parent
    names = [path for path in left.glob("[0-9]*/cmdline") if b"supervision.child" in _read(path)]
    ours = [path for path in names if f"PPid:\t{os.getpid()}\n" in _status(path)]
    assert not ours


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _status(path: Path) -> str:
    try:
        return path.with_name("status").read_text()
    except OSError:
        return ""


def test_what_waits_behind_many_sleepers_is_in_time(supervisor: Supervisor) -> None:
    uploads = [mad.upload(n, "sleep" if n % 20 == 0 else "fine") for n in range(200)]
    found = score(supervisor, uploads, 15.0)
    for number, upload in enumerate(uploads):
        if number % 20:
            assert found[upload.id]["mad"].score == 0.25
        else:
            made = found[upload.id].get("mad")
            assert made is None or made.status == "failed"


def test_the_breaker_of_a_detector_that_is_mad_for_all_opens(supervisor: Supervisor) -> None:
    found = score(supervisor, [mad.upload(n, "exit") for n in range(30)], 10.0)
    assert all(one["mad"].status == "failed" for one in found.values())
    assert all(one["sane"].score == 0.25 for one in found.values())
    assert supervisor.breakers["mad"].state is BreakerState.OPEN
    assert supervisor.breakers["sane"].state is BreakerState.CLOSED
    assert "mad: circuit breaker open" in (supervisor.problem() or "")
    (one,) = score(supervisor, [mad.upload(99)], 5.0).values()
    assert "circuit breaker open" in (one["mad"].reason or "")
    assert one["sane"].score == 0.25


def test_a_probe_closes_the_breaker(supervisor: Supervisor) -> None:
    score(supervisor, [mad.upload(n, "exit") for n in range(30)], 10.0)
    breaker = supervisor.breakers["mad"]
    breaker._open_until = time.monotonic()
    (one,) = score(supervisor, [mad.upload(99)], 5.0).values()
    assert one["mad"].score == 0.25
    assert breaker.state is BreakerState.CLOSED and supervisor.problem() is None


def test_without_a_deadline_each_upload_has_the_detectors_timeout() -> None:
    supervisor = start_supervisor(spec(timeout=1.0))
    titles = ["fine", "sleep", "fine", "segfault", "fine"]
    made = supervisor.score([mad.upload(n, title) for n, title in enumerate(titles)])
    supervisor.close()
    assert [[one.detector for one in some] for some in made] == [["mad", "sane"]] * 5
    assert [some[0].status for some in made] == ["scored", "failed", "scored", "failed", "scored"]


def test_a_zygote_that_is_killed_is_replaced() -> None:
    zygote = Zygote(spec())
    supervisor = Supervisor(zygote, WORKERS)
    score(supervisor, [mad.upload(0)], 5.0)
    os.kill(zygote.pid, signal.SIGKILL)
    found = score(supervisor, [mad.upload(n) for n in range(1, 20)], 10.0)
    supervisor.close()
    assert all(one["mad"].score == 0.25 for one in found.values())


def test_an_ensemble_that_cannot_be_loaded_is_one_clear_error() -> None:
    broken = mad.broken()
    with pytest.raises(ConfigurationError, match="no such model"):
        start_supervisor(EnsembleSpec((broken,), MediaAccess()))


def test_detectors_of_a_script_are_found_by_its_children(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "0.75", done.stderr


SCRIPT = """
from quorum.core.settings import MediaAccess
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Finding
from quorum.models.supervision.shared import start_supervisor
from quorum.models.supervision.spec import EnsembleSpec
from tests.models.supervision import mad

class Own(mad.Mad):
    def score(self, batch):
        return [Finding.scored(0.75) for _ in batch]

def load():
    return Own("own")

if __name__ == "__main__":
    supervisor = start_supervisor(EnsembleSpec((ConfiguredDetector("own", load),), MediaAccess()))
    print(supervisor.score([mad.upload(0)])[0][0].score)
    supervisor.close()
"""


@pytest.mark.parametrize("act", ["sleep 60", "raise so"])
def test_threads_hold_the_same_promise_where_they_can(act: str) -> None:
    ensemble = Ensemble(mad.detectors(), MediaAccess())
    supervisor = Supervisor(InThread(ensemble, mad.never), WORKERS)
    found = score(supervisor, [mad.upload(n, act if n == 3 else "fine") for n in range(9)], 8.0)
    supervisor.close()
    assert found["u3"]["mad"].status == "failed"
    assert all(found[f"u{n}"]["mad"].score == 0.25 for n in range(9) if n != 3)


@pytest.mark.parametrize("in_child", [True, False])
def test_close_delivers_the_end_of_every_task(in_child: bool) -> None:
    ensemble = Ensemble(mad.detectors(), MediaAccess())
    launcher: Launcher = Zygote(spec()) if in_child else InThread(ensemble, mad.never)
    supervisor = Supervisor(launcher, WORKERS)
    ended = threading.Semaphore(0)

    def deliver(_task: Task, _new: Sequence[Prediction], last: bool) -> None:
        if last:
            ended.release()

    uploads = [mad.upload(n, "sleep") for n in range(12)]
    supervisor.submit(Task(upload=one, deliver=deliver) for one in uploads)
    time.sleep(0.3)
    supervisor.close()
    for _ in uploads:
        assert ended.acquire(timeout=5)
