"""Log: constant text, then values; text on a terminal, JSON otherwise; never a secret."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_KEYS = ("password", "secret", "token", "cookie", "authorization", "ticket", "grant", "csrf")
_LEVELS = ("debug", "info", "warning", "error", "critical")
_LEVEL_OF = {"exception": "error", "warn": "warning", "fatal": "critical", "msg": "info"}
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # as syslog counts them
_least = 1
_noticed: list[Callable[[EventDict], None]] = []  # told of each error with an exception
_LONGEST = 2_000  # characters of one value; a huge user name must not fill the disk


def configure(level: str = "info", format: str = "auto") -> None:
    """Set up logging for the process. `format` is text, json, or auto (text on a terminal)."""
    text = format == "text" or (format == "auto" and sys.stderr.isatty())
    renderer: Any = _on_a_terminal() if text else structlog.processors.JSONRenderer()
    set_level(level)
    processors: list[Any] = [
        _level_filter,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _notice,
        _safe,
    ]
    if not text:
        processors.append(structlog.processors.format_exc_info)
    if _goes_to_the_journal():
        renderer = _with_priority(renderer)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)


def on_fault(hear: Callable[[EventDict], None]) -> None:
    """From now on `hear` is told of each error that is logged with an exception, once, however often it asks."""
    if hear not in _noticed:
        _noticed.append(hear)


def _notice(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if event.get("exc_info") and _LEVEL_OF.get(method, method) in ("error", "critical"):
        for hear in _noticed:
            hear(event)
    return event


def _on_a_terminal() -> structlog.dev.ConsoleRenderer:
    # The fancy tracebacks show local variables: passwords and tokens among them.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)


def _goes_to_the_journal() -> bool:
    """Whether our stderr is the very stream that systemd made for us, and not a file or pipe that somebody put there since."""
    try:
        file = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{file.st_dev}:{file.st_ino}"


def _with_priority(render: Any) -> Any:
    """Lines begin with `<3>` and the like, which the journal takes off: `journalctl -p warning` finds what matters."""

    def rendered(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return f"<{_PRIORITIES[_LEVEL_OF.get(method, method)]}>{render(logger, method, event)}"

    return rendered


def set_level(level: str) -> None:
    """Write nothing below `level` from now on. Loggers that are in use already follow (SIGHUP)."""
    global _least
    _least = _LEVELS.index(level)


def _level_filter(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _LEVELS.index(_LEVEL_OF.get(method, method)) < _least:
        raise structlog.DropEvent
    return event


def _safe(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key != "event" and _is_secret(key):
            event[key] = "…"
        elif isinstance(value, str):
            event[key] = _plain(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")
    return event


@functools.lru_cache(1024)
def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_KEYS)


def _plain(text: str) -> str:
    """`text` without what would move a terminal's cursor, colour it, or turn its writing around: these are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\t\n" else repr(c)[1:-1] for c in text)
