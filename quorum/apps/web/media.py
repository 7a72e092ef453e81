"""A media file that comes with its upload: multipart, kept here until it was looked at."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from pathlib import Path

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from quorum.apps.http.problems import Problem
from quorum.core.messages import Upload

__all__ = ["MediaUpload", "read_multipart", "refuse_inside"]

_CHUNK = 1024 * 1024

#: Formats are told by their content; a name's ending only helps the decoder where it is one of
#: these.
_ENDINGS = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".mp3", ".wav", ".ogg", ".flac"})


class MediaUpload:
    """A media file that was sent, and its upload.

    Attributes:
        upload: The upload as it was sent.
        scored: The upload with its media where it lies here.
        digest: Digest of both: the same request sent again has the same one.
    """

    def __init__(self, upload: Upload, path: Path | None, digest: bytes) -> None:
        self.upload = upload
        self.digest = digest
        self._path = path
        self.scored = upload
        if path is not None:
            self.scored = upload.model_copy(update={"media": path.as_uri()})

    def cleanup(self) -> None:
        """Take the file away."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()


async def read_multipart(request: Request, folder: Path, limit: int) -> MediaUpload:
    """Read the parts ``upload`` (JSON) and ``media`` (a file).

    Raises:
        Problem: If a part lacks, is too large, or is there twice.
        MalformedMessage: If the upload is none.
    """
    try:
        form = await request.form(max_files=1, max_fields=2, max_part_size=limit)
    except HTTPException as error:
        raise Problem(400, f"the multipart body cannot be read: {error.detail}") from None
    try:
        parts = form.multi_items()
        names = sorted(name for name, _ in parts)
        if names not in (["media", "upload"], ["upload"]):
            raise Problem(
                422, "there must be the parts upload (JSON) and media (a file), once each"
            )
        event, media = form["upload"], form.get("media")
        data = await event.read() if isinstance(event, UploadFile) else event.encode()
        upload = Upload.from_bytes(data)
        sha = hashlib.sha256(data)
        if media is None:
            return MediaUpload(upload, None, sha.digest())
        if not isinstance(media, UploadFile):
            raise Problem(422, "the part media must be a file, with a filename")
        ending = Path(media.filename or "").suffix.lower()
        path = folder / (secrets.token_hex(16) + (ending if ending in _ENDINGS else ""))
        await asyncio.to_thread(_keep, media, path, sha)
        return MediaUpload(upload, path, sha.digest())
    finally:
        await form.close()


def refuse_inside(upload: Upload, folder: Path | None) -> None:
    """Refuse an upload that points at a file which someone else has sent.

    Raises:
        Problem: If so.
    """
    if folder is not None and upload.media and folder.name in upload.media:
        raise Problem(422, "media: this place is not open to requests")


def _keep(media: UploadFile, path: Path, sha: hashlib._Hash) -> None:
    with path.open("xb") as out:
        while chunk := media.file.read(_CHUNK):
            sha.update(chunk)
            out.write(chunk)
