"""A media file sent with its upload (multipart), stored until it has been scored."""

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

#: Formats are detected by content; a file name's suffix only helps the decoder, if it is one of
#: these.
_SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".mp3", ".wav", ".ogg", ".flac"})


class MediaUpload:
    """An upload and the media file that was sent with it.

    Attributes:
        upload: The upload as it was sent; with a file, its field ``media_sha256`` names the bytes,
            so that another file is another content.
        scored: The upload with the URI of the stored file as its media.
        digest: Digest of both: a repeated request has the same one.
    """

    def __init__(self, upload: Upload, path: Path | None, digest: bytes) -> None:
        self.upload = upload
        self.digest = digest
        self._path = path
        self.scored = upload
        if path is not None:
            self.scored = upload.model_copy(update={"media": path.as_uri()})

    def cleanup(self) -> None:
        """Delete the file."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()


async def read_multipart(request: Request, folder: Path, limit: int) -> MediaUpload:
    """Read the parts ``upload`` (JSON) and ``media`` (a file).

    Raises:
        Problem: If a part is missing, too large, or repeated.
        MalformedMessage: If the upload is invalid.
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
        upload = Upload.accept(data)
        if media is None:
            return MediaUpload(upload, None, hashlib.sha256(data).digest())
        if not isinstance(media, UploadFile):
            raise Problem(422, "the part media must be a file, with a filename")
        suffix = Path(media.filename or "").suffix.lower()
        path = folder / (secrets.token_hex(16) + (suffix if suffix in _SUFFIXES else ""))
        sha = await asyncio.to_thread(_store, media, path)
        upload = upload.model_copy(update={"media_sha256": sha.hexdigest()})
        return MediaUpload(upload, path, hashlib.sha256(data + sha.digest()).digest())
    finally:
        await form.close()


def refuse_inside(upload: Upload, folder: Path | None) -> None:
    """Refuse an upload whose media points into the folder of files from other requests.

    Raises:
        Problem: If it does.
    """
    if folder is not None and upload.media and folder.name in upload.media:
        raise Problem(422, "media: this place is not open to requests")


def _store(media: UploadFile, path: Path) -> hashlib._Hash:
    sha = hashlib.sha256()
    with path.open("xb") as out:
        while chunk := media.file.read(_CHUNK):
            sha.update(chunk)
            out.write(chunk)
    return sha
