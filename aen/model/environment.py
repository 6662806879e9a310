"""Environments of a project as people see them: what is in them, how they change, what they were."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from aen.model import Word, now

DEFAULT = "default"  # the environment that every project has
LARGEST_FILE = 160 * 1024  # bytes of a requirements file or lock: a hundred packages with their hashes


class Act(StrEnum):
    """What can be done with an environment."""

    STANDARD = "standard"  # a new one with the packages of the node's root environment
    CREATE = "create"  # a new one from packages, or from a requirements file or lock
    CLONE = "clone"
    REMOVE = "remove"
    INSTALL = "install"
    UNINSTALL = "uninstall"
    ROLL_BACK = "roll-back"


class EnvironmentChange(Word):
    """One change that somebody wants. Which fields count depends on the act."""

    act: Act
    name: str
    source: str = ""  # clone: the environment that is copied
    packages: list[str] = Field(default_factory=list)
    requirements: str = ""  # the text of a requirements file, a lock or an environment.yml
    number: int = 0  # roll back: to this entry of the history


class ChangeReport(Word):
    """How a change is doing, or how it ended. `output` is the end of what the installer said."""

    id: str
    act: Act
    name: str
    user: str
    detail: str = ""
    state: Literal["running", "done", "failed"] = "running"
    reason: str = ""
    output: str = ""
    since: int = Field(default_factory=now)
    ended: int = 0


class EnvironmentInfo(Word):
    """One environment. Sizes in bytes on the disk, each inode once; `shared` lies elsewhere too and costs nothing more."""

    name: str
    kind: str = "venv"
    python: str = ""
    packages: int = 0
    bytes: int = 0
    shared: int = 0
    kernel: bool = False  # whether notebooks can run in it
    changed: int = 0  # ms since 1970


class HistoryEntry(Word):
    """One moment of an environment. `changes` are lines for people, against the entry before."""

    number: int
    at: int
    user: str = ""
    act: str = ""
    detail: str = ""
    changes: list[str] = Field(default_factory=list)
    packages: int = 0


class EnvironmentList(Word):
    """All environments of a project. `bytes`: all together, each inode once; `change` goes on or ended last."""

    environments: list[EnvironmentInfo] = Field(default_factory=list)
    bytes: int = 0
    change: ChangeReport | None = None


class EnvironmentDetail(Word):
    """One environment in full. `packages`: name, version, build; `differences`: name, version now, version then."""

    environment: EnvironmentInfo | None = None
    packages: list[list[str]] = Field(default_factory=list)
    lock: str = ""
    yml: str = ""
    history: list[HistoryEntry] = Field(default_factory=list)
    differences: list[list[str]] = Field(default_factory=list)
