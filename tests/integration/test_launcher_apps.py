"""The launcher and apps: started as their user, ended with all they started, found again by the next launcher."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aen.errors import Conflict, Invalid, NotFound, Unavailable
from aen.launchers import Account, Process, ProjectRef
from aen.launchers.process import ProcessLauncher
from aen.privileges import spawn_launcher
from tests.launching import Place, app, as_user, lives, place
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]

ONE, TWO, THREE = "a" * 16, "b" * 16, "c" * 16


@pytest.fixture(scope="module", params=["managed", "single"])
def spot(request: pytest.FixtureRequest) -> Iterator[Place]:
    with place(request.param) as made:
        yield made


@pytest.fixture
async def ann(launcher: ProcessLauncher) -> Account:
    return await _ann(launcher)


async def log_has(launcher: ProcessLauncher, session: str, text: str) -> str:
    async def look() -> str | None:
        log = await launcher.log_tail(session, 500)
        return log if text in log else None

    return await until(look, 10, f"{text!r} in the log of {session}")


async def first_line(launcher: ProcessLauncher, session: str) -> str:
    async def look() -> str | None:
        lines = (await launcher.log_tail(session, 500)).splitlines()
        return lines[0] if lines else None

    return await until(look, 10, f"a line in the log of {session}")


async def gone(*pids: int) -> None:
    async def look() -> bool:
        return not any(_is_alive(pid) for pid in pids)

    await until(look, 10, f"the end of {pids}")


def _is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"


# ── start ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_app_is_its_users_and_nothing_of_ours_is_left_in_it(launcher: ProcessLauncher, ann: Account) -> None:
    script = "id -u; id -G; pwd; ls /proc/self/fd | wc -l; umask; env; grep -E 'NoNewPrivs|SigIgn' /proc/self/status; echo end"
    process = await launcher.start(app(ONE, ann, script))
    log = await log_has(launcher, ONE, "end")
    lines = log.splitlines()
    assert lines[:5] == [str(ann.uid), str(ann.gid), ann.home, "4", "0027"]
    assert "NoNewPrivs:\t1" in lines
    assert "SigIgn:\t0000000000000000" in lines
    keys = {line.partition("=")[0] for line in lines if "=" in line}
    assert keys == {"PATH", "HOME", "AEN_APP_ID", "PWD", "SHLVL", "_"}
    assert await asyncio.wait_for(launcher.exited(process), 10) == 0
    assert process.uid == ann.uid


async def test_exit_code_and_log(spot: Place, launcher: ProcessLauncher, ann: Account) -> None:
    first = await launcher.start(app(ONE, ann, "for i in 1 2 3; do echo line $i; done; exit 7"))
    assert await asyncio.wait_for(launcher.exited(first), 10) == 7
    assert await launcher.log_tail(ONE, 2) == "line 2\nline 3"
    assert await launcher.log_tail(THREE, 2) == ""
    log = Path(spot.policy.log_dir, f"{ONE}.log").stat()
    assert (log.st_uid, log.st_gid, log.st_mode & 0o777) == (ann.uid, spot.service_gid, 0o640)
    await launcher.stop(first, 1)
    second = await launcher.start(app(ONE, ann, "echo fresh", generation=2))
    assert await asyncio.wait_for(launcher.exited(second), 10) == 0
    assert await launcher.log_tail(ONE, 10) == "fresh"
    await launcher.stop(second, 1)


async def test_a_log_is_cut_down_while_its_app_writes_on(spot: Place) -> None:
    """Also of an app that the launcher found again; what it says last is always there."""
    most = 1 << 16
    policy = replace(spot.policy, log_bytes=most)
    log = Path(spot.policy.log_dir, f"{ONE}.log")

    async def cut() -> bool:
        return 0 < log.stat().st_size <= most + 200

    def writes(first: int) -> str:
        return f"seq {first} {first + 49999}; echo end {first}; while [ ! -e ~/go-{first} ]; do sleep 0.05; done; "

    async with ProcessLauncher(spawn_launcher(policy)) as launcher:
        ann = await _ann(launcher)
        process = await launcher.start(app(ONE, ann, writes(1) + writes(100000) + "sleep 600"))
        await log_has(launcher, ONE, "end 1")
        await until(cut, 10, "the log is cut down")
        assert "had grown to" in log.read_text().splitlines()[0]
    async with ProcessLauncher(spawn_launcher(policy)) as launcher:
        assert await launcher.adopt(process)
        as_user(ann, "touch", f"{ann.home}/go-1")
        await log_has(launcher, ONE, "end 100000")
        await until(cut, 10, "the log is cut down again")
        lines = log.read_text().splitlines()
        assert lines[-1] == "end 100000"
        assert lines[-3:-1] == ["149998", "149999"]
        assert lives(process)
        await launcher.stop(process, 0)


async def test_limits(launcher: ProcessLauncher, ann: Account) -> None:
    limits = {"files": 123, "processes": 900, "memory_bytes": 200_000_000}
    process = await launcher.start(app(ONE, ann, "ulimit -n; ulimit -u; ulimit -d; ulimit -c; echo end", limits=limits))
    files, processes, data, core = (await log_has(launcher, ONE, "end")).splitlines()[:4]
    assert (files, core) == ("123", "0")
    if launcher.isolated and data != "unlimited":  # where a control group holds them, rlimits need not
        assert (processes, data) == ("900", str(200_000_000 // 1024))
    await launcher.stop(process, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"argv": ["/nonexistent"]}, "/nonexistent can't be executed by the app's user"),
        ({"argv": ["/etc/passwd"]}, "/etc/passwd can't be executed by the app's user: Permission denied"),
    ],
)
async def test_a_program_that_can_not_run(
    launcher: ProcessLauncher, ann: Account, change: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(Conflict, match=said):
        await launcher.start(app(TWO, ann, "", **change))
    again = await launcher.start(app(TWO, ann, "exit 3"))
    assert await asyncio.wait_for(launcher.exited(again), 10) == 3


async def test_a_directory_is_entered_as_the_user(spot: Place, launcher: ProcessLauncher, ann: Account) -> None:
    if not launcher.isolated:
        pytest.skip("in mode single there is but one user")
    await launcher.ensure_account("aentbob")
    project = ProjectRef("aentbob", "private", {"aentbob": "owner"})
    await launcher.prepare_project(project, str(spot.skeleton))
    inside = spot.path(project) / "shut"
    inside.mkdir(mode=0o700)
    with pytest.raises(Conflict, match=r"can't enter .*: Permission denied"):
        await launcher.start(app(TWO, ann, "", owner="aentbob", project="private", cwd=str(inside)))


async def test_starting_twice_is_starting_once(launcher: ProcessLauncher, ann: Account) -> None:
    first = await launcher.start(app(ONE, ann, "sleep 600"))
    assert await launcher.start(app(ONE, ann, "sleep 600")) == first
    with pytest.raises(Conflict, match="stop it first"):
        await launcher.start(app(ONE, ann, "sleep 600", generation=2))
    await launcher.stop(first, 5)
    await launcher.stop(first, 5)
    assert not lives(first)


# ── stop ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_stop_ends_all_that_an_app_started(launcher: ProcessLauncher, ann: Account) -> None:
    """Also what left its session twice over, as daemons and kernels do."""
    script = "sleep 601 & setsid sleep 602 & (setsid setsid sleep 603 &) ; echo $! up; jobs -p; wait"
    process = await launcher.start(app(ONE, ann, script))
    await log_has(launcher, ONE, "up")
    other = await launcher.start(app(TWO, ann, "echo up; sleep 604"))

    async def all_there() -> list[int] | None:
        found = _with_marker(process, ann)
        return found if len(found) >= 4 else None

    started = await until(all_there, 10, "four processes of the app")
    await launcher.stop(process, 5)
    assert not any(_is_alive(pid) for pid in started)
    assert lives(other)
    assert await launcher.exited(process) == -signal.SIGTERM
    await launcher.stop(other, 5)


def _with_marker(process: Process, account: Account) -> list[int]:
    marker = f"AEN_APP_ID={process.session}.".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if marker in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
            except OSError:
                continue
    return found


async def test_stop_kills_what_does_not_listen(launcher: ProcessLauncher, ann: Account) -> None:
    process = await launcher.start(app(ONE, ann, "trap '' TERM; echo up; while true; do sleep 0.1; done"))
    await log_has(launcher, ONE, "up")
    await launcher.stop(process, 0.3)
    assert not lives(process)
    assert await launcher.exited(process) == -signal.SIGKILL


async def test_what_a_crashed_app_leaves_behind_is_ended(launcher: ProcessLauncher, ann: Account) -> None:
    process = await launcher.start(app(ONE, ann, "setsid sleep 605 & echo $!; exit 1"))
    assert await asyncio.wait_for(launcher.exited(process), 10) == 1
    left = int(await first_line(launcher, ONE))
    await gone(left)
    await launcher.stop(process, 1)


async def test_end_user(launcher: ProcessLauncher, ann: Account) -> None:
    one = await launcher.start(app(ONE, ann, "sleep 600"))
    two = await launcher.start(app(TWO, ann, "sleep 600", project="other"))
    project = ProjectRef("aentann", "other", {"aentann": "owner"})
    assert await launcher.end_user("aentann", project) == 1
    assert lives(one)
    assert not lives(two)
    assert await launcher.end_user("aentann") == 1
    assert not lives(one)
    assert await launcher.end_user("aentann") == 0


# ── sockets ───────────────────────────────────────────────────────────────────────────────────────────

_LISTEN = (
    "import os, socket, sys, time\n"
    "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], int(sys.argv[2], 8)); s.listen()\n"
    "while True:\n c, _ = s.accept(); c.sendall(b'hello'); c.close()\n"
)


async def test_a_socket_opens_to_the_service_account_only(spot: Place, launcher: ProcessLauncher, ann: Account) -> None:
    """Even when the app set a mode that shuts everybody out (Panel does)."""
    path = await launcher.make_run_dir(ONE, "aentann")
    argv = ["/usr/bin/python3", "-I", "-c", _LISTEN, f"{path}/s", "600"]
    process = await launcher.start(app(ONE, ann, "", argv=argv, socket=f"{path}/s"))

    async def granted() -> bool:
        return await launcher.grant_socket(process)

    await until(granted, 10, "the socket")

    async def mode_is_set() -> bool:
        await launcher.grant_socket(process)
        return _greets(Account("", spot.service_uid, spot.service_gid, "/", "", False), f"{path}/s")

    await until(mode_is_set, 10, "the service account gets through")
    stranger = Account("", 61950, 61950, "/", "", False)
    assert not _greets(stranger, f"{path}/s")
    await launcher.stop(process, 2)
    with pytest.raises(NotFound):
        await launcher.grant_socket(process)


def _greets(account: Account, path: str) -> bool:
    ask = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9))"
    return "hello" in as_user(account, "/usr/bin/python3", "-I", "-c", ask, path).stdout


async def test_a_symlink_in_place_of_the_socket(launcher: ProcessLauncher, ann: Account) -> None:
    path = await launcher.make_run_dir(ONE, "aentann")
    process = await launcher.start(
        app(ONE, ann, f"ln -s /run/nothing {path}/s; echo up; sleep 600", socket=f"{path}/s")
    )
    await log_has(launcher, ONE, "up")
    with pytest.raises(Conflict, match="not a socket of its user"):
        await launcher.grant_socket(process)
    await launcher.stop(process, 2)


async def test_run_directories_go_with_what_ran_in_them(spot: Place) -> None:
    """Of a session that was stopped, that ended by itself, that ended while there was no launcher; never of one that runs."""
    sessions = [ONE, "b" * 16, "c" * 16, "d" * 16]
    async with spot.launcher() as first:
        ann = await _ann(first)
        folders = [Path(await first.make_run_dir(session, "aentann")) for session in sessions]
        line = "mkdir -p $0/rt; touch $0/rt/file; echo up; if [ -e $0/end ]; then exit; fi; sleep 600 & wait"
        (folders[1] / "end").touch()
        processes = [
            await first.start(app(session, ann, "", argv=["/bin/sh", "-c", line, str(folder)]))  # a port's: no socket
            for session, folder in zip(sessions, folders, strict=True)
        ]
        await first.exited(processes[1])
        for session in sessions:
            await log_has(first, session, "up")
        await first.stop(processes[0], 2)
        await until(lambda: _there(folders, [False, False, True, True]), 10, "two are gone")
    os.killpg(processes[2].pid, signal.SIGKILL)
    unused = Path(spot.policy.run_dir, f"{'e' * 12}-0000")  # made, and then the launcher was killed
    unused.mkdir()
    logs = [Path(spot.policy.log_dir, f"{session}.log") for session in sessions]
    for log in (logs[1], logs[3]):
        os.utime(log, (0, 0))  # written to long ago
    async with spot.launcher() as second:
        await until(lambda: _there([*folders, unused], [False, False, False, True, False]), 10, "one is left")
        await until(lambda: _there(logs, [True, False, True, True]), 10, "logs of now and of what lives are left")
        await second.stop(processes[3], 2)
        await until(lambda: _there(folders, [False] * 4), 10, "all are gone")


async def _there(folders: list[Path], wanted: list[bool]) -> bool:
    return [folder.exists() for folder in folders] == wanted


# ── found again ───────────────────────────────────────────────────────────────────────────────────────


async def test_apps_outlive_the_launcher_and_are_adopted(spot: Place) -> None:
    async with spot.launcher() as first:
        ann = await _ann(first)
        process = await first.start(app(ONE, ann, "echo up; sleep 600 & wait"))
        await log_has(first, ONE, "up")
    assert lives(process)
    async with spot.launcher() as second:
        assert await second.adopt(process)
        ended = second.exited(process)
        assert not await second.adopt(replace(process, start_time=process.start_time + 1))
        assert not await second.adopt(replace(process, boot_id="0" * 8))
        assert not await second.adopt(replace(process, generation=9))
        os.kill(process.pid, signal.SIGKILL)
        assert await asyncio.wait_for(ended, 10) is None  # not its child: nobody knows the code
        assert not await second.adopt(process)


async def test_an_adopted_app_is_stopped_whole(spot: Place) -> None:
    async with spot.launcher() as first:
        ann = await _ann(first)
        process = await first.start(app(ONE, ann, "setsid sleep 606 & echo $!; wait"))
        child = int(await first_line(first, ONE))
    async with spot.launcher() as second:
        await second.stop(process, 5)
        assert not lives(process)
        await gone(child)


async def test_a_killed_launcher_ends_no_app(spot: Place) -> None:
    handle = spot.spawn()
    async with ProcessLauncher(handle) as first:
        process = await first.start(app(ONE, await _ann(first), "sleep 600"))
        handle.child.kill()
        assert isinstance(await asyncio.wait_for(first.failed, 10), Unavailable)
        with pytest.raises(Unavailable):
            await first.adopt(process)
        assert first.health()["status"] == "degraded"
    assert lives(process)
    async with spot.launcher() as second:
        assert await second.adopt(process)
        await second.stop(process, 2)


@pytest.mark.parametrize("change", ["start_time", "marker", "uid", "boot"])
async def test_a_record_that_fits_another_process_is_refused(spot: Place, change: str) -> None:
    """A reused pid: everything that could tell it from the app does."""
    async with spot.launcher() as first:
        process = await first.start(app(ONE, await _ann(first), "sleep 600"))
    path = Path(spot.policy.state_dir, "apps", f"{ONE}.json")
    record = json.loads(path.read_text())
    whole = json.dumps(record)
    record["cgroup_path"] = ""
    record["marker"] = "somebody.1.else"  # a process that has the number of ours has not its marker
    if change == "boot":
        record["process"]["boot_id"] = "0" * 36
    elif change != "marker":
        record["process"][change] += 1
    path.write_text(json.dumps(record))
    async with spot.launcher() as second:
        assert not await second.adopt(process)
        assert lives(process)  # and what is not ours is not touched
    path.write_text(whole)
    async with spot.launcher() as third:
        await third.stop(process, 2)
    assert not lives(process)


async def _ann(launcher: ProcessLauncher) -> Account:
    """Her account, under her name (in mode single it has the name of whoever runs AEN)."""
    return replace(await launcher.ensure_account("aentann"), user="aentann")


# ── at the same time ──────────────────────────────────────────────────────────────────────────────────


async def test_start_and_stop_answer_while_a_walk_goes_on(spot: Place, ann: Account) -> None:
    """The walk is held in the middle, so that it does go on while the others are asked for."""
    handle = spot.spawn()
    async with ProcessLauncher(handle) as launcher:
        project = ProjectRef("aentann", "big", {"aentann": "owner"})
        await launcher.prepare_project(project, str(spot.skeleton))
        fill = "for i in $(seq 8); do mkdir $i; (cd $i; seq 1000 | xargs touch); done"
        assert as_user(ann, "sh", "-c", fill, cwd=str(spot.path(project))).returncode == 0
        seen: list[int] = []
        held: list[int] = []

        def progress(looked_at: int, changed: int) -> None:
            seen.append(looked_at)
            if not held:
                held.extend(_children(handle.child.pid))
                for pid in held:
                    os.kill(pid, signal.SIGSTOP)

        walking = asyncio.create_task(launcher.apply_permissions(project, progress=progress))
        process = await launcher.start(app(ONE, ann, "sleep 600"))
        await until(_fact(lambda: bool(held)), 20, "the walk is held")
        assert len(held) >= 1
        top = await launcher.apply_permissions(project, top_only=True)
        other = await launcher.start(app(TWO, ann, "sleep 600"))
        assert not walking.done()
        for pid in held:
            os.kill(pid, signal.SIGCONT)
        await launcher.stop(process, 5)
        await launcher.stop(other, 5)
        report = await walking
        assert top.looked_at == 1
        assert report.looked_at >= 8008
        assert seen == list(range(2000, 2000 * len(seen) + 1, 2000))
        assert len(seen) >= 4


def _children(parent: int) -> list[int]:
    """The launcher's children that do its long verbs: forks of it, not apps."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            text = Path(f"/proc/{name}/stat").read_text()
            command = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if int(text[text.rindex(")") + 2 :].split()[1]) == parent and b"aen.launchers.privileged" in command:
            found.append(int(name))
    return found


def _fact(look: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return look()

    return asked


async def test_many_starts_at_once(launcher: ProcessLauncher, ann: Account) -> None:
    letters = "defghijklm"
    processes = await asyncio.gather(*(launcher.start(app(letter * 16, ann, "sleep 600")) for letter in letters))
    assert len({process.pid for process in processes}) == len(letters)
    assert all(map(lives, processes))
    await asyncio.gather(*(launcher.stop(process, 5) for process in processes))
    assert not any(map(lives, processes))


async def test_verbs_of_root_without_root(launcher: ProcessLauncher) -> None:
    """Evaluation mode: everybody is the running user, and the same verbs work."""
    if launcher.isolated:
        pytest.skip("this is about mode single")
    one, two = await launcher.ensure_account("aentann"), await launcher.ensure_account("aentbob")
    assert one == two
    assert launcher.health()["isolated"] is False
    with pytest.raises(Invalid):
        await launcher.ensure_account("Not A Name")


def test_sockets_fit() -> None:
    """The longest path that make_run_dir gives is one that a socket can have."""
    with socket.socket(socket.AF_UNIX) as tried, pytest.raises(FileNotFoundError):
        tried.bind("/nonexistent/" + "x" * (100 - len("/nonexistent/")))
