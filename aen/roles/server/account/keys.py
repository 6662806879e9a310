"""Keys: people's SSH public keys, and that compute nodes have them: by a job at each change, and with each start of a session."""

from __future__ import annotations

from aen import names, sshkeys
from aen.errors import AenError, Conflict, Invalid, NotFound, Unavailable
from aen.messages import KeepAccount
from aen.model.job import Job
from aen.model.user import PublicKey, User
from aen.roles.server.background import ask
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor, Permission
from aen.service import Service

_KIND = "user.keys"
_SECONDS = 30.0


class Keys(Part):
    """The SSH keys of people. Everybody keeps their own; administrators may take them away."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.jobs.handle(_KIND, self._spread)

    async def list(self, actor: Actor, name: str) -> list[PublicKey]:
        """A person's keys, for themselves and administrators."""
        return (await self.domain.accounts.get(actor, name)).ssh_keys

    async def add(self, actor: Actor, text: str, title: str = "") -> PublicKey:
        """Add a key to one's own. Invalid when it is none, Conflict when it is there already."""
        if actor.user is None:
            raise Invalid("Keys belong to people: sign in as one.")
        self.domain.accounts.check_self(actor, actor.name, Permission.ACCOUNT)
        parsed = sshkeys.parse(text.strip())
        key = PublicKey(line=parsed.line, title=title.strip()[:100] or parsed.comment, fingerprint=parsed.fingerprint)

        def edit(user: User) -> None:
            if any(known.fingerprint == key.fingerprint for known in user.ssh_keys):
                raise Conflict("You have added that key already.")
            if len(user.ssh_keys) >= sshkeys.MOST:
                raise Invalid(f"You have {sshkeys.MOST} keys: remove one first.")
            user.ssh_keys = [*user.ssh_keys, key]

        await self.domain.accounts.change_user(actor.name, edit)
        await self._changed(actor, actor.name, "key.added", key)
        return key

    async def remove(self, actor: Actor, name: str, fingerprint: str) -> None:
        """Take a key away: one's own, or (administrators) anybody's. NotFound."""
        self.domain.accounts.check_self(actor, name, Permission.ACCOUNT)
        found = [key for key in await self.list(actor, name) if key.fingerprint == fingerprint]
        if not found:
            raise NotFound("There is no such key.")

        def edit(user: User) -> None:
            user.ssh_keys = [key for key in user.ssh_keys if key.fingerprint != fingerprint]

        await self.domain.accounts.change_user(name, edit)
        await self._changed(actor, name, "key.removed", found[0])

    async def _changed(self, actor: Actor, name: str, act: str, key: PublicKey) -> None:
        await self.domain.activity.record(actor, act, name, who=name, detail=key.fingerprint, security=True)
        await self.domain.jobs.add(_KIND, "", {"user": name}, name, max_attempts=12)

    async def _spread(self, job: Job, progress: Progress) -> None:
        """The job: every node that has an account of the person gets the keys as they are now. Tried again for silent ones."""
        name = str(job.payload["user"])
        user = await self.domain.accounts.find(name)
        incarnation = user.incarnation if user is not None else ""
        lines = [key.line for key in user.ssh_keys] if user is not None else []
        silent = []
        for node in (each.id for each in self.domain.nodes.list() if "compute" in each.roles):
            try:
                command = KeepAccount(user=name, incarnation=incarnation, keys=lines)
                await ask(self.bus, names.address("compute", node), command, _SECONDS)
            except Unavailable:
                silent.append(node)
            except AenError as error:
                await progress(0.5, f"{node}: {error.message}")
        if silent:
            raise Unavailable(f"Not heard: {', '.join(silent)}. The keys are installed there when they are.")
