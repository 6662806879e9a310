"""Plug points: built-ins and anyone's plug-ins are found the same way, through entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from aen.errors import Invalid

GROUPS = ("aen.buses", "aen.stores", "aen.logins", "aen.launchers", "aen.environments", "aen.apps", "aen.placements")


def names(group: str) -> list[str]:
    """The names that a plug point knows, sorted."""
    return sorted({entry.name for entry in entry_points(group=group)})


def modules(group: str, name: str = "") -> set[str]:
    """The modules in which the plug-ins of `group` stand; with `name`, only that one's. Imports none of them."""
    return {entry.module for entry in entry_points(group=group) if name in ("", entry.name)}


def load(group: str, name: str) -> Any:
    """The object that the entry point `name` of `group` names.

    Raises Invalid when there is none; the message lists those that exist.
    """
    for entry in entry_points(group=group, name=name):
        return entry.load()
    known = ", ".join(names(group)) or "none"
    raise Invalid(f"There is no {group} plug-in named {name!r}. Known: {known}.")
