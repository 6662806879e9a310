"""Apps: what people can start. This is the contract; `jupyter.py` is JupyterLab, Notebook and Terminal, `command.py` any app told in YAML.

An app server is the process; one or more apps are its entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aen import plugins
from aen.config import Config
from aen.errors import Invalid
from aen.languages import USER_SIDE as LANGUAGES_SIDE
from aen.links import BOARD, SHARED


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

    user: str  # the person's name in AEN: what the gateway says
    account: str  # the Linux account it runs as
    home: str
    project_dir: Path
    run_dir: str  # its socket goes here
    prefix: str  # /owner/project/jupyter/
    secret: str  # the gateway proves itself with it
    apps_python: Path  # interpreter of the environment that app servers run in
    environment: Path  # the project's default environment
    gateway_origin: str
    server_url: str = ""  # the way back
    shell: str = "/bin/bash"  # what terminals run: bash or zsh
    told: Mapping[str, str] = field(default_factory=dict)  # what the server says of this very session (shown to anyone)


@dataclass(frozen=True)
class Command:
    """How to run it. `upstream` is `unix:<socket>` or `tcp:127.0.0.1:<port>`; `ready` is asked below the prefix until it answers."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: str
    upstream: str
    ready: str
    limits: Mapping[str, int] = field(default_factory=dict)
    strip: bool = False  # it sees paths without its prefix


@dataclass(frozen=True)
class Seen:
    """What an app server says of its activity. `at` in ms since 1970; `source` for people."""

    at: int
    source: str
    busy: bool = False
    since: int = 0  # while busy: since when


class AppServer(Protocol):
    """One kind of app server."""

    name: str
    shared: bool
    # And, if it only looks at files, `looks_only = True`: then viewers of a project may open it too.
    # And, if it has several entries, `title`: what a session of it is called, which all of them share.

    def apps(self) -> Sequence[App]:
        """Its entries."""

    def command(self, launch: Launch) -> Command:
        """How to start it."""

    async def activity(self, launch: Launch, get_json: Any) -> Seen | None:
        """What it says of its activity; `get_json(path)` asks it over its socket. None: it can't say."""


def kind(app_server: str) -> str:
    """The app server that serves an address's third part: what a link shows, the Viewer shows."""
    if app_server.startswith(BOARD):
        return "deployed"
    return "viewer" if app_server.startswith(SHARED) else app_server


def looks_only(server: AppServer) -> bool:
    """Whether it changes and executes nothing, so that viewers may open it. Plug-ins need not say."""
    return bool(getattr(server, "looks_only", False))


def title_of(server: AppServer) -> str:
    """What its sessions are called: its one entry's title, or its own where several entries share a session."""
    entries = server.apps()
    return entries[0].title if len(entries) == 1 else str(getattr(server, "title", server.name))


def user_sides() -> list[Path]:
    """Our packages that run as the user, and what they speak by: copied into the environment that app servers run in."""
    here = Path(__file__).with_name("user_side")
    return [*sorted(path for path in here.iterdir() if (path / "__init__.py").is_file()), LANGUAGES_SIDE]


def servers(config: Config) -> dict[str, AppServer]:
    """The app servers by name: those found through entry points, and those told in the configuration.

    Raises Invalid when an app in the configuration takes a name that is taken, or has no command and is not built in
    (limits of a built-in one are told by its name alone).
    """
    from aen.apps.command import CommandServer  # it imports this contract

    found: dict[str, AppServer] = {}
    for name in plugins.names("aen.apps"):
        server: AppServer = plugins.load("aen.apps", name)()
        found[server.name] = server
    built_in = set(found)
    for name, told in config.apps.items():
        if not told.command and name in built_in:
            continue
        if not told.command:
            known = ", ".join(sorted(built_in))
            raise Invalid(f"apps.{name}: there is no command, and no built-in app server of that name ({known}).")
        if name.startswith((SHARED, BOARD)):
            raise Invalid(f"apps.{name}: names that begin with {SHARED} or {BOARD} are kept for AEN. Choose another.")
        if name in found or name in {app.name for server in found.values() for app in server.apps()}:
            raise Invalid(f"apps.{name}: there is an app of that name already. Choose another.")
        found[name] = CommandServer(name, told)
    return found


def catalog(config: Config) -> dict[str, App]:
    """All apps by name, in the order in which people see them: built-in ones first."""
    return {app.name: app for server in servers(config).values() for app in server.apps()}
