"""What a case's page shows of its media beside the player: the storyboard, and lines that jump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from quorum.apps.console.desk.viewing import Line, Scene, Viewings
from quorum.apps.console.pages.base import CurrentSession, PageError, UploadId, console_of
from quorum.apps.console.pages.media import media_link
from quorum.apps.console.pages.rendering import render
from quorum.apps.console.pages.timeline import Timeline, timeline
from quorum.core.messages import Upload

__all__ = ["router"]

router = APIRouter()


@dataclass(frozen=True, slots=True)
class BoardScene:
    """A scene of the storyboard with its number, and the detectors that have evidence in it."""

    number: int
    at: float
    detectors: tuple[str, ...]


@router.get("/case/viewing")
def viewing(request: Request, session: CurrentSession, upload: UploadId) -> Response:
    """Render the scenes and lines of a case's media; the page asks again while it is read."""
    console = console_of(request)
    case = console.ledger.get_case(upload)
    if case is None:
        raise PageError(404, "The ledger has no upload with this id.")
    found, reads = None, False
    if case.upload is not None and _shown(request, case.upload):
        reads = True
        found = _viewings(request).of(case.upload)
    spans = timeline(case.upload, case.current_predictions)
    scenes = () if found is None else found.scenes
    lines = [*(() if found is None else found.lines), *_evidence(spans)]
    return render(
        request,
        "_viewing.html",
        upload_id=upload,
        content="" if case.upload is None else case.upload.digest[:16],
        pending=reads and found is None,
        scenes=_board(scenes, spans),
        lines=sorted(lines, key=lambda one: (one.start, one.end)),
        notes=() if found is None else found.notes,
    )


@router.get("/case/scene")
def scene(
    request: Request,
    session: CurrentSession,
    upload: UploadId,
    number: Annotated[int, Query(ge=0, le=1000)],
) -> Response:
    """Serve the picture of one scene as JPEG."""
    found = console_of(request).ledger.get_cases([upload], ["upload"])[0].upload
    picture = None
    if found is not None and _shown(request, found):
        picture = _viewings(request).scene(found, number)
    if picture is None:
        raise PageError(404, "There is no such scene, or it is not kept any more.")
    headers = {"cache-control": "private, max-age=600"}
    return Response(picture, media_type="image/jpeg", headers=headers)


def _viewings(request: Request) -> Viewings:
    found: Viewings = request.app.state.viewings
    return found


def _shown(request: Request, upload: Upload) -> bool:
    """Whether the media may be shown to people here, and is read for them."""
    console = console_of(request)
    return console.settings.read_media and media_link(console, upload)[0] is not None


def _evidence(spans: Timeline | None) -> list[Line]:
    return [
        Line("evidence", f"{lane.detector}: {one.what}", one.start, one.end)
        for lane in (() if spans is None else spans.rows)
        for one in lane.spans
    ]


def _board(scenes: Sequence[Scene], spans: Timeline | None) -> list[BoardScene]:
    made = []
    for number, one in enumerate(scenes):
        end = scenes[number + 1].at if number + 1 < len(scenes) else float("inf")
        detectors = tuple(
            lane.detector
            for lane in (() if spans is None else spans.rows)
            if any(span.start < end and span.end >= one.at for span in lane.spans)
        )
        made.append(BoardScene(number, one.at, detectors))
    return made
