"""Environments of a project at a compute node: shown, made, changed, as the person, with the real uv and real accounts."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aen.config.files import packaged
from aen.errors import Conflict, Invalid, NotFound
from aen.launchers import Account
from aen.messages import (
    ChangeEnvironment,
    EnvironmentReported,
    ListEnvironments,
    PrepareProject,
    ReadEnvironment,
    StopEnvironmentChange,
)
from aen.model.environment import ChangeReport, EnvironmentChange, EnvironmentDetail, EnvironmentList
from aen.model.project import ProjectState
from tests.computing import MATE, OWNER, Box, base, box, headers, project, start, through
from tests.launching import Place, as_user, place
from tests.waiting import until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    """A place for a compute role."""
    with place("managed") as made:
        yield made


class Envs:
    """The environments of one project, through the bus."""

    def __init__(self, running: Box) -> None:
        self.running = running
        self.heard: list[ChangeReport] = []
        running.bus.subscribe(EnvironmentReported, self._take)

    async def _take(self, event: EnvironmentReported) -> None:
        self.heard.append(event.change)

    async def list(self) -> EnvironmentList:
        return await self.running.ask(ListEnvironments(project=project()))  # type: ignore[return-value]

    async def read(self, name: str, **more: Any) -> EnvironmentDetail:
        return await self.running.ask(ReadEnvironment(project=project(), name=name, **more))  # type: ignore[return-value]

    async def begin(self, user: str = OWNER, **change: Any) -> ChangeReport:
        wish = ChangeEnvironment(project=project(), user=user, change=EnvironmentChange(**change))
        return await self.running.ask(wish)  # type: ignore[return-value]

    async def done(self, user: str = OWNER, **change: Any) -> ChangeReport:
        """Begin it and wait for its end."""
        return await self.finished(await self.begin(user, **change))

    async def finished(self, begun: ChangeReport) -> ChangeReport:
        """Wait for its end."""

        async def ended() -> ChangeReport | None:
            return next((one for one in self.heard if one.id == begun.id and one.state != "running"), None)

        return await until(ended, 120, "the change ended")


async def prepared(running: Box) -> Envs:
    """The project is started."""
    await running.ready()
    await running.ask(PrepareProject(project=project()))

    async def there() -> bool:
        return any(one.state is ProjectState.RUNNING for one in running.projects)

    await until(there, 60, "the project is prepared")
    return Envs(running)


def folder(here: Place) -> Path:
    return Path(here.policy.project_root, OWNER, "genome", "envs")


async def test_shown_with_shared_inodes_counted_once(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        found = await envs.list()
        (default,) = found.environments
        assert (default.name, default.kernel, default.kind) == ("default", True, "venv")
        assert default.packages > 20
        assert default.python.startswith("3.")
        assert found.bytes == default.bytes > default.shared > 0.8 * default.bytes  # links into the root environment

        standard = await envs.done(act="standard", name="twin")
        assert standard.state == "done", standard
        again = await envs.list()
        assert [one.name for one in again.environments] == ["default", "twin"]
        # The twin links to the same inodes: together they take hardly more than one.
        assert again.bytes < 1.2 * found.bytes
        assert again.change is not None
        assert again.change.id == standard.id


async def test_packages_come_and_go_as_the_person_and_history_goes_back(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        made = await envs.done(MATE, act="create", name="small", packages=["tomli-w==1.1.0"])
        assert made.state == "done", made
        assert "tomli-w==1.1.0" in made.output
        mate = await running.launcher.ensure_account(MATE)
        assert (folder(here) / "small").stat().st_uid == mate.uid
        # Others of the team change what a mate made, and what they install is seen live.
        changed = await envs.done(OWNER, act="install", name="small", packages=["tomli-w==1.2.0", "iniconfig"])
        assert changed.state == "done", changed
        assert any(one.output and one.state == "running" for one in envs.heard)
        detail = await envs.read("small", number=1)
        assert ["tomli-w", "1.2.0", "1.1.0"] in detail.differences
        assert [entry.act for entry in detail.history] == ["install", "create"]
        assert detail.history[0].user == OWNER
        assert "tomli-w 1.1.0 → 1.2.0" in detail.history[0].changes
        assert "tomli-w==1.2.0\n" in detail.lock
        assert "      - tomli-w==1.2.0" in detail.yml

        back = await envs.done(MATE, act="roll-back", name="small", number=1)
        assert back.state == "done", back
        now = await envs.read("small", number=1)
        assert now.differences == []
        names = [name for name, *_ in now.packages]
        assert "tomli-w" in names
        assert "iniconfig" not in names

        copied = await envs.done(MATE, act="clone", name="copy", source="small")
        assert copied.state == "done", copied
        script = "import sys, tomli_w; print(sys.prefix)"
        ran = as_user(mate, str(folder(here) / "copy/bin/python"), "-c", script)
        assert ran.stdout.strip() == str(folder(here) / "copy"), ran.stderr
        gone = await envs.done(OWNER, act="remove", name="small")
        assert gone.state == "done", gone
        assert [one.name for one in (await envs.list()).environments if one.name in ("small", "copy")] == ["copy"]
        assert [path.name for path in folder(here).iterdir() if path.name.startswith((".gone", ".building"))] == []


async def test_from_a_lock_without_a_kernel_and_the_kernel_added(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        made = await envs.done(act="create", name="locked", requirements="iniconfig==2.0.0  # pinned\n")
        assert made.state == "done", made
        info = next(one for one in (await envs.list()).environments if one.name == "locked")
        assert (info.packages, info.kernel) == (1, False)
        added = await envs.done(act="install", name="locked", packages=["ipykernel"])
        assert added.state == "done", added
        info = next(one for one in (await envs.list()).environments if one.name == "locked")
        assert info.kernel
        hashed = await envs.read("locked", hashes=True)
        assert "iniconfig==2.0.0" in hashed.lock
        assert "--hash=sha256:" in hashed.lock


async def test_failures_are_told_and_leave_nothing(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        failed = await envs.done(act="create", name="never", packages=["aent-there-is-no-such-package==99.99"])
        assert failed.state == "failed"
        assert "aent-there-is-no-such-package" in failed.output
        taken = await envs.done(act="clone", name="default", source="default")
        assert (taken.state, "already" in taken.reason) == ("failed", True)
        standard = await envs.done(act="standard", name="default")
        assert (standard.state, "already" in standard.reason) == ("failed", True)
        kept = await envs.done(act="remove", name="default")
        assert (kept.state, "every project" in kept.reason) == ("failed", True)
        for change in (
            {"act": "create", "name": "../out"},
            {"act": "create", "name": ".hidden"},
            {"act": "clone", "name": "x", "source": "../../etc"},
            {"act": "install", "name": "default", "packages": ["--index-url=http://evil"]},
            {"act": "install", "name": "default", "packages": ["numpy\n-r /etc/passwd"]},
            {"act": "install", "name": "default"},
            {"act": "create", "name": "big", "requirements": "x" * 200_000},
        ):
            with pytest.raises(Invalid):
                await envs.begin(**change)
        assert "never" not in [one.name for one in (await envs.list()).environments]
        assert [path.name for path in folder(here).iterdir() if path.name.startswith(".building")] == []


async def test_an_environment_yml_and_a_lock_with_hashes(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        text = "name: x\ndependencies:\n  - python=3\n  - packaging=24.2\n  - pip:\n      - iniconfig==2.0.0\n"
        made = await envs.done(act="create", name="yml", requirements=text)
        assert made.state == "done", made
        lock = (await envs.read("yml")).lock
        assert {"iniconfig==2.0.0", "packaging==24.2"} <= set(lock.splitlines())
        for bad, why in (("openssl", "conda package"), ("python=2.7", "made with Python")):
            with pytest.raises(Invalid, match=why):
                await envs.begin(act="create", name="no", requirements=f"dependencies:\n  - {bad}\n  - six\n")

        # What one project gives away, another takes: pins with hashes, pins, environment.yml.
        for name, text in (
            ("again", lock),
            ("hashed", (await envs.read("yml", hashes=True)).lock),
            ("exported", (await envs.read("yml")).yml),
        ):
            made = await envs.done(MATE, act="create", name=name, requirements=text)
            assert made.state == "done", made
            assert (await envs.read(name)).lock == lock
        # AEN's own lock: a hundred packages with all their hashes go through.
        large = (packaged("config") / "environments" / "root.txt").read_text()
        assert len(large) > 64 * 1024
        made = await envs.done(act="create", name="large", requirements=large)
        assert made.state == "done", made


async def test_two_at_once_the_second_is_told(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        first = await envs.begin(act="clone", name="slow", source="default")
        with pytest.raises(Conflict, match=f"{OWNER} is changing the environment slow"):
            await envs.begin(MATE, act="remove", name="default")
        await until(lambda: _ended(envs, first), 60, "the first ended")
        assert next(one for one in envs.heard if one.id == first.id and one.state != "running").state == "done"


async def test_killed_half_way_leaves_nothing_listed(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        begun = await envs.begin(act="clone", name="half", source="default")

        async def building() -> bool:
            return any(path.name.startswith(".building-half") for path in folder(here).iterdir())

        await until(building, 30, "it is being built")
        owner = await running.launcher.ensure_account(OWNER)
        pids = [pid for pid in _programs(owner) if b"aen_environments" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert pids
        for pid in pids:
            os.kill(pid, 9)
        await until(lambda: _ended(envs, begun), 30, "the change ended")
        ended = next(one for one in envs.heard if one.id == begun.id and one.state != "running")
        assert (ended.state, "before it was done" in ended.reason) == ("failed", True)
        assert "half" not in [one.name for one in (await envs.list()).environments]
        # The next change sweeps what is left.
        made = await envs.done(MATE, act="clone", name="whole", source="default")
        assert made.state == "done", made
        assert [path.name for path in folder(here).iterdir() if path.name.startswith(".building")] == []


async def test_a_change_that_hangs_is_stopped_by_a_mate(here: Place) -> None:
    """The index takes connections and says nothing: the team does not have to wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        async with box(here) as running:
            envs = await prepared(running)
            begun = await envs.begin(
                act="create", name="hung", requirements=f"--index-url {address}\nnothing-of-that-name\n"
            )
            owner = await running.launcher.ensure_account(OWNER)

            async def asks() -> bool:
                return bool(select.select([silent], [], [], 0)[0])

            await until(asks, 60, "the installer asks the index")
            stop = StopEnvironmentChange(project=project(), user=MATE, change=begun.id)
            await running.ask(stop)
            await until(lambda: _ended(envs, begun), 30, "the change ended")
            ended = next(one for one in envs.heard if one.id == begun.id and one.state != "running")
            assert (ended.state, ended.reason.startswith(f"{MATE} stopped it. Nothing half made")) == ("failed", True)
            assert not _programs(owner)
            assert "hung" not in [one.name for one in (await envs.list()).environments]
            with pytest.raises(NotFound):
                await running.ask(StopEnvironmentChange(project=project(), user=MATE, change="another"))


async def test_a_change_outlives_a_restart_of_the_node(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        begun = await envs.begin(act="clone", name="outlived", source="default")

        async def runs() -> bool:
            return any(path.name.startswith(".building-outlived") for path in folder(here).iterdir())

        await until(runs, 30, "it is being built")
    async with box(here) as running:
        envs = Envs(running)

        async def ended() -> ChangeReport | None:
            await running.ready()
            change = (await envs.list()).change
            return change if change is not None and change.state != "running" else None

        change = await until(ended, 60, "the change ended")
        assert (change.id, change.state) == (begun.id, "done"), change
        assert "outlived" in [one.name for one in (await envs.list()).environments]


async def test_typed_in_a_terminal_it_goes_to_the_projects_environment(here: Place) -> None:
    async with box(here) as running:
        await prepared(running)
        report = await running.started(start())
        root = next(path for path in Path(running.role.context.config.envs_dir).glob("root-*"))
        before = _listing(root)
        for number, command in enumerate(("uv pip install -q iniconfig", "pip install -q tomli-w")):
            leader = next(one for one in running.role.sessions.running() if one.session == report.session).leader()
            assert leader is not None
            environ = _environ_of(leader.pid)
            account = await running.launcher.ensure_account(OWNER)
            done = subprocess.run(
                ["/bin/bash", "--rcfile", "/dev/null", "-c", command],
                user=account.uid,
                group=account.gid,
                extra_groups=[],
                env=environ,
                cwd=str(folder(here).parent),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (number, done.stderr)
        site = next((folder(here) / "default" / "lib").glob("python3.*/site-packages"))
        assert (site / "iniconfig").is_dir()
        assert (site / "tomli_w").is_dir()
        assert _listing(root) == before
        async with through(report) as http, http.get(f"{base()}api/kernelspecs", headers=headers(report)) as answer:
            assert (await answer.json())["default"] == "python3"


async def test_active_environment_is_what_kernels_and_path_follow(here: Place) -> None:
    async with box(here) as running:
        envs = await prepared(running)
        if "twin" not in [one.name for one in (await envs.list()).environments]:
            assert (await envs.done(act="standard", name="twin")).state == "done"
        command = start(generation=2)
        command.project.environment = "twin"
        report = await running.started(command)
        async with through(report) as http, http.get(f"{base()}api/kernelspecs", headers=headers(report)) as answer:
            specs = (await answer.json())["kernelspecs"]
        assert specs["python3"]["spec"]["argv"][0] == str(folder(here) / "twin/bin/python")
        assert specs["default"]["spec"]["argv"][0] == str(folder(here) / "default/bin/python")
        leader = next(one for one in running.role.sessions.running() if one.session == report.session).leader()
        assert leader is not None
        assert _environ_of(leader.pid)["PATH"].startswith(str(folder(here) / "twin/bin"))

        command = start(generation=3)
        command.project.environment = "gone-since"
        report = await running.started(command)
        assert "gone-since is not there" in next(step.detail for step in report.steps if step.name == "app")


async def _ended(envs: Envs, begun: ChangeReport) -> bool:
    return any(one.id == begun.id and one.state != "running" for one in envs.heard)


def _programs(account: Account) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and Path("/proc", name).stat().st_uid == account.uid:
            found.append(int(name))
    return found


def _environ_of(pid: int) -> dict[str, str]:
    said = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.partition("=")[::2] for line in said if line)


def _listing(root: Path) -> list[tuple[str, int, int]]:
    found = []
    for folder_, _, files in os.walk(root):
        for name in files:
            status = os.lstat(os.path.join(folder_, name))
            found.append((os.path.join(folder_, name), status.st_ino, status.st_mtime_ns))
    return sorted(found)
