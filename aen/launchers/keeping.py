"""Keeping: who keeps the limits of sessions on this machine. systemd where it runs, else control groups, else rlimits alone."""

from __future__ import annotations

import os

from aen.launchers.cgroups import Cgroups, Kept
from aen.launchers.loop import Loop
from aen.launchers.systemd import Scopes, held_by_systemd


def keeper(label: str, loop: Loop) -> Kept:
    """The one that this machine lets us use."""
    return Scopes(label, loop) if Scopes.usable() else Cgroups(label)


def kept_here() -> tuple[str, frozenset[str]]:
    """How limits are kept on this machine, and which of them for a whole session: tried, and tidied up again."""
    if Scopes.usable():
        return Scopes.how, held_by_systemd()
    found = Cgroups(f"{os.getpid():08x}")
    try:
        return found.how, found.holds
    finally:
        found.close()
