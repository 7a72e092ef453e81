"""When a broker counts as away, and for how long a job waits for it."""

from __future__ import annotations

from collections.abc import Callable

from google.api_core import exceptions as google_errors
from google.api_core import retry as google_retry
from google.auth import exceptions as auth_errors

__all__ = ["ABSENCE_SECONDS", "AWAY", "GONE", "publish_retry"]

#: Seconds for which a job waits for a broker that is away, or for a topic or subscription that is
#: gone: after a restart it may be made again.
ABSENCE_SECONDS = 300.0

#: A broker that does not answer, refuses, or whose tokens cannot be had: it may come back.
AWAY = (google_errors.GoogleAPIError, auth_errors.GoogleAuthError)

#: A topic or subscription that does not exist.
GONE = google_errors.NotFound

#: A publish that fails with one of these is tried again. Others, such as a message that is too
#: large, fail however often they are tried.
_AGAIN = (
    google_errors.Aborted,
    google_errors.Cancelled,
    google_errors.DeadlineExceeded,
    google_errors.Forbidden,
    google_errors.InternalServerError,
    google_errors.NotFound,
    google_errors.ServiceUnavailable,
    google_errors.TooManyRequests,
    google_errors.Unauthorized,
    google_errors.Unknown,
    auth_errors.GoogleAuthError,
)


def publish_retry(failed: Callable[[Exception], None]) -> google_retry.Retry:
    """How a publish is retried: within ``ABSENCE_SECONDS``, at first soon, later every few seconds.

    Args:
        failed: Is called with the error of each try that is repeated.
    """
    return google_retry.Retry(
        predicate=google_retry.if_exception_type(*_AGAIN),
        initial=0.1,
        maximum=5.0,
        multiplier=2.0,
        timeout=ABSENCE_SECONDS,
        on_error=failed,
    )
