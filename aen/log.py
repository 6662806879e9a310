"""Log: constant text, then values; text on a terminal, JSON otherwise; never a secret."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_KEYS = ("password", "secret", "token", "cookie", "authorization", "ticket", "grant", "csrf")
_LONGEST = 2_000  # characters of one value; a huge user name must not fill the disk


def configure(level: str = "info", format: str = "auto") -> None:
    """Set up logging for the process. `format` is text, json, or auto (text on a terminal)."""
    text = format == "text" or (format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if text else structlog.processors.JSONRenderer()
    )
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _safe,
    ]
    if not text:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)


def _safe(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key != "event" and any(word in key.lower() for word in _SECRET_KEYS):
            event[key] = "…"
        elif isinstance(value, str) and len(value) > _LONGEST:
            event[key] = value[:_LONGEST] + "…"
    return event
