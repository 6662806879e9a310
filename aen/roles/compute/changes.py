"""Changes of environments, written down: after a restart of AEN they are found again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from aen.messages import ProjectSpec
from aen.model import Word
from aen.model.environment import ChangeReport

log = structlog.get_logger(__name__)


class ChangeRecord(Word):
    """A project's change that goes on, or the last one. `process` is what `launchers.Process` holds."""

    project: ProjectSpec
    report: ChangeReport
    process: dict[str, Any] | None = None
    stopped: str = ""  # who told it to end


class ChangeRecords:
    """`<data_dir>/compute/environments/<project>.json`, for us alone."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "compute" / "environments"

    def save(self, record: ChangeRecord) -> None:
        """Whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(record.project.id)
        beside = path.with_suffix(".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as file:
            file.write(record.model_dump_json())
        os.replace(beside, path)

    def load(self) -> Iterator[ChangeRecord]:
        """All of them; one that can't be read is named in the log and removed: it is only about showing."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield ChangeRecord.model_validate_json(path.read_bytes())
            except (ValidationError, OSError) as error:
                log.warning("the record of a change can't be read", path=str(path), error=str(error)[:200])
                path.unlink(missing_ok=True)

    def remove(self, project: str) -> None:
        """Fine when it is gone."""
        self._path(project).unlink(missing_ok=True)

    def _path(self, project: str) -> Path:
        return self._folder / f"{project}.json"
