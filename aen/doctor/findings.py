"""Findings: what an examination of `aen doctor` looks at, and what it says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aen.config import Config
from aen.config.machine import Machine
from aen.credentials import Credentials

ALL = ("server", "gateway", "compute")


@dataclass(frozen=True)
class Patient:
    """What is examined: one node with its configuration. `inside`: by the node itself, while it runs."""

    config: Config
    machine: Machine
    files: tuple[Path, ...]
    roles: tuple[str, ...] = ALL
    credentials: Credentials | None = None
    inside: bool = False

    @property
    def root(self) -> bool:
        """Whether we may do now what only root may: a running node may not, although it was started as root."""
        return os.geteuid() == 0


@dataclass(frozen=True)
class Finding:
    """`state` is ok, warning or problem; `message` says what is, `cure` what to do if that isn't well."""

    what: str
    state: str
    message: str
    cure: str = ""


def ok(what: str, message: str) -> Finding:
    """It is well."""
    return Finding(what, "ok", message)


def warning(what: str, message: str, cure: str = "") -> Finding:
    """It works, and somebody should know."""
    return Finding(what, "warning", message, cure)


def problem(what: str, message: str, cure: str = "") -> Finding:
    """It does not work, or is not safe."""
    return Finding(what, "problem", message, cure)
