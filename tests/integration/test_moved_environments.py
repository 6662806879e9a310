"""Environments after their project was renamed or given to another owner: scripts, kernels, editable installs, as real accounts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen.errors import Conflict
from aen.launchers import Account
from aen.messages import ApplyPermissions, ProjectSpec, RenameProject, StartSession
from aen.model.project import Member, Role
from tests.computing import MATE, OWNER, TOKEN, Box, box, headers, project, start, through
from tests.integration.test_compute_environments import Envs, prepared
from tests.kernels import Kernel
from tests.launching import Place, as_user, place

pytestmark = pytest.mark.root


@pytest.fixture
def here() -> Iterator[Place]:
    """A place for a compute role: a new one each time, for names change."""
    with place("managed") as made:
        yield made


def given() -> ProjectSpec:
    """As the server tells of it when the mate has become its owner."""
    team = [Member(user=OWNER, role=Role.MAINTAINER), Member(user=MATE, role=Role.OWNER)]
    return project().model_copy(update={"owner": MATE, "team": team})


async def furnished(running: Box, top: Path) -> Envs:
    """`default`, and `tools` with what names its place: pip's own scripts, a kernel spec, an editable install, links."""
    envs = await prepared(running)
    made = await envs.done(act="create", name="tools", packages=["tomli-w"])
    assert made.state == "done", made
    owner = await running.launcher.ensure_account(OWNER)
    tools = top / "envs/tools"
    python = str(tools / "bin/python")
    for command in (
        (python, "-m", "pip", "install", "-q", "charset-normalizer"),
        (python, "-m", "ipykernel", "install", "--prefix", str(tools), "--name", "mine"),
    ):
        done = as_user(owner, *command, cwd=str(top))
        assert done.returncode == 0, done.stderr
    site = next((tools / "lib").glob("python3.*/site-packages"))
    write(owner, top / "src/ours.py", "where = __file__\n")
    write(owner, site / "__editable__.ours.pth", f"{top}/src\n{top}2/other\n")
    write(owner, tools / "etc/settings", f"place={top}/data\n")
    assert as_user(owner, "/bin/ln", "-s", f"{top}/src", str(tools / "share/sources")).returncode == 0
    assert f"#!{tools}/bin/python" in (tools / "bin/normalizer").read_text()
    assert str(tools) in (tools / "share/jupyter/kernels/mine/kernel.json").read_text()
    return envs


def write(account: Account, path: Path, text: str) -> None:
    """As that person."""
    script = (
        "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.parent.mkdir(exist_ok=True); p.write_text(sys.argv[2])"
    )
    done = as_user(account, "/usr/bin/python3", "-I", "-c", script, str(path), text)
    assert done.returncode == 0, done.stderr


async def works(running: Box, account: Account, top: Path) -> None:
    """Every program of both environments, for that person, from the new place."""
    tools = top / "envs/tools"
    for program in ("default/bin/pip", "tools/bin/pip", "tools/bin/normalizer"):
        ran = as_user(account, str(top / "envs" / program), "--version")
        assert ran.returncode == 0, (program, ran.stderr)
    ran = as_user(account, str(tools / "bin/python"), "-c", "import ours, sys; print(ours.where, sys.prefix)")
    assert ran.stdout.split() == [f"{top}/src/ours.py", str(tools)], ran.stderr
    ran = as_user(account, "/bin/bash", "-c", f". {tools}/bin/activate && echo $VIRTUAL_ENV && which normalizer")
    assert ran.stdout.split() == [str(tools), f"{tools}/bin/normalizer"], ran.stderr
    assert (tools / "etc/settings").read_text() == f"place={top}/data\n"
    assert os.readlink(tools / "share/sources") == f"{top}/src"


def names_of(old: str, top: Path) -> list[str]:
    """Files of environments that still name the old place; compiled ones name it only in tracebacks."""
    found = []
    for folder, _, files in os.walk(top / "envs"):
        for name in files:
            path = Path(folder, name)
            looked = path.suffix != ".pyc" and ".history" not in path.parts and path.is_file()
            if looked and f"{old}/".encode() in path.read_bytes():
                found.append(str(path))
    return found


async def kernel(running: Box, command: StartSession, owner: str) -> str:
    """Start JupyterLab, and the kernel of `tools` in it; where its Python lies."""
    report = await running.started(command)
    base = f"http://localhost/{owner}/{command.project.name}/jupyter/"
    async with through(report) as http:
        one = await Kernel.start(http, base, headers(report, command.user, **TOKEN), "tools")
        return await one.run("import sys, tomli_w; print(sys.prefix)")


async def test_renamed(here: Place) -> None:
    folder = Path(here.policy.project_root, OWNER)
    async with box(here) as running:
        envs = await furnished(running, folder / "genome")
        begun = await envs.begin(act="clone", name="slow", source="default")
        with pytest.raises(Conflict, match="changing the environment slow"):
            await running.ask(RenameProject(project=project(), new_name="dna"))
        await envs.finished(begun)
        inode = next((folder / "genome/envs/default/lib").glob("python3.*/site-packages/numpy/__init__.py")).stat()
        await running.ask(RenameProject(project=project(), new_name="dna"))
        owner = await running.launcher.ensure_account(OWNER)
        await works(running, owner, folder / "dna")
        await works(running, await running.launcher.ensure_account(MATE), folder / "dna")
        assert names_of(str(folder / "genome"), folder / "dna") == []
        site = next((folder / "dna/envs/tools/lib").glob("python3.*/site-packages"))
        assert (site / "__editable__.ours.pth").read_text() == f"{folder}/dna/src\n{folder}/genome2/other\n"
        after = next((folder / "dna/envs/default/lib").glob("python3.*/site-packages/numpy/__init__.py")).stat()
        assert after.st_ino == inode.st_ino  # what is shared with the root environment still is
        command = start()
        command.project.name = "dna"
        assert await kernel(running, command, OWNER) == f"{folder}/dna/envs/tools\n"


async def test_passed_on(here: Place) -> None:
    root = Path(here.policy.project_root)
    async with box(here) as running:
        await furnished(running, root / OWNER / "genome")
        await running.ask(RenameProject(project=project(), new_name="genome", new_owner=MATE), 120)
        assert os.listdir(root / OWNER) == []
        top = root / MATE / "genome"
        owner, mate = [await running.launcher.ensure_account(user) for user in (OWNER, MATE)]
        await running.ask(ApplyPermissions(project=given(), repair=True))  # as the server's job does
        every = (os.lstat(Path(folder, name)) for folder, _, files in os.walk(top) for name in files)
        uids = {
            status.st_uid for status in every if stat.S_ISREG(status.st_mode)
        }  # what a link's owner is, counts nothing
        # The root environment's own stay its own: root built it here.
        assert uids == {0, mate.uid}
        assert top.stat().st_uid == mate.uid
        for account in (owner, mate):
            await works(running, account, top)
            write(account, top / f"of-{account.user}.txt", "x")
        assert names_of(str(root / OWNER / "genome"), top) == []
        command = start(MATE)
        command.project = given()
        assert await kernel(running, command, MATE) == f"{top}/envs/tools\n"


async def test_cut_off_at_any_point_it_goes_on(here: Place) -> None:
    """The node died before or after the directory moved, before its environments were rewritten: asked again, all is done."""
    root = Path(here.policy.project_root)
    wish = RenameProject(project=project(), new_name="dna", new_owner=MATE)
    async with box(here) as running:
        await furnished(running, root / OWNER / "genome")
        mate = await running.launcher.ensure_account(MATE)
        # As it is left between passing on and the rename.
        os.chown(root / OWNER / "genome", mate.uid, -1)
        running.role.projects.moved.note(project())
    async with box(here) as running:
        await running.ready()
        # As it is left between the rename and the rewriting.
        await running.launcher.rename_project(running.role.projects.begin(project(), OWNER).ref, "dna", MATE)
        assert names_of(str(root / OWNER / "genome"), root / MATE / "dna")
        await running.ask(wish, 120)
        await running.ask(wish, 120)
        await running.ask(ApplyPermissions(project=given().model_copy(update={"name": "dna"}), repair=True))
        await works(running, mate, root / MATE / "dna")


async def test_what_lies_there_is_kept(here: Place) -> None:
    root = Path(here.policy.project_root)
    async with box(here) as running:
        await prepared(running)
        (root / MATE).mkdir()
        (root / MATE / "genome").mkdir()
        with pytest.raises(Conflict, match="already"):
            await running.ask(RenameProject(project=project(), new_name="genome", new_owner=MATE))
        assert (root / OWNER / "genome/envs/default/bin/python").exists()
        owner = await running.launcher.ensure_account(OWNER)
        assert (root / OWNER / "genome").stat().st_uid == owner.uid
