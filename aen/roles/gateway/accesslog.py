"""Access log: one line for each request, without queries; kept in two files of bounded size."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)
MOST_BYTES = 64 * 1024 * 1024


class AccessLog:
    """Appends lines to `path`; when that is full it becomes `path.1`. A full disk costs lines, never requests."""

    def __init__(self, path: Path, most: int = MOST_BYTES) -> None:
        self._path, self._most, self._failed = path, most, False

    def write(self, lines: list[str]) -> None:
        """Append."""
        data = "".join(lines).encode()
        try:
            opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            with open(opened, "ab") as file:
                file.write(data)
                size = file.tell()
            if size > self._most:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._failed = False
        except OSError as error:
            if not self._failed:  # say it once, not twice a second
                log.error("the access log can't be written", path=str(self._path), why=str(error))
            self._failed = True
