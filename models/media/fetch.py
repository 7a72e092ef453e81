"""Fetch media from allowed sources only, within limits.

The media URL of an upload is untrusted. Each scheme has its own allowlist; the host name is
resolved once, and the connection goes to the checked address (no DNS rebinding); every redirect
passes the same checks; proxies of the environment are ignored; bytes are limited while streaming,
and one deadline holds from the look-up of the name to the last byte.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import httpcore

from quorum.core.errors import MediaRefused
from quorum.core.settings import MediaAccess
from quorum.models.media.network import (
    CheckedNetwork,
    FetchLimits,
    MediaGone,
    is_public,
    within,
)

__all__ = ["MediaGone", "fetched", "is_public"]

_MAX_REDIRECTS = 5
_CHUNK = 1024 * 1024


def _host_allowed(host: str, allowed: Iterable[str]) -> bool:
    return any(
        host == entry.lower() or (entry.startswith("*.") and host.endswith(entry[1:].lower()))
        for entry in allowed
    )


def _checked_https(parts: SplitResult, access: MediaAccess) -> None:
    try:
        port = parts.port
    except ValueError:
        msg = "media refused: its address has no valid port"
        raise MediaRefused(msg) from None
    if parts.username is not None or parts.password is not None:
        msg = "media refused: its address carries a user name or a password"
        raise MediaRefused(msg)
    host = (parts.hostname or "").rstrip(".")
    if port not in (None, 443):
        msg = "media refused: its address names a port other than 443"
        raise MediaRefused(msg)
    if not host or not _host_allowed(host, access.hosts):
        msg = "media refused: its host is not among media.hosts of the settings"
        raise MediaRefused(msg)


def _download(
    uri: str,
    access: MediaAccess,
    out: IO[bytes],
    admits: Callable[[str], bool],
    context: ssl.SSLContext | None,
) -> None:
    limits = FetchLimits(access)
    with httpcore.ConnectionPool(
        ssl_context=context, network_backend=CheckedNetwork(admits, limits), max_connections=1
    ) as pool:
        for _ in range(_MAX_REDIRECTS + 1):
            parts = urlsplit(uri)
            if parts.scheme.lower() != "https":
                msg = "media refused: it redirects to a place that is not https"
                raise MediaRefused(msg)
            _checked_https(parts, access)
            wait = dict.fromkeys(("connect", "read", "write", "pool"), limits.left())
            headers: dict[bytes | str, bytes | str] = {
                "Host": parts.netloc,
                "Accept-Encoding": "identity",
                "User-Agent": "quorum",
            }
            with pool.stream("GET", uri, headers=headers, extensions={"timeout": wait}) as response:
                response_headers = {name.lower(): value for name, value in response.headers}
                if response.status in (301, 302, 303, 307, 308) and b"location" in response_headers:
                    uri = urljoin(uri, response_headers[b"location"].decode("latin-1"))
                    continue
                if response.status != 200:
                    msg = f"media is gone: HTTP {response.status}"
                    raise MediaGone(msg)
                size = response_headers.get(b"content-length", b"")
                if size.isdigit():
                    limits.announce(int(size))
                for chunk in response.iter_stream():
                    limits.add(len(chunk))
                    out.write(chunk)
                return
    msg = f"media refused: more than {_MAX_REDIRECTS} redirects"
    raise MediaRefused(msg)


def _from_bucket(parts: SplitResult, access: MediaAccess, out: IO[bytes]) -> None:
    if parts.netloc not in access.buckets:
        msg = "media refused: its bucket is not among media.buckets of the settings"
        raise MediaRefused(msg)
    try:
        from google.cloud import storage  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        msg = "media refused: gs: needs the package google-cloud-storage; install it"
        raise MediaRefused(msg) from None
    limits = FetchLimits(access)
    within(limits, partial(_read_blob, storage, parts, limits, out))


def _read_blob(storage: Any, parts: SplitResult, limits: FetchLimits, out: IO[bytes]) -> None:
    blob = storage.Client().bucket(parts.netloc).get_blob(unquote(parts.path.lstrip("/")))
    if blob is None:
        msg = "media is gone: not in its bucket"
        raise MediaGone(msg)
    limits.announce(int(blob.size or 0))
    with blob.open("rb", chunk_size=_CHUNK) as source:
        while chunk := source.read(_CHUNK):
            limits.add(len(chunk))
            out.write(chunk)


def _in_folder(parts: SplitResult, access: MediaAccess) -> Path:
    if parts.netloc not in ("", "localhost"):
        msg = "media refused: a file: address must name no host, as file:///folder/clip.mp4"
        raise MediaRefused(msg)
    try:
        path = Path(unquote(parts.path)).resolve(strict=True)
        folders = [Path(folder).resolve(strict=True) for folder in access.folders]
    except (OSError, ValueError, RuntimeError):
        path, folders = None, []
    inside = path is not None and any(path.is_relative_to(folder) for folder in folders)
    if path is None:
        allowed = [Path(folder).absolute() for folder in access.folders]
        named = Path(unquote(parts.path))
        valid = ".." not in named.parts and "\0" not in parts.path + str(named)
        if valid and any(named.is_relative_to(folder) for folder in allowed):
            msg = "media is gone: no such file"
            raise MediaGone(msg)
    if path is None or not inside:
        msg = "media refused: not inside one of media.folders of the settings"
        raise MediaRefused(msg)
    if not path.is_file():
        msg = "media refused: not a regular file"
        raise MediaRefused(msg)
    FetchLimits(access).announce(path.stat().st_size)
    return path


@contextmanager
def fetched(
    uri: str,
    access: MediaAccess,
    *,
    admits: Callable[[str], bool] = is_public,
    ssl_context: ssl.SSLContext | None = None,
) -> Iterator[Path]:
    """Provide media as a local file: in place for ``file:``, otherwise a temporary download.

    Args:
        uri: ``https:``, ``gs:`` or ``file:``.
        access: Allowed sources and limits.
        admits: Whether a connection to an IP address is allowed.
        ssl_context: Trusted certificates; defaults to certifi's.

    Raises:
        MediaRefused: If the source is not allowed or a limit is exceeded.
        MediaGone: If the source is allowed but missing, or does not arrive in time.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        msg = "media refused: not a valid address"
        raise MediaRefused(msg) from None
    scheme = parts.scheme.lower()
    if scheme == "file":
        yield _in_folder(parts, access)
        return
    if scheme not in ("https", "gs"):
        msg = "media refused: its address must begin with https:, gs: or file:"
        raise MediaRefused(msg)
    with tempfile.NamedTemporaryFile(prefix="quorum-media-", suffix=".bin") as out:
        try:
            if scheme == "gs":
                _from_bucket(parts, access, out)
            else:
                _download(uri, access, out, admits, ssl_context)
        except MediaRefused:
            raise
        except httpcore.TimeoutException as error:
            msg = f"media is gone: it did not arrive within {access.timeout:g} s"
            raise MediaGone(msg) from error
        except Exception as error:  # connection, TLS or bucket errors of a library
            msg = f"media is gone: {type(error).__name__}"
            raise MediaGone(msg) from error
        out.flush()
        yield Path(out.name)
