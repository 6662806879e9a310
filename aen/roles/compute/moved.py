"""Moved projects: what in their environments names the old place is rewritten, by our program as the owner.

What is due is written down before the directory moves, so that a restart or a full disk only delays it: each start of
the project tries again.
"""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from aen.config import Config
from aen.errors import AenError
from aen.messages import ProjectSpec
from aen.roles.compute.user_program import UserProgram, Wish

log = structlog.get_logger(__name__)


class Moved:
    """`<data_dir>/compute/moved/<project>.json`: the places where a project was."""

    def __init__(self, config: Config, program: UserProgram) -> None:
        self._root = config.compute.project_root
        self._folder = config.data_dir / "compute" / "moved"
        self._program = program

    def note(self, spec: ProjectSpec) -> None:
        """It is about to move from where `spec` says. Written whole or not at all."""
        self._write(spec.id, [*self._froms(spec.id), str(self._root / spec.owner / spec.name)])

    async def settle(self, spec: ProjectSpec) -> str:
        """Rewrite what is due. Returns why that was not possible, for people; it stays due then."""
        froms = self._froms(spec.id)
        if not froms:
            return ""
        wish = Wish(spec, spec.owner, "change", "moved", {"froms": froms})
        try:
            await self._program.ask(wish)
        except AenError as error:
            log.warning("environments of a moved project were not rewritten", project=spec.id, reason=error.message)
            return error.message
        self.forget(spec.id)
        log.info("environments of a moved project were rewritten", project=spec.id)
        return ""

    def forget(self, project: str) -> None:
        """Nothing is due any more. Fine when nothing was."""
        self._path(project).unlink(missing_ok=True)

    def _froms(self, project: str) -> list[str]:
        try:
            return [str(place) for place in json.loads(self._path(project).read_text())]
        except (FileNotFoundError, ValueError):
            return []

    def _write(self, project: str, froms: list[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(project)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(list(dict.fromkeys(froms))))
        beside.replace(path)

    def _path(self, project: str) -> Path:
        return self._folder / f"{project}.json"
