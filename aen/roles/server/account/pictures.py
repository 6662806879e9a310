"""Pictures of people: chosen by themselves, kept in the store, sent to whoever is signed in. No third party hears of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote

from aen.errors import NotFound
from aen.messages import ServerTold
from aen.model.picture import Picture, PictureData, new_version
from aen.model.user import User
from aen.roles.server.account import png
from aen.roles.server.changes import every, put
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_TOPIC = "pictures"


class Pictures(Part):
    """Who has a picture is known in memory: it is asked for each name on each page."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._versions: dict[str, int] = {}

    async def begin(self, service: Service) -> None:
        """See Part."""
        async for doc in every(self.store, "pictures"):
            self._versions[doc["id"]] = doc["version"]
        self.domain.company.hear("changed", self._changed_elsewhere)

    def address(self, name: str) -> str:
        """Where the picture of a person is; empty when they have none."""
        version = self._versions.get(name)
        return f"/avatar/{quote(name, safe='')}?v={version}" if version else ""

    async def set(self, actor: Actor, data: bytes) -> None:
        """Show oneself by this PNG from now on. Invalid."""
        check(actor, Permission.ACCOUNT)
        self.domain.accounts.check_self(actor, actor.name)
        text = base64.b64encode(png.cleaned(data)).decode()
        version = new_version()
        await put(self.store, "picture_data", PictureData(id=actor.name, data=text, version=version))
        await put(self.store, "pictures", Picture(id=actor.name, version=version))
        self._know(actor.name, version)
        await self._note_in_account(actor.name, version)  # last: a row of that revision must show it

    async def remove(self, actor: Actor) -> None:
        """Show oneself by initials again."""
        check(actor, Permission.ACCOUNT)
        self.domain.accounts.check_self(actor, actor.name)
        await self.forget(actor.name)
        await self._note_in_account(actor.name, 0)

    async def forget(self, name: str) -> None:
        """The person is removed, or wants it: their picture goes. For the server itself."""
        for collection in ("pictures", "picture_data"):
            if await self.store.get(collection, name) is not None:
                await self.store.delete(collection, name)
        self._know(name, 0)

    async def get(self, actor: Actor, name: str) -> bytes:
        """The PNG. NotFound when they have none."""
        check(actor, Permission.SIGNED_IN)
        doc = await self.store.get("picture_data", name) if name in self._versions else None
        if doc is None:
            raise NotFound("There is no picture of that name.")
        return base64.b64decode(doc["data"])

    async def _note_in_account(self, name: str, version: int) -> None:
        """Rows of lists are kept as made for one revision of an account: this is another one."""

        def edit(user: User) -> None:
            user.picture = version

        await self.domain.accounts.change_user(name, edit)

    def _know(self, name: str, version: int) -> None:
        self._note(name, version)
        self.domain.company.tell("changed", _TOPIC, name, {"version": version})

    def _note(self, name: str, version: int) -> None:
        if version:
            self._versions[name] = version
        else:
            self._versions.pop(name, None)

    def _changed_elsewhere(self, told: ServerTold) -> None:
        if told.topic == _TOPIC:
            self._note(told.kind, int(told.data.get("version", 0)))
