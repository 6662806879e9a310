"""Environments: what a project's code runs with. This is the contract; `venv.py` (uv) is the embedded default.

A root environment is built once for a node, is read-only and owned by the service account; a project's `default` is a clone of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Progress = Callable[[str, float], None]  # (what is being done, 0 to 1)

#: The program that shows and changes environments as their user; it lies in the environment of the apps.
USER_SIDE = Path(__file__).with_name("user_side") / "aen_environments"


@dataclass(frozen=True)
class RootEnvironment:
    """A finished root environment. `python` is its interpreter, which every account can execute."""

    name: str  # "root" (cloned into projects) or "apps" (the app servers run in it)
    version: str
    path: Path
    python: Path


class Backend(Protocol):
    """What every kind of environment does."""

    async def ensure_root(self, name: str, progress: Progress) -> RootEnvironment:
        """The root environment `name`, built when it is missing (beside, then renamed into place)."""

    async def tool(self) -> dict[str, Any]:
        """What the user's program is told of how environments are made here: `kind`, and what that kind needs."""

    def python(self, environment: Path) -> Path:
        """The interpreter of an environment in a project."""

    def activate(self, environment: Path) -> dict[str, str]:
        """Environment variables by which a shell or kernel works in it (PATH is to be put in front)."""
