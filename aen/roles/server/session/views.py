"""Session views: what the API and events say of a session, and its address."""

from __future__ import annotations

from typing import Any

from aen import names
from aen.apps import App, AppServer, kind, title_of
from aen.links import BOARD, SHARED
from aen.model.route import ANYONE
from aen.model.session import LIVE, Phase, Session
from aen.roles.server.domain import Part
from aen.roles.server.session.reports import SILENT_SECONDS, Reports

#: What whoever sees the project is told of its sessions: a public project is seen by everybody.
_TOLD = ("id", "app", "app_server", "title", "project", "user", "phase", "since")


class Shown(Part):
    """How sessions are shown: a part of `Sessions`."""

    apps: dict[str, App]
    servers: dict[str, AppServer]
    reports: Reports

    def title(self, session: Session) -> str:
        """What the session is called, whichever of its apps was opened last; of a dashboard, the dashboard's title."""
        server = None if session.app_server.startswith(BOARD) else self.servers.get(kind(session.app_server))
        return title_of(server) if server is not None else session.app

    def sharing(self, app_server: str) -> list[str]:
        """The titles of the apps that share a session of this app server; nothing where it is one app's alone."""
        titles = [app.title for app in self.apps.values() if app.server == app_server]
        return titles if len(titles) > 1 else []

    def view(self, session: Session) -> dict[str, Any]:
        """The API's JSON: id, app, app_server, project, user, phase, reason, steps, url, open_url, activity, …"""
        report = self.reports.latest(session)
        seen = report if report is not None and report.activity > session.activity else session
        url = self.url(session)
        entry = self.apps.get(session.app)
        silence = self.domain.nodes.silence(session.node)
        running = session.phase is Phase.RUNNING
        in_sight = session.phase not in LIVE or silence <= SILENT_SECONDS
        shown = {"id", "app", "app_server", "user", "phase", "reason", "steps", "log_tail", "since", "created", "node"}
        return {
            **session.model_dump(mode="json", include=shown),
            "title": self.title(session),
            "project": session.slug,
            "url": url,
            "open_url": url + (entry.landing if entry else "") if url else "",
            "activity": seen.activity,
            "activity_source": seen.activity_source,
            "use": report.use.model_dump() if running and report and report.use else None,
            "idle": report.idle.model_dump() if running and report and report.idle else None,
            "in_sight": in_sight,
            "reason": session.reason if in_sight else f"{session.node} has not been heard of for a while",
        }

    def url(self, session: Session) -> str:
        """The app server's base address at its gateway, ending in `/`; empty while the data center is unknown."""
        center = self.domain.nodes.datacenter(session.datacenter)
        if center is None or session.app_server.startswith(SHARED):  # a link's address holds its secret
            return ""
        origin = center.gateway_url.replace("{project}", names.host_label(session.owner, session.name))
        return f"{origin}/{session.owner}/{session.name}/{session.app_server}/"

    def tell(self, session: Session) -> None:
        """Publish the session: all of it on its own topic, what the team may know on the project's."""
        view = self.view(session)
        self.domain.events.publish(f"session:{session.id}", "session", view)
        steps = [{key: step[key] for key in ("name", "state", "seconds")} for step in view["steps"]]
        known = {**{key: view[key] for key in _TOLD}, "steps": steps}
        self.domain.events.publish(f"project:{session.project}", "session", known)
        if session.user not in ("*", ANYONE):
            self.domain.events.publish(f"user:{session.user}", "session", known)
