"""An app told in YAML: any HTTP server that takes a socket or a port and a prefix."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Any

from aen.apps import App, Command, Launch, Seen
from aen.apps.surroundings import surroundings
from aen.config.model import App as Told

_PLACES = re.compile(r"\{(socket|port|prefix|project|user)\}")


class CommandServer:
    """One app server with one entry of the same name."""

    def __init__(self, name: str, told: Told) -> None:
        self.name = name
        self.shared = told.shared
        self._told = told

    def apps(self) -> Sequence[App]:
        """Its one entry."""
        title = self._told.title or self.name
        return (App(self.name, title, f"{title} in the project", self._told.icon, self.name, ""),)

    def command(self, launch: Launch) -> Command:
        """How to start it: exactly {socket} {port} {prefix} {project} {user} are replaced, every other brace stays."""
        places = {
            "socket": f"{launch.run_dir.rstrip('/')}/s",
            "prefix": launch.prefix,
            "project": str(launch.project_dir),
            "user": launch.user,
        }
        by_port = any("{port}" in part for part in [*self._told.command, *self._told.env.values()])
        if by_port:
            places["port"] = str(_free_port())

        def filled(text: str) -> str:
            return _PLACES.sub(lambda found: places.get(found[1], found[0]), text)

        program, *arguments = [filled(part) for part in self._told.command]
        return Command(
            argv=["/usr/bin/env", program, *arguments],  # found on the PATH of the project
            environ={**surroundings(launch), **{key: filled(value) for key, value in self._told.env.items()}},
            cwd=launch.home,
            upstream=f"tcp:127.0.0.1:{places['port']}" if by_port else f"unix:{places['socket']}",
            ready=self._told.ready,
            strip=self._told.strip_prefix,
        )

    async def activity(self, launch: Launch, get_json: Any) -> Seen | None:
        """An app of any kind can't say."""
        return None


def _free_port() -> int:
    """A port that is free now. Somebody may be faster: then the app doesn't start, and says so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
