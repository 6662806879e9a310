"""Workbench: the files of a project over HTTP, run as the person: browse, upload, edit, permissions, trash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aen.apps import App, Command, Launch, Seen
from aen.apps.surroundings import surroundings

#: Copied into the site-packages of the `apps` environment: it runs as the user.
USER_SIDE = Path(__file__).with_name("user_side") / "aen_workbench"


class WorkbenchServer:
    """The Workbench of one person in one project."""

    name = "workbench"
    shared = False

    def apps(self) -> Sequence[App]:
        """Its one entry."""
        description = "The project's files: upload, edit, say who may read them, bring back"
        return (App("workbench", "Workbench", description, "project", self.name, ""),)

    def command(self, launch: Launch) -> Command:
        """How to start it."""
        socket = f"{launch.run_dir.rstrip('/')}/s"
        return Command(
            # -P and cwd: a folder that a team may write to must not be on sys.path.
            argv=[str(launch.apps_python), "-P", "-m", USER_SIDE.name, socket, launch.prefix],
            environ={**surroundings(launch), "AEN_APP_TOKEN": launch.secret},
            cwd=launch.home,
            upstream=f"unix:{socket}",
            ready="api/ready",
        )

    async def activity(self, launch: Launch, get_json: Callable[[str], Awaitable[Any]]) -> Seen | None:
        """When somebody last looked at or did something; what an open tab asks by itself is none."""
        seen = await get_json("api/ready")
        busy = bool(seen["busy"])
        return Seen(int(seen["last_activity"]), "an upload" if busy else "files", busy=busy)
