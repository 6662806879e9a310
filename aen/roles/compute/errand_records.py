"""Errands, written down: after a restart of AEN they are found again, and none is begun twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from aen.messages import ProjectSpec
from aen.model import Word, now
from aen.model.errand import ErrandReport

log = structlog.get_logger(__name__)

_KEPT_MS = 24 * 3_600_000  # an ended one: the server has heard of it long before
_MOST_KEPT = 2000


class ErrandRecord(Word):
    """One errand. `process` is what `launchers.Process` holds; `ends`: when it is ended at the latest."""

    key: str
    project: ProjectSpec
    report: ErrandReport
    ends: int
    process: dict[str, Any] | None = None
    stopped: str = ""  # why it is being ended


class ErrandRecords:
    """`<data_dir>/compute/errands/<id>.json`, for us alone."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "compute" / "errands"

    def save(self, record: ErrandRecord) -> None:
        """Whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{record.report.id}.json"
        beside = path.with_suffix(".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as file:
            file.write(record.model_dump_json())
        os.replace(beside, path)

    def load(self) -> Iterator[ErrandRecord]:
        """All of them; one that can't be read is named in the log and left out."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield ErrandRecord.model_validate_json(path.read_bytes())
            except (ValidationError, OSError) as error:
                log.warning("the record of an errand can't be read", path=str(path), error=str(error)[:200])

    def too_many(self, known: Mapping[str, ErrandRecord]) -> list[str]:
        """Remove the records of those that ended long ago; returns their ids."""
        ended = sorted((one.report.ended, id) for id, one in known.items() if one.report.state != "running")
        late = now() - _KEPT_MS
        old = [id for n, (at, id) in enumerate(ended) if at < late or n < len(ended) - _MOST_KEPT]
        for id in old:
            (self._folder / f"{id}.json").unlink(missing_ok=True)
        return old
