"""`acl.subject: group`, with real accounts: a group stands for the team, so a new member changes no file."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aen.acl import posix
from aen.acl.permissions import Tag, decode
from aen.config import Config
from aen.errors import Invalid
from aen.launchers import Account, ProjectRef
from aen.launchers.process import ProcessLauncher
from aen.messages import ProjectSpec
from aen.model.project import Member, Role
from aen.roles.compute.projects import Projects
from tests.launching import Place, app, as_user, place

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]

_numbers = itertools.count()


@pytest.fixture(scope="module")
def spot() -> Iterator[Place]:
    with place() as made:
        made.policy = replace(made.policy, acl_subject="group")
        yield made


@pytest.fixture
async def people(launcher: ProcessLauncher) -> dict[str, Account]:
    return {name: await launcher.ensure_account(name) for name in ("aentann", "aentbob", "aentvic")}


def ref(name: str, *former: str, **team: str) -> ProjectRef:
    return ProjectRef("aentann", name, {"aentann": "owner", **team}, former)


async def does(launcher: ProcessLauncher, who: Account, project: ProjectRef, script: str) -> bool:
    """Whether an app of that person in that project can."""
    session = f"{'a' * 13}{'bcdefghijklmnopqrstuvwxyz'[next(_numbers) % 25]}aa"
    spec = app(session, who, script, owner=project.owner, project=project.name)
    async with asyncio.timeout(20):
        return await launcher.exited(await launcher.start(spec)) == 0


def changed(path: Path) -> dict[str, int]:
    """When each inode was changed last."""
    return {str(one): one.lstat().st_ctime_ns for one in (path, *path.rglob("*"))}


async def test_a_new_member_changes_no_file(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    ann, bob, vic = people.values()
    project = ref("genome")
    await launcher.prepare_project(project, str(spot.skeleton))
    top = spot.path(project)
    read, write = f"cat {top}/README.md", f"echo more >> {top}/README.md"
    before = changed(top)
    assert not await does(launcher, bob, project, read)
    project = ref("genome", aentbob="member", aentvic="viewer")
    assert (await launcher.apply_permissions(project, top_only=True)).changed == 0
    assert changed(top) == before
    assert [await does(launcher, who, project, read) for who in (ann, bob, vic)] == [True] * 3
    assert [await does(launcher, who, project, write) for who in (bob, vic)] == [True, False]
    assert await does(launcher, bob, project, f"umask 077; echo b > {top}/of-bob.txt")
    assert await does(launcher, ann, project, f"echo a >> {top}/of-bob.txt")
    named = decode(os.getxattr(top, posix.ACCESS))
    assert [entry.who for entry in named if entry.tag is Tag.USER] == [ann.uid]
    assert len([entry for entry in named if entry.tag is Tag.GROUP]) == 2


async def test_only_apps_of_the_project_get_in(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    one, other = ref("one", aentbob="member"), ref("other", aentbob="member")
    for project in (one, other):
        await launcher.prepare_project(project, str(spot.skeleton))
    bob, read = people["aentbob"], f"cat {spot.path(one)}/README.md"
    assert await does(launcher, bob, one, read)
    assert not await does(launcher, bob, other, read)
    assert as_user(bob, "cat", f"{spot.path(one)}/README.md").returncode != 0


async def test_an_ex_member_keeps_nothing(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    """What runs with the group is ended, even outside the project's directory; files pass on; no new app gets it."""
    project = ref("left", aentbob="member")
    await launcher.prepare_project(project, str(spot.skeleton))
    top, bob = spot.path(project), people["aentbob"]
    # Somebody who knows how escapes from the app: another session, no marker, a directory elsewhere.
    escape = f"cd /; echo b > {top}/of-bob.txt; env -i /usr/bin/setsid --fork /bin/sleep 600"
    assert await does(launcher, bob, project, escape)
    after = ref("left", "aentbob")
    await launcher.apply_permissions(after, top_only=True)
    assert await launcher.end_user("aentbob", after) >= 0
    held = {str(gid) for gid in _gids(top)}
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and held & set(_groups(pid))]
    assert (await launcher.apply_permissions(after)).passed_on == 1
    assert not await does(launcher, bob, project, f"cat {top}/of-bob.txt")


def _gids(path: Path) -> list[int]:
    return [entry.who for entry in decode(os.getxattr(path, posix.ACCESS)) if entry.tag is Tag.GROUP]


def _groups(pid: str) -> list[str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []
    return next(line.split()[1:] for line in lines if line.startswith("Groups:"))


async def test_numbers_are_never_given_twice(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    project = ref("again")
    await launcher.prepare_project(project, str(spot.skeleton))
    first = _gids(spot.path(project))
    await launcher.rename_project(project, "renamed")
    await launcher.apply_permissions(ref("renamed"))
    assert _gids(spot.path(ref("renamed"))) == first
    await launcher.delete_project(ref("renamed"))
    await launcher.prepare_project(project, str(spot.skeleton))
    later = _gids(spot.path(project))
    assert min(later) > max(first)
    assert not {*first, *later} & {account.gid for account in people.values()}


async def test_a_big_team_fits(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    team = {f"aentx{number}": "member" for number in range(600)}
    await launcher.prepare_project(ref("big", **team), str(spot.skeleton))
    with pytest.raises(Invalid, match="at most 2000"):
        await launcher.apply_permissions(ref("big", **{f"aentx{number}": "member" for number in range(2001)}))


async def test_the_node_walks_only_when_a_writer_is_lost(spot: Place, launcher: ProcessLauncher) -> None:
    """Asked of the part of the node that decides it."""
    config = Config.model_validate({"acl": {"subject": "group"}})
    projects = Projects(config, "n1", None, launcher, None)  # type: ignore[arg-type]

    def spec(**team: Role) -> ProjectSpec:
        members = [Member(user=user, role=role) for user, role in team.items()]
        return ProjectSpec(id="p", owner="aentann", name="genome", team=members)

    ann, bob = {"aentann": Role.OWNER}, {"aentbob": Role.MEMBER}
    says = projects._groups_say_it
    assert says(spec(**ann), spec(**ann, **bob))
    assert not says(None, spec(**ann))
    assert not says(spec(**ann, **bob), spec(**ann))
    assert not says(spec(**ann, **bob), spec(**ann, aentbob=Role.VIEWER))
