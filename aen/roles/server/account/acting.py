"""Acting: an administrator looks at AEN as somebody else, for support: for a while, with a reason, seen by both.

It is a login of its own that opens less than the person's: nothing that stays (password, tokens, keys, deletion),
nothing that runs as them, and no gateway. What is done that way stands in the log as done by the administrator.
"""

from __future__ import annotations

import structlog

from aen.errors import Denied, Invalid, NotFound
from aen.model.user import Login, LoginKind
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check

log = structlog.get_logger(__name__)
MINUTES = 30
_SHORTEST, _LONGEST = 5, 200  # characters of a reason


class Acting(Part):
    """Who acts as whom. That it holds (the administrator's own login, their rights, the time) is asked at every request."""

    async def begin_as(self, actor: Actor, name: str, reason: str, address: str = "", agent: str = "") -> Login:
        """A login as `name`, for administrators in a browser. Denied (administrators, oneself), Invalid (no reason), NotFound."""
        check(actor, Permission.ADMIN)
        own = actor.login
        if actor.user is None or own is None or own.kind is not LoginKind.BROWSER or own.acting:
            raise Denied("Only an administrator who is signed in with a browser can act as somebody else.")
        why = " ".join(reason.split())
        if not _SHORTEST <= len(why) <= _LONGEST:
            raise Invalid(f"Say why, in {_SHORTEST} to {_LONGEST} characters: the person reads it in their log.")
        user = await self.domain.accounts.find(name)
        if user is None:
            raise NotFound(f"There is no user {name[:40]!r}.")
        if user.id == actor.user.id or user.admin:
            raise Denied("Nobody acts as themselves or as another administrator.")
        if user.locked:
            raise Denied(f"{user.id} is locked: nobody acts as them.")
        login = await self.domain.accounts.add_login(
            user,
            LoginKind.BROWSER,
            MINUTES / (24 * 60),
            address,
            agent,
            title=f"Support by {actor.user.id}",
            acting=actor.user.id,
            behind=own.id,
            reason=why,
        )
        await self._record(login, "acting.began", address)
        return login

    async def end(self, actor: Actor) -> str:
        """Be oneself again: the id of the administrator's own login, for the cookie; empty when it has ended meanwhile."""
        login = actor.login
        if login is None or not login.acting:
            raise Invalid("You act as nobody but yourself.")
        await self.domain.accounts.sign_out(login.id)
        await self._record(login, "acting.ended")
        return login.behind if await self.domain.accounts.actor_of_login(login.behind) is not None else ""

    async def _record(self, login: Login, act: str, address: str = "") -> None:
        """In both people's logs."""
        log.info("acting", act=act, administrator=login.acting, user=login.user)
        administrator = Actor(await self.domain.accounts.find(login.acting))
        for who in (login.user, login.acting):
            await self.domain.activity.record(
                administrator, act, login.user, who=who, detail=login.reason, address=address, security=True
            )
