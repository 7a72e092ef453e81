"""Media of cases: links and frames, from allowed hosts and folders only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote, urlsplit

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

from quorum.apps.console.pages.base import Console, CurrentSession, PageError, UploadId, console_of
from quorum.core.errors import InputError
from quorum.core.messages import Upload
from quorum.models.features.decoders import pictures_apart
from quorum.models.media.jpeg import jpeg
from quorum.models.media.limits import Limits
from quorum.store.ledger.sealing import is_sealed

__all__ = ["media_link", "router"]

router = APIRouter()

#: Containers that browsers play; no file is ever served with a type that could run scripts.
_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".ogv": "video/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
}
_FRAME_HEIGHT = 240


def media_link(console: Console, upload: Upload | None) -> tuple[str | None, str]:
    """Return the media's URL and an empty text, or None and the reason."""
    if upload is None or not upload.media:
        return None, "The upload has no media."
    if console.ledger.transact(lambda c: is_sealed(c, upload.id)):
        return None, "The upload is sealed: nobody is shown its media."
    try:
        parts = urlsplit(upload.media)
        if parts.scheme == "https":
            allowed = any(
                parts.hostname == host.removeprefix("*.")
                or (host.startswith("*.") and (parts.hostname or "").endswith(host[1:]))
                for host in console.settings.media.hosts
            )
            if allowed and not parts.username and parts.port in (None, 443):
                return upload.media, ""
            return None, "The settings do not allow the media's host."
        if parts.scheme == "file":
            if _file(console, upload) is None:
                return None, "The media no longer exists, or is outside the allowed folders."
            return f"/case/media?upload={quote(upload.id, safe='')}", ""
    except ValueError:
        pass
    return None, "Media at this kind of address cannot be shown."


def _upload(console: Console, upload_id: str) -> Upload | None:
    if console.ledger.transact(lambda c: is_sealed(c, upload_id)):
        return None
    return console.ledger.get_cases([upload_id], ["upload"])[0].upload


def _file(console: Console, upload: Upload) -> Path | None:
    path = Path(unquote(urlsplit(upload.media or "").path))
    try:
        found = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    folders = [Path(folder).resolve() for folder in console.settings.media.folders]
    inside = any(found.is_relative_to(folder) for folder in folders)
    return found if inside and found.is_file() and found.suffix.lower() in _TYPES else None


@router.get("/case/media")
def media(request: Request, session: CurrentSession, upload: UploadId) -> Response:
    """Serve the media file of a case, with range requests."""
    console = console_of(request)
    found = _upload(console, upload)
    path = None if found is None else _file(console, found)
    if path is None:
        raise PageError(404, "The media no longer exists, or is outside the allowed folders.")
    kind = _TYPES[path.suffix.lower()]
    return FileResponse(path, media_type=kind, headers={"cache-control": "private, max-age=600"})


@router.get("/case/frame")
def frame(
    request: Request,
    session: CurrentSession,
    upload: UploadId = "",
    work: UploadId = "",
    at: Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False)] = 0.0,
) -> Response:
    """Serve one frame of an upload or of a registered work as JPEG."""
    console = console_of(request)
    path = None
    if upload:
        found = _upload(console, upload)
        path = None if found is None else _file(console, found)
    elif console.settings.works is not None and work:
        path = _work(console.settings.works, work)
    picture = None if path is None else _frame(path, at, Limits.of(console.settings.media))
    if picture is None:
        raise PageError(404, "There is no such frame.")
    return Response(
        picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"}
    )


def _work(folder: Path, work: str) -> Path | None:
    """Return the file that ``works.json`` lists for a work, else the file named like the work."""
    files = {path.stem: path for path in folder.iterdir() if path.suffix.lower() in _TYPES}
    listed = folder / "works.json"
    if listed.is_file():
        for one in json.loads(listed.read_text(encoding="utf-8")).get("works", ()):
            if one.get("id") == work:
                return files.get(Path(str(one.get("file", ""))).stem)
    return files.get(work)


def _frame(path: Path, at: float, limits: Limits) -> bytes | None:
    try:
        ((pixels, _),) = pictures_apart(path, [at], limits, seek=True)
    except InputError:
        return None
    return jpeg(pixels, _FRAME_HEIGHT * 2, _FRAME_HEIGHT)
