"""Conda environments, as the user."""

from __future__ import annotations

from typing import Any

from aen_environments import Refused

Tool = dict[str, Any]
_NOT_YET = "This environment was made by conda, which this node is not set up for (environments.backend)."


def make(tool: Tool, place: str, final: str, packages: list[str], requirements: str) -> None:
    raise Refused(_NOT_YET)


def install(tool: Tool, path: str, packages: list[str], requirements: str) -> None:
    raise Refused(_NOT_YET)


def uninstall(tool: Tool, path: str, packages: list[str]) -> None:
    raise Refused(_NOT_YET)


def sync(tool: Tool, path: str, lock: list[str]) -> None:
    raise Refused(_NOT_YET)


def clone(tool: Tool, source: str, place: str, final: str) -> None:
    raise Refused(_NOT_YET)
