"""Models that change while the service runs: first with doubles, then with a real registry."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from quorum.apps.web.service import Service
from quorum.apps.web.watch import Watcher
from quorum.core.errors import EngineUnavailable
from quorum.core.messages import Upload
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.ensemble import Ensemble
from quorum.models.pinning import Pinned
from quorum.models.registry.artifacts import open_artifact
from quorum.models.spam.detector import ARTIFACT
from quorum.models.supervision.supervisor import Supervisor
from quorum.models.supervision.zygote import Zygote
from quorum.pipeline.moderator import ensemble_of
from tests.apps.web.doubles import POLICY, Slow, Words
from tests.apps.web.serving import event, serving
from tests.mlflow_server import MlflowServer
from tests.models.spam_variants import variant

ASKED = Settings(detectors={"words": DetectorSettings(model="mlflow:models:/words@champion")})

GOES_ON = "words goes on with its last good model,"


def at(number: int) -> Settings:
    return Settings(detectors={"words": DetectorSettings(model=f"mlflow:models:/words/{number}")})


class Numbered(Words):
    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Registry:
    """Names a version, or cannot be reached."""

    def __init__(self) -> None:
        self.number = 1
        self.away = False
        self.stale: str | None = None
        self.made: dict[str, Numbered] = {}

    def pin(self, settings: Settings) -> Pinned:
        if self.away:
            raise EngineUnavailable("the registry cannot be reached")
        return Pinned(at(self.number), {"words": self.stale} if self.stale else {})

    def load(self, settings: Settings) -> Ensemble:
        model = str((settings.detectors or {})["words"].model).rpartition("/")[2]
        self.made[model] = Numbered(f"w{model}")
        return Ensemble.of([self.made[model]], settings)


def watched(registry: Registry) -> Watcher:
    return Watcher(ASKED, registry.pin(ASKED), 60.0, pin=registry.pin, load=registry.load)


async def versions_of(service: Service, count: int) -> list[str]:
    uploads = [Upload.model_validate_json(json.dumps(event(n))) for n in range(count)]
    made = await asyncio.gather(*(service.moderate(upload) for upload in uploads))
    return [one.predictions[0].version for one in made]


def test_a_moved_alias_swaps_and_a_lost_registry_keeps_what_serves() -> None:
    registry = Registry()

    async def scenario() -> None:
        service = Service(POLICY, registry.load(at(1)))
        watcher = watched(registry)
        loop = asyncio.get_running_loop()

        async def look() -> bool:
            return await asyncio.to_thread(watcher.poll, service, loop)

        assert not await look()
        assert watcher.followed("words") == "mlflow:models:/words@champion"
        registry.number = 2
        asked = asyncio.create_task(versions_of(service, 40))
        await asyncio.sleep(0)
        assert await look()
        assert set(await asked) == {"w1"}
        assert await versions_of(service, 3) == ["w2"] * 3
        assert registry.made["1"].closed
        registry.away, registry.number = True, 3
        assert not await look()
        assert watcher.stale == {"words": "the registry cannot be reached"}
        assert await versions_of(service, 3) == ["w2"] * 3
        registry.away, registry.stale, registry.number = False, "3 is damaged", 2
        assert not await look()
        assert watcher.stale == {"words": "3 is damaged"}
        registry.stale, registry.number = None, 1
        assert await look()
        assert not watcher.stale
        assert await versions_of(service, 3) == ["w1"] * 3
        await service.close()

    asyncio.run(scenario())


@pytest.mark.long
def test_models_that_were_replaced_leave_the_memory(tmp_path: Path) -> None:
    places = [variant(tmp_path / str(n), 1 - n / 1000).folder for n in (1, 2)]
    asked = Settings(detectors={"spam": DetectorSettings(model="mlflow:models:/spam@champion")})
    zygotes = []

    def served(place: Path) -> Settings:
        return Settings(detectors={"spam": DetectorSettings(model=f"file:{place}")})

    def load(settings: Settings) -> Supervisor:
        zygotes.append(Zygote(ensemble_of(settings, (POLICY,))))
        return Supervisor(zygotes[-1])

    async def scenario() -> None:
        now_at = [served(places[0])]
        service = Service(POLICY, load(now_at[0]))
        watcher = Watcher(
            asked, Pinned(now_at[0]), 60.0, pin=lambda _: Pinned(now_at[0]), load=load
        )
        loop = asyncio.get_running_loop()
        for turn in (1, 2):
            old = zygotes[-1].pid
            now_at[0] = served(places[turn % 2])
            assert await asyncio.to_thread(watcher.poll, service, loop)
            version = open_artifact(places[turn % 2]).version
            assert service.detectors["spam"].version == version
            assert not Path(f"/proc/{old}").exists()
        await service.close()

    asyncio.run(scenario())


def test_what_is_stale_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    caplog.set_level("INFO")

    async def scenario() -> None:
        service = Service(POLICY, registry.load(at(1)))
        watcher = watched(registry)
        loop = asyncio.get_running_loop()
        for registry.away in (True, True, False, False):
            await asyncio.to_thread(watcher.poll, service, loop)
        await service.close()

    asyncio.run(scenario())
    told = [record.message for record in caplog.records if "model" in record.message]
    assert told == [
        f"{GOES_ON} mlflow:models:/words/1: the registry cannot be reached",
        "the models match the registry again",
    ]


def test_stale_models_are_told_and_still_serve() -> None:
    registry = Registry()
    registry.stale = "the registry cannot be reached"
    with serving(Numbered("w1"), Slow(), settings=at(1), watcher=watched(registry)) as client:
        ready = client.get("/ready")
        assert ready.status_code == 200
        assert ready.json()["models"] == "the last good one of words; see /v1/models"
        models = {one["name"]: one for one in client.get("/v1/models").json()["models"]}
        assert models["words"]["follows"] == "mlflow:models:/words@champion"
        assert models["words"]["model"] == "mlflow:models:/words/1"
        assert "cannot be reached" in models["words"]["stale"]
        assert models["slow"]["follows"] is models["slow"]["stale"] is None
        told = client.get("/metrics").text
        assert "quorum_models_stale 1.0" in told
        assert 'quorum_model{detector="words",version="w1"} 1.0' in told


def test_without_a_registry_nothing_is_stale() -> None:
    with serving() as client:
        assert client.get("/ready").json() == {"status": "ready"}
        assert "quorum_models_stale 0.0" in client.get("/metrics").text


SETTINGS = """
detectors:
  spam: {model: "mlflow:models:/served@champion"}
"""
EVENT = {"uploader": "b", "title": "win a free phone now", "published_at": "2026-01-31T12:00:00Z"}


@contextlib.contextmanager
def quorum_serve(folder: Path) -> Iterator[tuple[str, Path]]:
    """``quorum serve`` itself; its address, and its log."""
    (folder / "settings.yaml").write_text(SETTINGS)
    log = folder / "serve.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "quorum", "serve", "--port", "0"),
                *("--settings", str(folder / "settings.yaml"), "--watch-models", "0.3"),
            ],
            env={**os.environ, "PYTHONPATH": "."},
            stderr=file,
            stdout=file,
        )
    try:
        until(lambda: "serving " in log.read_text() or process.poll() is not None)
        lines = [line for line in log.read_text().splitlines() if line.startswith("serving ")]
        assert lines, log.read_text()
        url = lines[0].rpartition(" ")[2]
        until(lambda: _answers(url))
        yield url, log
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


class Clients:
    """Ask all the time; keep each status and each version that scored."""

    def __init__(self, url: str) -> None:
        self.statuses: list[int] = []
        self.versions: list[str] = []
        self._url = url
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(3)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            count = 0
            while not self._ended.is_set():
                count += 1
                made = client.post("/v1/moderate", json={"id": f"u{number}-{count}", **EVENT})
                self.statuses.append(made.status_code)
                self.versions += [one["version"] for one in made.json()["predictions"]]

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_promoted_served_swapped_rolled_back_and_without_its_registry(
    registry: MlflowServer, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow", reason="needs quorum-moderation[mlflow]")
    from quorum.models.registry.mlflow_promotion import promote, register, rollback

    first = register("served", open_artifact(ARTIFACT)).model
    second = register("served", variant(tmp_path / "second", 0.999)).model
    promote("served", first.number)
    with quorum_serve(tmp_path) as (url, log):
        clients = Clients(url)
        try:

            def serves(version: str) -> Callable[[], bool]:
                return lambda: clients.versions[-3:] == [version] * 3

            until(serves(first.digest))
            promote("served", second.number)
            until(serves(second.digest))
            rollback("served")
            until(serves(first.digest))
            (model,) = httpx.get(f"{url}/v1/models").json()["models"]
            assert model["follows"] == "mlflow:models:/served@champion"
            assert (model["model"], model["stale"]) == (first.reference, None)

            registry.stop()
            until(lambda: "models" in httpx.get(f"{url}/ready").json())
            count = len(clients.versions)
            until(lambda: len(clients.versions) > count + 10)
            assert "quorum_models_stale 1.0" in httpx.get(f"{url}/metrics").text
        finally:
            clients.close()
            assert set(clients.statuses) == {200}
            assert set(clients.versions) == {first.digest, second.digest}
        told = log.read_text()
        assert told.count("uses another model now") == 2
        assert told.count("spam goes on with its last good model") == 1
        assert "Traceback" not in told
    try:
        # A start without the registry: from the copy on this machine, and said so.
        with quorum_serve(tmp_path) as (url, log):
            sent = httpx.post(f"{url}/v1/moderate", json={"id": "late", **EVENT}, timeout=60)
            assert [one["version"] for one in sent.json()["predictions"]] == [first.digest]
            assert "spam goes on with its last good model" in log.read_text()
            registry.start()
            promote("served", second.number)
            until(lambda: httpx.get(f"{url}/ready").json() == {"status": "ready"})
            until(
                lambda: (
                    httpx.get(f"{url}/v1/models").json()["models"][0]["version"] == second.digest
                )
            )
    finally:
        if registry.process.poll() is not None:
            registry.start()
