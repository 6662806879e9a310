"""Changing environments: made, cloned, removed; packages in and out; back to an earlier moment. Each leaves a lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from aen_environments import Refused, Told, by_conda, by_uv, history, showing
from aen_environments.folder import DEFAULT, Folder


class Change:
    """One change. `told` is the whole wish: tool, user, and what to do with which environment."""

    def __init__(self, told: Told) -> None:
        self._tool: dict[str, Any] = told["tool"]
        self._user = str(told["user"])
        self._wish: dict[str, Any] = told["change"]
        self._name = str(self._wish["name"])
        self._folder = Folder(told["project"])

    def run(self) -> Told:
        """Do it; alone, and kept in the history. Raises Refused."""
        acts: dict[str, Callable[[], str]] = {
            "create": self._create,
            "keep": self._keep,
            "clone": self._clone,
            "remove": self._remove,
            "install": self._install,
            "uninstall": self._uninstall,
            "roll-back": self._roll_back,
        }
        act = str(self._wish["act"])
        with self._folder.alone():
            if act in ("install", "uninstall", "roll-back"):
                self._keep_what_was()
            detail = acts[act]()
            if act == "remove":
                return {}
            path = self._folder.at(self._name)
            self._note(str(self._wish.get("as") or act), detail, showing.lock_of(path))
        return {}

    def _create(self) -> str:
        requirements, packages = str(self._wish.get("requirements") or ""), list(self._wish.get("packages") or [])
        maker = by_conda if self._tool["kind"] == "conda" else by_uv
        with self._folder.building(self._name) as place:
            maker.make(self._tool, place, os.path.join(self._folder.path, self._name), packages, requirements)
        return ", ".join(packages) or "from a requirements file"

    def _keep(self) -> str:
        """The launcher made it, from the root environment."""
        self._folder.at(self._name)
        return "the standard packages"

    def _clone(self) -> str:
        source = str(self._wish["source"])
        path = self._folder.at(source)
        maker = by_conda if showing.is_conda(path) else by_uv
        with self._folder.building(self._name) as place:
            maker.clone(self._tool, path, place, os.path.join(self._folder.path, self._name))
        return f"a copy of {source}"

    def _remove(self) -> str:
        if self._name == DEFAULT:
            raise Refused("The environment default can't be removed: every project has it.")
        path = self._folder.at(self._name)
        self._note("remove", "", showing.lock_of(path))
        self._folder.remove(self._name)
        return ""

    def _install(self) -> str:
        path, maker = self._with()
        packages, requirements = list(self._wish.get("packages") or []), str(self._wish.get("requirements") or "")
        maker.install(self._tool, path, packages, requirements)
        return ", ".join(packages) or "from a requirements file"

    def _uninstall(self) -> str:
        path, maker = self._with()
        packages = list(self._wish["packages"])
        maker.uninstall(self._tool, path, packages)
        return ", ".join(packages)

    def _roll_back(self) -> str:
        path, maker = self._with()
        number = int(self._wish["number"])
        maker.sync(self._tool, path, history.lock(self._folder.path, self._name, number))
        return f"to number {number}"

    def _with(self) -> tuple[str, Any]:
        path = self._folder.at(self._name)
        return path, by_conda if showing.is_conda(path) else by_uv

    def _keep_what_was(self) -> None:
        """Before the first change that goes through here, and after one typed in a terminal: as it was."""
        lock = showing.lock_of(self._folder.at(self._name))
        known = history.entries(self._folder.path, self._name)
        if not known:
            self._note("found", "as it was", lock)
        elif history.differences(history.lock(self._folder.path, self._name, int(known[0]["number"])), lock):
            self._note("found", "changed in a terminal", lock)

    def _note(self, act: str, detail: str, lock: list[str]) -> None:
        history.keep(self._folder.path, self._name, self._user if act != "found" else "", act, detail, lock)


def change(told: Told) -> Told:
    """Do what `told` says."""
    return Change(told).run()
