"""Project space: what a project takes on the disk, and bounding it by the file system where that can (quotas.py)."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from aen.launchers import ProjectRef, quotas, trees
from aen.launchers.project_files import ProjectFiles
from aen.launchers.register import write_json
from aen.launchers.space import Measure
from aen.launchers.tagging import Tagging


class ProjectSpace(ProjectFiles):
    """The verbs on project files, those about space included."""

    def measure(self, project: ProjectRef) -> dict[str, Any]:
        """What it takes on the disk. Changes nothing."""
        owner = self._accounts.find(project.owner)
        with trees.opened(self._policy.project_root) as root, self._project(root, project, owner) as fd:
            return Measure(frozenset() if self._single else frozenset({0, self._policy.service_uid})).of(fd)

    def bound(self, project: ProjectRef, most: int) -> bool:
        """Let the file system keep that bound (bytes; 0: none). False: it keeps none."""
        owner = self._accounts.find(project.owner)
        with trees.opened(self._policy.project_root) as root, self._project(root, project, owner) as fd:
            if self._single or not quotas.enforced(fd):
                return False
            number = quotas.number_of(fd)
            if not number:
                if not most:
                    return False  # it never had one
                number = self._new_number()
            if self._tagged(project) != number:
                task, _ = self._task(project, owner)
                Tagging(task, number).run(fd)  # the top first: what is made meanwhile has the number, too
                self._note_tagged(project, number)
            quotas.bound(fd, number, most)
        return bool(most)

    def _new_number(self) -> int:
        """One that nothing else on this node has: accounts and groups are numbered by the same register."""
        register = self._accounts.register
        with register.changing() as data:
            return register.next_uid(data)

    def _tagged(self, project: ProjectRef) -> int:
        """The number that all of its files were given, as far as we know."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads(self._notes(project).read_text())["number"])
        return 0

    def _note_tagged(self, project: ProjectRef, number: int) -> None:
        os.makedirs(self._notes(project).parent, mode=0o700, exist_ok=True)
        write_json(self._notes(project), {"number": number})

    def _notes(self, project: ProjectRef) -> Path:
        return Path(self._policy.state_dir, "quotas", project.owner, f"{project.name}.json")
