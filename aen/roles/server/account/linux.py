"""Linux accounts: whether a new person's name belongs to an account on a compute node that AEN may not take. The nodes are asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aen import names
from aen.errors import AenError, Conflict
from aen.languages import gettext as _
from aen.languages import said
from aen.launchers import passwd
from aen.launchers.accounts import LEAST_UID
from aen.messages import KeepAccount
from aen.model.account import AccountReport
from aen.roles.server.domain import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 3.0  # a node that takes longer is not waited for: the first session says the same


class LinuxAccounts(Part):
    """What nodes say of the Linux account of a name. A node that is not heard keeps nobody from coming: it refuses later."""

    async def check_free(self, name: str) -> None:
        """Raise Conflict, for administrators, when a node has an account of that name that AEN does not use."""
        for report in await self._taken(name):
            raise Conflict(_why(name, report))

    async def is_taken(self, name: str) -> bool:
        """The same for who may not be told of a node's accounts."""
        return bool(await self._taken(name))

    async def note(self, name: str) -> str:
        """What to say after somebody was added: which nodes have no place for them yet, or were not asked; mostly empty."""
        told = await self._told(name)
        notes = [
            f"{node}: {said(report.note)}" for node, report in told if report and report.note and not report.exists
        ]
        silent = [node for node, report in told if report is None]
        return " ".join([*notes, _silent(silent)] if silent else notes)

    async def _taken(self, name: str) -> Sequence[AccountReport]:
        reports = [report for _node, report in await self._told(name) if report is not None] or self._here(name)
        return [report for report in reports if report.exists and report.note]

    def _here(self, name: str) -> list[AccountReport]:
        """Where all is on one machine and AEN does not run (a command stands in): at least accounts of the system are seen."""
        config = self.domain.config
        entry = passwd.entry(name) if config.bus.mode == "local" and config.accounts.mode != "single" else None
        if entry is None or entry.pw_uid >= LEAST_UID:
            return []
        return [AccountReport(node="this machine", exists=True, uid=entry.pw_uid, note="It is the system's.")]

    async def _told(self, name: str) -> list[tuple[str, AccountReport | None]]:
        """What each compute node says; nothing where apps run as who started AEN."""
        if self.domain.config.accounts.mode == "single":
            return []
        nodes = [node.id for node in self.domain.nodes.list() if "compute" in node.roles]
        return list(zip(nodes, await asyncio.gather(*(self._ask(node, name) for node in nodes)), strict=True))

    async def _ask(self, node: str, name: str) -> AccountReport | None:
        try:
            answer: AccountReport = await self.bus.request(
                names.address("compute", node), KeepAccount(user=name), _SECONDS
            )
        except AenError:
            return None
        return answer.model_copy(update={"node": node})


def _why(name: str, report: AccountReport) -> str:
    if report.uid < LEAST_UID:
        return (
            f"{name!r} can't be a user name here: {report.node} has an account of the system of that name "
            f"(uid {report.uid}). Choose another name."
        )
    return (
        f"{report.node} has a Linux account {name!r} that AEN did not make, so AEN does not use it. Choose another name. Or, "
        f"if that account is this person's: run aen user link {name} on {report.node}, as root, and add them again."
    )


def _silent(nodes: Sequence[str]) -> str:
    return _(
        "Not heard now: {nodes}. If there is a Linux account of that name there which AEN did not make, the first session says so.",
        nodes=", ".join(nodes),
    )
