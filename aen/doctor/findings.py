"""Findings: what an examination of `aen doctor` looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aen.config import Config
from aen.config.machine import Machine


@dataclass(frozen=True)
class Patient:
    """What is examined."""

    config: Config
    machine: Machine
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Finding:
    """`state` is ok, warning or problem; `message` says what is, and what to do if that isn't well."""

    what: str
    state: str
    message: str


def ok(what: str, message: str) -> Finding:
    """It is well."""
    return Finding(what, "ok", message)


def warning(what: str, message: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(what, "warning", message)


def problem(what: str, message: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding(what, "problem", message)
