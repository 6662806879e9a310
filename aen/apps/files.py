"""Files: what our own apps for files have in common. They run as the user, from the environment of the apps, on a socket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aen.apps import App, Command, Launch, Seen
from aen.apps.surroundings import surroundings

#: What is in here is copied into the site-packages of the `apps` environment.
USER_SIDES = Path(__file__).with_name("user_side")


class FilesServer:
    """One of our programs that show files: one person in one project. A subclass says which."""

    shared = False
    name: str
    package: str  # below USER_SIDES
    ready: str  # asked until it answers, and later for when somebody last did something
    entry: App
    used = "a page that was opened"  # what counts as use

    def apps(self) -> Sequence[App]:
        """Its one entry."""
        return (self.entry,)

    def command(self, launch: Launch) -> Command:
        """How to start it."""
        socket = f"{launch.run_dir.rstrip('/')}/s"
        return Command(
            # -P and cwd: a folder that a team may write to must not be on sys.path.
            argv=[str(launch.apps_python), "-P", "-m", self.package, socket, launch.prefix],
            environ={
                **surroundings(launch),
                "AEN_APP_TOKEN": launch.secret,
                "AEN_SERVER_URL": launch.server_url,
                "AEN_TOLD": json.dumps(dict(launch.told)),
            },
            cwd=launch.home,
            upstream=f"unix:{socket}",
            ready=self.ready,
        )

    async def activity(self, launch: Launch, get_json: Callable[[str], Awaitable[Any]]) -> Seen | None:
        """When somebody last looked at or did something; what an open tab asks by itself is none."""
        seen = await get_json(self.ready)
        busy = bool(seen.get("busy"))
        return Seen(int(seen["last_activity"]), "an upload" if busy else self.used, busy=busy)
