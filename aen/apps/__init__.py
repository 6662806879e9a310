"""Apps: what people can start. This is the contract; `jupyter.py` is JupyterLab, Notebook and Terminal, `command.py` any app told in YAML.

An app server is the process; one or more apps are its entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class App:
    """One kind of thing a person can open."""

    name: str  # jupyterlab
    title: str  # JupyterLab
    description: str  # what it is for, one line
    icon: str
    server: str  # its app server: jupyter
    landing: str  # path below the app server's base address: "lab"


@dataclass(frozen=True)
class Launch:
    """What an app server is told when it starts."""

    user: str
    home: str
    project_dir: Path
    run_dir: str  # its socket goes here
    prefix: str  # /owner/project/jupyter/
    secret: str  # the gateway proves itself with it
    apps_python: Path  # interpreter of the environment that app servers run in
    environment: Path  # the project's default environment
    gateway_origin: str


@dataclass(frozen=True)
class Command:
    """How to run it. `upstream` is `unix:<socket>` or `tcp:127.0.0.1:<port>`; `ready` is asked below the prefix until it answers."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: str
    upstream: str
    ready: str
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What an app server says of its activity. `at` in ms since 1970; `source` for people."""

    at: int
    source: str
    busy: bool = False


class AppServer(Protocol):
    """One kind of app server."""

    name: str
    shared: bool

    def apps(self) -> Sequence[App]:
        """Its entries."""

    def command(self, launch: Launch) -> Command:
        """How to start it."""

    async def activity(self, launch: Launch, get_json: Any) -> Seen | None:
        """What it says of its activity; `get_json(path)` asks it over its socket. None: it can't say."""
