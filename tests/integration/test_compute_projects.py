"""Projects at a compute node: prepared, their team changed, renamed, deleted; an app told in the configuration."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen.acl import posix
from aen.acl.permissions import Tag
from aen.messages import (
    ApplyPermissions,
    CheckPermissions,
    DeleteProject,
    PathRightsOf,
    PermissionsReport,
    PermissionsWalked,
    PrepareProject,
    ProjectReported,
    RenameProject,
)
from aen.model.drift import Drift
from aen.model.project import Member, ProjectState, Role
from aen.model.rights import PathRights, RightsWish
from aen.model.session import Phase, StepState
from tests.computing import MATE, NODE, OWNER, Box, box, project, start
from tests.launching import Place, place
from tests.waiting import until

pytestmark = pytest.mark.root

# A web server in eight lines: any program that takes a port will do.
SERVE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


# Binds, waits until it was let through to, shuts that door, and only then serves.
LATE = """
import http.server, os, socketserver, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def address_string(self):
        return "unix"
class Server(socketserver.UnixStreamServer):
    def server_activate(self):
        bound = os.stat(sys.argv[1]).st_ctime_ns
        while os.stat(sys.argv[1]).st_ctime_ns == bound:
            time.sleep(0.01)
        os.chmod(sys.argv[1], 0o600)
        super().server_activate()
Server(sys.argv[1], Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    """A place for a compute role that makes accounts."""
    with place("managed") as made:
        yield made


async def prepared(running: Box, name: str) -> None:
    """Prepare a project and wait until it is."""
    await running.ask(PrepareProject(project=project(name)))

    async def look() -> bool:
        mine = [one for one in running.projects if one.project == f"id-{name}"]
        assert not any(one.state is ProjectState.PROBLEM for one in mine), mine[-1].reason
        return any(one.state is ProjectState.RUNNING for one in mine)

    await until(look, 200, f"{name} is prepared")


def may_read(user: str, path: Path) -> bool:
    """Whether that person's processes can read a file."""
    entry = pwd.getpwnam(user)
    ids = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return subprocess.run(["cat", str(path)], capture_output=True, **ids).returncode == 0  # type: ignore[call-overload, no-any-return]


async def test_life_of_a_project(here: Place) -> None:
    folder = Path(here.policy.project_root, OWNER)
    async with box(here) as running:
        await prepared(running, "life")
        assert (folder / "life" / "public" / "README.md").exists()
        assert (folder / "life" / "envs" / "default" / "bin" / "python").exists()
        last = running.projects[-1]
        assert [step.state for step in last.steps] == [StepState.DONE] * 4

        note = folder / "life" / "README.md"
        assert may_read(MATE, note)
        smaller = project("life").model_copy(update={"team": [Member(user=OWNER, role=Role.OWNER)], "former": [MATE]})
        report = await running.ask(ApplyPermissions(project=smaller))
        assert isinstance(report, PermissionsReport)
        assert report.looked_at > 3
        assert not may_read(MATE, note)
        await running.ask(ApplyPermissions(project=project("life"), repair=True))
        assert may_read(MATE, note)

        await running.ask(RenameProject(project=project("life"), new_name="after"))
        assert os.listdir(folder) == ["after"]
        renamed = project("life").model_copy(update={"name": "after"})
        await running.ask(DeleteProject(project=renamed))
        await running.ask(DeleteProject(project=renamed))  # fine when it is gone
        assert os.listdir(folder) == []


async def drift_of(running: Box, name: str) -> Drift:
    found = await running.ask(CheckPermissions(project=project(name)))
    assert isinstance(found, Drift)
    return found


async def test_drift_is_found_and_repaired(here: Place) -> None:
    folder = Path(here.policy.project_root, OWNER, "drift")
    async with box(here) as running:
        walked: list[PermissionsWalked] = []

        async def heard(event: PermissionsWalked) -> None:
            walked.append(event)

        running.bus.subscribe(PermissionsWalked, heard)
        await prepared(running, "drift")
        assert (await drift_of(running, "drift")).differing == 0
        (folder / "README.md").chmod(0o600)
        found = await drift_of(running, "drift")
        assert [(item.path, item.lacks) for item in found.items] == [("README.md", {MATE: "rw"})]
        assert (found.differing, found.unreadable) == (1, {MATE: 1})
        assert not may_read(MATE, folder / "README.md")
        report = await running.ask(ApplyPermissions(project=project("drift"), repair=True))
        assert isinstance(report, PermissionsReport)
        assert (report.changed, may_read(MATE, folder / "README.md")) == (1, True)

        async def told() -> bool:
            return bool(walked) and walked[-1].looked_at > 2000

        await until(told, 5, "the walk tells how far it is")
        assert (await drift_of(running, "drift")).differing == 0
        assert (await drift_of(running, "never")).notes
        wish = RightsWish(rights={MATE: ""})
        there = await running.ask(PathRightsOf(project=project("drift"), path="README.md", wish=wish))
        assert isinstance(there, PathRights)
        assert (there.changed, [(each.user, each.given) for each in there.people]) == (1, [(MATE, "")])
        assert not may_read(MATE, folder / "README.md")
        assert (await drift_of(running, "drift")).differing == 0  # it is meant so
        await running.ask(DeleteProject(project=project("drift")))


async def test_a_start_that_a_member_blocked_goes_on_after_a_reset(here: Place) -> None:
    folder = Path(here.policy.project_root, OWNER, "blocked")
    async with box(here) as running:
        await prepared(running, "blocked")
        mate = pwd.getpwnam(MATE)
        script = "mv envs mine && ln -s /etc envs"
        subprocess.run(
            ["sh", "-c", script], cwd=folder, user=mate.pw_uid, group=mate.pw_gid, extra_groups=[], check=True
        )
        running.projects.clear()
        await running.ask(PrepareProject(project=project("blocked")))

        async def over() -> ProjectReported | None:
            last = running.projects[-1] if running.projects else None
            return last if last is not None and last.state is not ProjectState.STARTING else None

        refused = await until(over, 60, "the start is refused")
        assert refused.state is ProjectState.PROBLEM
        assert f"`envs` is a symlink that belongs to {MATE}" in refused.reason
        report = await running.ask(ApplyPermissions(project=project("blocked"), clear=True))
        assert isinstance(report, PermissionsReport)
        assert "moved aside as `envs.moved-aside-1`" in report.notes[0]
        running.projects.clear()
        await prepared(running, "blocked")
        assert (folder / "envs" / "default" / "bin" / "python").exists()
        await running.ask(DeleteProject(project=project("blocked")))


async def test_team_of_a_project_that_was_never_started(here: Place) -> None:
    async with box(here) as running:
        report = await running.ask(ApplyPermissions(project=project("never")))
        assert isinstance(report, PermissionsReport)
        assert report.changed == 0
        assert report.notes


async def test_deleting_ends_its_sessions(here: Place) -> None:
    async with box(here) as running:
        await running.started(start(name="gone"))
        await running.ask(DeleteProject(project=project("gone")))
        assert running.sessions[-1].phase is Phase.STOPPED
        assert running.role.sessions.running() == []
        assert not Path(here.policy.project_root, OWNER, "gone").exists()


async def test_app_told_in_the_configuration(here: Place) -> None:
    told = {"title": "Small", "command": ["python", "-c", SERVE, "{port}"], "ready": "x"}
    async with box(here, apps={"small": told}) as running:
        report = await running.started(start(name="told", server="small"))
        assert report.upstream.startswith("tcp:127.0.0.1:")
        assert report.uid == pwd.getpwnam(OWNER).pw_uid
        await running.ask(DeleteProject(project=project("told")))


async def test_app_that_sets_its_sockets_mode_late(here: Place) -> None:
    """As panel does: bound, then 0600, which takes the rights of everybody named."""
    told = {"title": "Late", "command": ["python", "-c", LATE, "{socket}"], "ready": "x"}
    async with box(here, apps={"late": told}) as running:
        report = await running.started(start(name="late", server="late"))
        fd = os.open(report.upstream.removeprefix("unix:"), os.O_PATH)
        rights = {entry.tag: entry.rights for entry in posix.read(fd)}
        os.close(fd)
        assert rights[Tag.MASK] == 6
        await running.ask(DeleteProject(project=project("late")))


async def test_heartbeat_tells_how_the_node_is(here: Place) -> None:
    async with box(here) as running:
        await running.ready()

        async def look() -> bool:
            return any(beat.ready for beat in running.beats)

        await until(look, 30, "a heartbeat says ready")
        beat = running.beats[-1]
        assert (beat.node, beat.isolated, beat.roles) == (NODE, True, ["compute"])
        assert beat.load.memory_total > beat.load.memory_free > 0
        assert beat.load.disk_free > 0


async def test_service_account_and_strangers_are_refused(here: Place) -> None:
    async with box(here) as running:
        team = [Member(user=here.service, role=Role.OWNER)]
        spec = project("bad").model_copy(update={"owner": here.service, "team": team})
        await running.ask(start(name="bad").model_copy(update={"project": spec, "user": here.service}))
        report = await running.reported(start(name="bad").session, Phase.PROBLEM)
        assert here.service in report.reason
        assert report.steps[0].state is StepState.FAILED
