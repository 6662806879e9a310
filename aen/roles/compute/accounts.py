"""Accounts on this node: a person's SSH keys installed, the account of somebody who is gone retired."""

from __future__ import annotations

import structlog

from aen.errors import AenError, NotFound
from aen.launchers import Launcher
from aen.messages import KeepAccount, StartSession
from aen.model.account import AccountReport
from aen.roles.compute.steps import incarnation

log = structlog.get_logger(__name__)


class Accounts:
    """What the server asks about people's accounts."""

    def __init__(self, node: str, launcher: Launcher) -> None:
        self._node, self._launcher = node, launcher

    async def keep(self, command: KeepAccount) -> AccountReport:
        """Do it, and say what there is. An account that is not there is no error: nothing is to be done then."""
        if command.keys is not None:
            try:
                await self._launcher.install_keys(command.user, command.keys, command.incarnation)
            except NotFound:
                log.debug("no account here: nothing to install keys for", user=command.user)
        found = await self._launcher.retire_account(
            command.user, look=not command.retire, incarnation=command.incarnation
        )
        return AccountReport(node=self._node, **found)

    async def install_keys(self, command: StartSession) -> None:
        """The keys of who starts a session: they may have been added before there was an account here."""
        if not command.keys or not self._launcher.isolated:
            return
        try:
            who = incarnation(command.project, command.user)
            await self._launcher.ensure_account(command.user, who)
            await self._launcher.install_keys(command.user, command.keys, who)
        except AenError as error:
            log.warning("SSH keys were not installed", user=command.user, reason=error.message)
