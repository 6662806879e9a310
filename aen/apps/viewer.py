"""Viewer: a project's files to look at, notebooks with what they showed, run as the person. Nothing is executed or changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aen.apps import App, Command, Launch, Seen
from aen.apps.surroundings import surroundings

#: Copied into the site-packages of the `apps` environment: it runs as the user.
USER_SIDE = Path(__file__).with_name("user_side") / "aen_viewer"


class ViewerServer:
    """The Viewer of one person in one project."""

    name = "viewer"
    shared = False

    def apps(self) -> Sequence[App]:
        """Its one entry."""
        description = "Notebooks, Markdown, code and pictures to look at"
        return (App("viewer", "Viewer", description, "search", self.name, ""),)

    def command(self, launch: Launch) -> Command:
        """How to start it."""
        socket = f"{launch.run_dir.rstrip('/')}/s"
        return Command(
            # -P and cwd: a folder that a team may write to must not be on sys.path.
            argv=[str(launch.apps_python), "-P", "-m", USER_SIDE.name, socket, launch.prefix],
            environ={**surroundings(launch), "AEN_APP_TOKEN": launch.secret},
            cwd=launch.home,
            upstream=f"unix:{socket}",
            ready=".aen/ready",  # hidden files are not shown: no file of the project can have this address
        )

    async def activity(self, launch: Launch, get_json: Callable[[str], Awaitable[Any]]) -> Seen | None:
        """When somebody last looked at something: its pages ask nothing by themselves."""
        seen = await get_json(".aen/ready")
        return Seen(int(seen["last_activity"]), "a page that was opened")
