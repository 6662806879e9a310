"""Linux accounts of people, and the register of those that AEN made. Runs as root (or single: as who started AEN)."""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from aen.errors import Conflict, Invalid, NotFound
from aen.launchers import Account, ForeignAccount, Policy, passwd
from aen.launchers.register import Register, Standing, standing

_TRIES = 20  # for a number that nobody takes at the same moment
LEAST_UID = 1000  # below are the system's own accounts


def link(state_dir: str, name: str, first_uid: int = 20000) -> Account:
    """Let AEN use an account that it did not make (an administrator's decision; root only).

    Raises NotFound or Invalid (a system account). For the command line: no verb of the launcher leads here.
    """
    entry = passwd.entry(name)
    if entry is None:
        raise NotFound(
            f"There is no Linux account {name!r} on this node, so there is none to link. AEN makes one at the first session "
            "(accounts.mode: managed)."
        )
    _refuse_system(entry, -1)
    with Register(state_dir, first_uid).changing() as data:
        data["accounts"][name] = {"uid": entry.pw_uid, "made": False, "at": int(time.time())}
    return _account(entry)


def make_again(state_dir: str, shell: str) -> Iterator[str]:
    """Make what the register has and Linux has not, with the numbers of then: after a backup went to another machine.

    Files and ACLs hold the numbers. Says what was done, line by line; for the command line, as root.
    """
    if not os.path.isdir(state_dir):
        return  # nothing was put back yet
    with Register(state_dir, LEAST_UID).changing() as data:
        for name, known in sorted(data["accounts"].items()):
            uid = int(known["uid"])
            if not known["made"] or known.get("retired") or passwd.entry(name) is not None:
                continue
            if passwd.taken(uid):
                yield f"account {name}: not made, because {uid}, its number, is somebody else's here"
                continue
            passwd.add(name, uid, shell)
            yield f"account {name}: made with its number, {uid}"


class Accounts:
    """The accounts that AEN may act as on this node."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.register = Register(policy.state_dir, policy.first_uid)

    def find(self, user: str) -> Account:
        """The account of `user` as it is. Raises NotFound, ForeignAccount, Conflict or Invalid; makes nothing."""
        if self._policy.mode == "single":
            return _running_account()
        entry = passwd.entry(user)
        if entry is None:
            raise NotFound(f"{user} has no Linux account on this node yet.")
        self._refuse(entry)
        if self._policy.mode == "managed" and self.register.retired(user):
            raise Conflict(
                f"The Linux account {user} belonged to somebody who was removed, and is locked. When an administrator "
                f"has removed it (userdel {user}) and moved {entry.pw_dir} away, {user} gets a new one."
            )
        return _account(entry)

    def retire(self, user: str) -> None:
        """Lock the account that AEN made for `user`: no password, no key, no shell. Its files stay. May be done twice."""
        entry = passwd.entry(user)
        if entry is None or not self.made_by_us(user) or self.register.get(user) != entry.pw_uid:
            return
        with self.register.changing() as data:
            data["accounts"][user]["retired"] = int(time.time())
        passwd.lock(user)

    def told(self, user: str) -> dict[str, Any]:
        """What there is of `user` on this node."""
        entry = None if self._policy.mode == "single" else passwd.entry(user)
        if entry is None:
            return {"exists": False, "note": self._why_none(user)}
        made = self.made_by_us(user) and self.register.get(user) == entry.pw_uid
        known = {"exists": True, "made": made, "uid": entry.pw_uid, "home": entry.pw_dir}
        return known | {"locked": made and self.register.retired(user), "note": self._why_not(entry)}

    def _why_none(self, user: str) -> str:
        """Why there can be no account of that name; empty when one is made at the first session."""
        if self._policy.mode == "existing":
            return f"{user} has no Linux account on this node, and AEN makes none here (accounts.mode: existing)."
        try:
            if self._policy.mode == "managed":
                passwd.check_home(user)
        except Conflict as error:
            return error.message
        return ""

    def _why_not(self, entry: pwd.struct_passwd) -> str:
        """Why AEN may not use this account; empty when it may."""
        try:
            self._refuse(entry)
        except (Conflict, Invalid) as error:
            return error.message
        return ""

    def uid_before(self, user: str) -> int | None:
        """The uid that `user` has or had here: whose files an ex-member's are. None: never seen."""
        if self._policy.mode == "single":
            return None
        known = self.register.get(user) if self._policy.mode == "managed" else None
        if known is not None:
            return known
        try:
            return self.find(user).uid
        except (NotFound, Conflict, Invalid):
            return None

    def uids_before(self, user: str) -> set[int]:
        """All uids that people called `user` have or had here, as far as known."""
        now = {self.uid_before(user)} - {None}
        earlier = self.register.uids(user) if self._policy.mode == "managed" else set()
        return now | earlier  # type: ignore[return-value]

    def made_by_us(self, user: str) -> bool:
        """Whether AEN made the account: then all that runs on it may be ended."""
        return self._policy.mode == "managed" and self.register.made(user)

    def ensure(self, user: str, incarnation: str = "") -> Account:
        """The account of `user`, made when it is missing and the mode allows.

        `incarnation` tells a recreated name from its earlier bearer, whose account is set aside: nothing is inherited.
        """
        if self._policy.mode == "managed" and not self.settled(user, incarnation):
            self._settle(user, incarnation)
        try:
            return self.find(user)
        except NotFound:
            if self._policy.mode == "existing":
                raise Conflict(
                    f"{user} has no Linux account on this node, and AEN makes none here (accounts.mode: existing). "
                    "Ask an administrator to add it."
                ) from None
        with self.register.changing() as data:
            if passwd.entry(user) is None:  # nobody was faster
                self._make(user, data, incarnation)
        return self.find(user)

    def settled(self, user: str, incarnation: str) -> bool:
        """Whether an account of that name, if there is one, is this incarnation's for all we know."""
        return self._policy.mode != "managed" or self.register.stands_for(user, incarnation) is Standing.THEIRS

    def of_another(self, user: str, incarnation: str) -> bool:
        """Whether the account of that name is somebody else's than this incarnation's."""
        others = (Standing.EARLIER, Standing.LATER)
        return self._policy.mode == "managed" and self.register.stands_for(user, incarnation) in others

    def _settle(self, user: str, incarnation: str) -> None:
        with self.register.changing() as data:
            known, found = data["accounts"].get(user), standing(data, user, incarnation)
            if found is Standing.LATER:
                raise Conflict(f"Who was called {user} was removed, and somebody else has the name now.")
            if found is Standing.EARLIER and known["made"]:
                account = passwd.set_aside(user, int(known["uid"]))
                data.setdefault("before", []).append(
                    {"incarnation": "", **known, "name": user, "account": account, "at": int(time.time())}
                )
            if found is Standing.EARLIER:  # one that an administrator linked was linked for the earlier person alone
                del data["accounts"][user]
            elif known:
                known["incarnation"] = incarnation

    def _make(self, user: str, data: dict[str, Any], incarnation: str) -> None:
        if earlier := data["accounts"].pop(user, None):  # somebody removed it by hand, or we were killed at this
            if earlier["made"]:
                passwd.clear(user, int(earlier["uid"]))
            data.setdefault("before", []).append({"incarnation": "", **earlier, "name": user})
        for _ in range(_TRIES - 1):
            with suppress(passwd.NumberTaken):
                return self._add(user, data, incarnation)
        return self._add(user, data, incarnation)

    def _add(self, user: str, data: dict[str, Any], incarnation: str) -> None:
        """Registered first: an account without its line in the register would never be ours again."""
        uid = self.register.next_uid(data)
        data["accounts"][user] = {"uid": uid, "made": True, "at": int(time.time()), "incarnation": incarnation}
        self.register.keep(data)
        try:
            passwd.add(user, uid, self._policy.shell)
        except BaseException:
            del data["accounts"][user]
            self.register.keep(data)
            raise

    def _refuse(self, entry: pwd.struct_passwd) -> None:
        _refuse_system(entry, self._policy.service_uid)
        if self._policy.mode == "managed" and self.register.get(entry.pw_name) != entry.pw_uid:
            raise ForeignAccount(
                f"There is a Linux account {entry.pw_name!r} on this node that AEN did not make, so AEN does not use it. "
                f"An administrator can allow it, as root on the node: aen user link {entry.pw_name}"
            )


def _refuse_system(entry: pwd.struct_passwd, service_uid: int) -> None:
    if entry.pw_uid == service_uid:
        raise Invalid(f"{entry.pw_name} is the account that AEN itself runs as: it can't own or start projects.")
    if entry.pw_uid < LEAST_UID:
        raise Invalid(
            f"{entry.pw_name} is an account of the system (uid {entry.pw_uid}): it can't own or start projects. "
            "Use another name."
        )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(
        user=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        home=entry.pw_dir,
        shell=entry.pw_shell or "/bin/sh",
        private_group=_is_private(entry),
    )


def _running_account() -> Account:
    """Who we are. A container may run us under a uid that has no account: then our home is what HOME says."""
    uid = os.geteuid()
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return Account(f"uid{uid}", uid, os.getegid(), os.environ.get("HOME", "/"), "/bin/sh", False)


def _is_private(entry: pwd.struct_passwd) -> bool:
    """Whether nobody else is in the account's primary group."""
    try:
        members = grp.getgrgid(entry.pw_gid).gr_mem
    except KeyError:
        members = []
    others = (other for other in pwd.getpwall() if other.pw_gid == entry.pw_gid and other.pw_uid != entry.pw_uid)
    return not set(members) - {entry.pw_name} and next(others, None) is None
