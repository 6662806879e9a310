"""Whole: how a server of the version before tells its routes: all of them, anew after each change, in pages."""

from __future__ import annotations

from collections.abc import Callable

from aen.messages import ReadRoutes, Routes
from aen.model.route import Route
from aen.proxy.routes import RouteTable


class Whole:
    """Reads them. What changes while they are read makes the reading useless; then the next time will do."""

    def __init__(self, table: RouteTable, forget: Callable[[Route], None]) -> None:
        self._table, self._forget = table, forget
        self._version, self._at = (
            "",
            0,
        )  # as the server counts it, of what the table said when it counted so many changes
        self._found: list[Route] = []
        self._since, self._reading, self._doubted = 0, "", set[str]()

    def begin(self) -> None:
        """From the first page."""
        self._found, self._since, self._reading = [], self._table.changes, ""
        self._doubted = set(self._table.doubtful)

    def asking(self, command: ReadRoutes) -> ReadRoutes:
        """The same question, as such a server understands it."""
        after = self._found[-1].session if self._found else ""
        have = self._version if not after and self._table.version == self._at else ""
        return command.model_copy(update={"have": have, "after": after})

    def take(self, answer: Routes) -> bool:
        """Take in a page; whether to ask for another one."""
        if answer.unchanged or (self._reading and answer.version != self._reading):
            return False
        self._reading = answer.version
        self._found += answer.routes
        if answer.more and answer.routes:
            return True
        for entry in self._table.replace(self._found, self._since):
            self._forget(entry.route)
        self._table.doubtful -= self._doubted
        # What changed meanwhile was left alone: then the next answer must not be "unchanged".
        untouched = self._table.changes == self._since
        self._version, self._at = answer.version if untouched else "", self._table.version
        return False
