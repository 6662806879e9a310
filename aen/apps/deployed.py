"""Deployed: what runs a dashboard of a project (Voila, Panel, Streamlit), from the project's own environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from aen.apps import App, Command, Launch, Seen
from aen.apps.command import CommandServer
from aen.config.model import App as Told
from aen.errors import Invalid

#: Kind → what is run, with {file}, and the path that answers once it is up. The gateway checks logins and Origin.
_KINDS: dict[str, tuple[list[str], str]] = {
    "voila": (
        ["voila", "--no-browser", "--port={port}", "--Voila.ip=127.0.0.1", "--Voila.base_url={prefix}", "--token="],
        "",
    ),
    "panel": (
        ["panel", "serve", "--unix-socket={socket}", "--prefix={prefix}", "--allow-websocket-origin=*"],
        "",
    ),
    "streamlit": (
        [
            "streamlit",
            "run",
            "--server.port={port}",
            "--server.address=127.0.0.1",
            "--server.baseUrlPath={prefix}",
            "--server.headless=true",
            "--server.enableCORS=false",
            "--server.enableXsrfProtection=false",
            "--browser.gatherUsageStats=false",
        ],
        "_stcore/health",
    ),
}
#: Says in the log what to do when the environment has no such program.
_LOOK = (
    'command -v "$0" >/dev/null || { echo "AEN: $0 is not installed in this environment. Install it on the project\'s page '
    'Environments, then open the dashboard again." >&2; exit 127; }; cd "$(dirname "$1")" && shift && exec "$0" "$@"'
)


class DeployedServer:
    """One dashboard, for all who may view it. It is no app that people start: dashboards have a page of their own."""

    name = "deployed"
    shared = True

    def apps(self) -> Sequence[App]:
        """None."""
        return ()

    def command(self, launch: Launch) -> Command:
        """As the server tells of this very session: its kind and its file."""
        kind, path = launch.told.get("kind", ""), unquote(launch.told.get("path", ""))
        if kind not in _KINDS or not path:
            raise Invalid("This dashboard is of no kind that this node knows. Deploy it again.")
        file = f"{launch.project_dir}/{path}"
        arguments, ready = _KINDS[kind]
        told = Told(command=["sh", "-c", _LOOK, arguments[0], file, *arguments[1:], file], ready=ready)
        return CommandServer(self.name, told).command(launch)

    async def activity(self, launch: Launch, get_json: Any) -> Seen | None:
        """It can't say: what passes through the gateway counts."""
        return None
