"""A session from the command to a kernel that counts, with the real launcher, real accounts and the real Jupyter."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen.launchers import Process
from aen.messages import ReadSessionLog, StopSession
from aen.model.session import Phase, StepState
from tests.computing import MATE, OWNER, TOKEN, Box, base, box, headers, start, through
from tests.kernels import Kernel
from tests.launching import Place, lives, place
from tests.waiting import until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=["managed", "single"])
def here(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place for a compute role, in both modes."""
    with place(request.param) as made:
        yield made


def leader(running: Box, session: str) -> Process:
    """The process of a session."""
    found = next(record for record in running.role.sessions.running() if record.session == session).leader()
    assert found is not None
    return found


async def test_start_to_kernel(here: Place) -> None:
    async with box(here) as running:
        await running.ready()
        answer = await running.ask(start())
        assert answer.phase in (Phase.QUEUED, Phase.STARTING)  # type: ignore[attr-defined]
        report = await running.reported(start().session, Phase.RUNNING)
        assert [step.name for step in report.steps] == ["account", "directory", "environment", "permissions", "app"]
        assert all(step.state is StepState.DONE and step.seconds is not None for step in report.steps)
        assert len(report.secret) >= 32

        assert os.stat(report.upstream.removeprefix("unix:")).st_uid == report.uid
        async with through(report) as http:
            kernel = await Kernel.start(http, base(), headers(report, **TOKEN))
            assert await kernel.run("1 + 1") == "2"
            project = f"{here.policy.project_root}/{OWNER}/genome"
            assert (await kernel.run("import os, sys; print(os.getcwd(), sys.prefix)")).split() == [
                project,
                f"{project}/envs/default",
            ]
            assert await kernel.run("print(os.environ.get('AEN_APP_TOKEN'))") == "None\n"
            account = await kernel.run("import getpass, pwd; print(pwd.getpwuid(os.getuid()).pw_name)")
            assert account.strip() == (OWNER if here.policy.mode == "managed" else here.service)
        # The same command again says how it is doing, and changes nothing.
        again = await running.ask(start())
        assert again.phase is Phase.RUNNING  # type: ignore[attr-defined]
        assert again.secret == report.secret  # type: ignore[attr-defined]


async def test_only_the_gateway_is_believed(here: Place) -> None:
    async with box(here) as running:
        report = await running.started(start())
        async with through(report) as http:
            address = f"{base()}api/contents"
            for given, expected in (
                (headers(report), 200),
                (headers(report) | {"X-AEN-App-Token": "wrong"}, 403),
                ({"X-AEN-User": OWNER}, 403),
                ({}, 403),
                ({"Authorization": f"token {report.secret}"}, 403),
                (headers(report, user=MATE), 403),  # somebody else's session
            ):
                async with http.get(address, headers=given) as answer:
                    assert answer.status == expected, given
            # A login by cookie keeps Jupyter's own checks; one by API token needs no XSRF cookie.
            async with http.post(f"{base()}api/kernels", json={}, headers=headers(report)) as answer:
                assert answer.status == 403
                assert "_xsrf" in await answer.text()
            evil = headers(report, Origin="http://evil.example")
            async with http.post(f"{base()}api/terminals", json={}, headers=evil) as answer:
                assert answer.status in (403, 404)


async def test_kernels_offered_are_the_projects(here: Place) -> None:
    async with box(here) as running:
        report = await running.started(start())
        async with through(report) as http, http.get(f"{base()}api/kernelspecs", headers=headers(report)) as answer:
            found = await answer.json()
        first = next(iter(found["kernelspecs"]))
        assert found["default"] == first == "python3"
        spec = found["kernelspecs"][first]["spec"]
        project = f"{here.policy.project_root}/{OWNER}/genome"
        assert spec["argv"][0] == f"{project}/envs/default/bin/python"
        assert spec["display_name"].startswith("default")
        assert found["kernelspecs"][first]["resources"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
async def test_terminal_is_in_the_project_with_its_environment(here: Place, shell: str) -> None:
    """zsh where that is the person's login shell."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    async with box(here) as running:
        account = await running.launcher.ensure_account(OWNER)
        subprocess.run(["usermod", "--shell", program, account.user], check=True)
        name = "genome" if shell == "bash" else "shells"
        report = await running.started(start(name=name))
        said = headers(report, **TOKEN)
        project, address = f"{here.policy.project_root}/{OWNER}/{name}", base(name)
        async with through(report) as http:
            async with http.get(f"{address}terminals/1", headers=said) as answer:
                assert answer.status == 200
            async with http.post(f"{address}api/terminals", json={"name": "1"}, headers=said) as answer:
                assert answer.status == 200
            async with http.ws_connect(f"{address}terminals/websocket/1", headers=said) as terminal:
                await terminal.send_json(
                    [
                        "stdin",
                        "echo $PWD; command -v python; git -C . status; ps -p $$ -o comm=; command ls ${PATH##*:}; echo EN''D\n",
                    ]
                )
                seen = ""
                while "END" not in seen:
                    kind, text = await terminal.receive_json(timeout=30)
                    seen += text if kind == "stdout" else ""
        assert f"{project}\r\n" in seen
        assert f"{project}/envs/default/bin/python" in seen
        assert "dubious" not in seen
        assert re.search(r"\nconda\s+mamba\s+uv\r\n", seen), "last on the PATH, after what the machine has"
        assert f"\n{shell}\r\n" in seen
        if shell == "zsh":
            await running.ask(StopSession(session=report.session))
            subprocess.run(["usermod", "--shell", "/bin/bash", account.user], check=True)


async def test_welcome_notebook_runs(here: Place) -> None:
    async with box(here) as running:
        report = await running.started(start())
        async with through(report) as http:
            async with http.get(f"{base()}api/contents/welcome.ipynb", headers=headers(report)) as answer:
                notebook = (await answer.json())["content"]
            cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
            assert len(cells) >= 3
            kernel = await Kernel.start(http, base(), headers(report, **TOKEN), "python3")
            outputs = [await kernel.run(cell) for cell in cells]
        assert any("Figure" in output for output in outputs)
        assert "spread" in outputs[-1]


async def test_restart_of_aen_ends_no_kernel(here: Place) -> None:
    async with box(here) as running:
        before = await running.started(start())
        async with through(before) as http:
            kernel = await Kernel.start(http, base(), headers(before, **TOKEN))
            await kernel.run("kept = 40 + 2")
        process = leader(running, before.session)
        records = Path(running.role.context.config.data_dir, "compute", "sessions")
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in records.iterdir())
    assert lives(process)
    async with box(here) as running:

        async def found() -> bool:
            return any(one.session == before.session for beat in running.beats for one in beat.sessions)

        await until(found, 30, "a heartbeat tells of the session")
        after = next(one for beat in running.beats for one in beat.sessions if one.session == before.session)
        assert (after.phase, after.secret, after.upstream) == (Phase.RUNNING, before.secret, before.upstream)
        async with through(after) as http:
            again = Kernel(http, base(), headers(after, **TOKEN), kernel.id)
            assert await again.run("kept") == "42"
        await running.ask(StopSession(session=before.session, generation=1))
        assert not lives(process)


async def test_stop_and_start_again(here: Place) -> None:
    async with box(here) as running:
        command = start(generation=5)
        report = await running.started(command)
        process = leader(running, report.session)
        await running.ask(StopSession(session=report.session, generation=4))  # an older start is meant
        assert lives(process)
        await running.ask(StopSession(session=report.session, generation=5, reason="because"))
        stopped = next(one for one in running.sessions if one.generation == 5 and one.phase is Phase.STOPPED)
        assert stopped.reason == "because"
        assert not lives(process)
        await running.ask(StopSession(session=report.session, generation=5))
        newer = await running.started(start(generation=6))
        assert newer.secret != report.secret
        assert "Jupyter" in (await running.ask(ReadSessionLog(session=report.session))).text  # type: ignore[attr-defined]


async def test_end_of_the_app_is_noticed(here: Place) -> None:
    async with box(here) as running:
        report = await running.started(start(generation=8))
        os.kill(leader(running, report.session).pid, signal.SIGKILL)
        ended = await running.reported(report.session, Phase.PROBLEM, generation=8)
        assert "SIGKILL" in ended.reason
        assert ended.log_tail
        assert not ended.upstream


async def test_failing_step_says_why_and_leaves_nothing(here: Place) -> None:
    async with box(here, skeleton=here.top / "nowhere") as running:
        command = start(name="other", generation=1)
        await running.ask(command)
        report = await running.reported(command.session, Phase.PROBLEM)
        steps = {step.name: step for step in report.steps}
        assert steps["account"].state is StepState.DONE
        assert steps["directory"].state is StepState.FAILED
        assert "skeleton" in report.reason
        assert steps["app"].state is StepState.WAITING
    assert not Path(here.policy.project_root, OWNER, "other").exists()


async def test_app_that_never_answers(here: Place) -> None:
    async with box(here, ready_seconds=0.2) as running:
        command = start(generation=20)
        await running.ask(command)
        report = await running.reported(command.session, Phase.PROBLEM, generation=20)
        assert "compute.ready_seconds" in report.reason
        assert running.role.sessions.running() == []
        # Nothing is left running: the launcher would refuse another start of the same session.
        assert report.steps[-1].state is StepState.FAILED
    async with box(here) as running:
        await running.started(start(generation=21))
        await running.ask(StopSession(session=command.session))


async def test_activity_tells_what_keeps_it_alive(here: Place) -> None:
    async with box(here) as running:
        report = await running.started(start(generation=30))
        async with through(report) as http:
            kernel = await Kernel.start(http, base(), headers(report, **TOKEN))
            await kernel.run("1")
        await running.role.activity.ask()
        record = running.role.sessions.running()[0]
        assert record.activity_source == "kernel 1"
        at = record.activity
        await running.role.activity.ask()
        assert record.activity == at  # being asked is not activity
        await running.ask(StopSession(session=report.session))


def test_accounts_are_real(here: Place) -> None:
    if here.policy.mode == "managed":
        assert pwd.getpwnam(OWNER).pw_uid >= 1000
    else:
        with pytest.raises(KeyError):
            pwd.getpwnam(OWNER)
