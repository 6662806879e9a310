"""Rechecks: people whom the directory does not know any more are signed out, also those who never come to the login page."""

from __future__ import annotations

import asyncio

import structlog

from aen.errors import AenError, Conflict, Invalid
from aen.logins import Rechecked
from aen.model.user import User
from aen.roles.server.account.backends import LOCAL
from aen.roles.server.account.resets import Resets
from aen.roles.server.background import again_and_again
from aen.roles.server.permissions import Actor
from aen.store import Query

log = structlog.get_logger(__name__)


class Rechecks(Resets):
    """The part of accounts that asks directories about people who are not there, and links people to them."""

    async def link(self, actor: Actor, user: User, backend: str) -> User:
        """Let somebody sign in another way from now on: who proves the name there next is bound to the account.

        Invalid: no such back end; Conflict: nobody would be left to administer when the back end is down.
        """
        if backend not in {LOCAL, *self.domain.config.server.login.backends}:
            raise Invalid(f"There is no login back end {backend[:30]!r} here. See server.login.backends.")
        if user.admin and backend != LOCAL and not await self._other_local_administrator(user.id):
            raise Conflict(
                f"{user.id} is the last administrator with a local password. Make another one first: when {backend} is "
                "down, somebody must be able to sign in."
            )

        def edit(stored: User) -> None:
            stored.login_backend, stored.login_subject, stored.login_name, stored.password = backend, "", "", ""

        changed = await self.change_user(user.id, edit)
        await self.end_all(user.id, tokens=False)
        await self.domain.activity.record(actor, "user.linked", backend, who=user.id, security=True)
        return changed

    async def _other_local_administrator(self, name: str) -> bool:
        cursor = ""
        while True:
            page = await self.store.find("users", Query(equal=(("admin", True),), sort="id", cursor=cursor))
            others = (doc for doc in page.items if doc["id"] != name and not doc["locked"])
            if any(doc.get("login_backend", LOCAL) == LOCAL and doc["password"] for doc in others):
                return True
            cursor = page.next
            if not cursor:
                return False

    async def recheck_for_life(self) -> None:
        """Ask every `server.login.recheck_minutes`."""
        pause = self.domain.config.server.login.recheck_minutes * 60
        await asyncio.sleep(pause)
        await again_and_again("directory", self.recheck, pause)

    async def recheck(self) -> int:
        """Ask about everybody who has a login of a directory; how many were signed out. A directory that is down changes nothing."""
        ended, cursor = 0, ""
        while True:
            page = await self.store.find("users", Query(sort="id", limit=500, cursor=cursor))
            for user in map(User.model_validate, page.items):
                backend = self.rechecked(user.login_backend)
                if backend is None or user.locked or not await self.store.count("logins", (("user", user.id),)):
                    continue
                try:
                    ended += await self._recheck(user, backend)
                except AenError as error:
                    log.warning("people could not be asked about", backend=user.login_backend, reason=error.message)
                    return ended
            cursor = page.next
            if not cursor:
                return ended

    async def _recheck(self, user: User, backend: Rechecked) -> bool:
        found = await backend.still(user)
        if found is not None and (not user.login_subject or found.subject == user.login_subject):
            await self._follow(user, found, user.login_backend)
            return False
        await self.end_all(user.id, tokens=True)
        await self.domain.sessions.end_user(user.id, f"{user.login_backend} does not let {user.id} in any more.")
        detail = f"{user.login_backend} does not let them in any more"
        await self.domain.activity.record(
            None, "login.ended_everywhere", user.id, who=user.id, detail=detail, security=True
        )
        return True
