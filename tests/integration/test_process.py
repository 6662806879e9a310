"""The process: privileges, the operations page, signals, exit codes, what a second or a badly configured one says."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ports import free_ports
from tests.waiting import until
from tests.world import PROGRAM, World


@pytest.fixture
def own() -> Iterator[World]:
    """A world of one test, which may end it."""
    with World() as made:
        yield made


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _launchers(pid: int) -> list[int]:
    """The children of a process that are root; an installer at work is not."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [
        child for child in children if Path(f"/proc/{child}").exists() and Path(f"/proc/{child}").stat().st_uid == 0
    ]


def _serve(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), "serve", "-c", str(file), *arguments], capture_output=True, text=True, cwd="/", timeout=30
    )


def _variant(world: World, folder: Path, **changes: Any) -> Path:
    """The world's configuration with other places and ports, so that only the change under test can be at fault."""
    server, gateway, ops = free_ports(3)
    config = json.loads(json.dumps(world.config))
    config |= {"data_dir": f"{world.folder}/other/data", "run_dir": f"{world.folder}/other/run"}
    config["compute"]["project_root"] = f"{world.folder}/other/projects"
    config["ops"]["listen"] = f"127.0.0.1:{ops}"
    config["server"] |= {"listen": f"127.0.0.1:{server}", "url": f"http://127.0.0.1:{server}"}
    config["gateway"] |= {"listen": f"127.0.0.1:{gateway}", "url": f"http://localhost:{gateway}"}
    for option, value in changes.items():
        *sections, name = option.split("__")
        place = config
        for section in sections:
            place = place[section]
        place[name] = value
    path = folder / "aen.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.root
def test_nothing_but_the_launcher_stays_root(world: World) -> None:
    assert world.process is not None
    status = _status(world.process.pid)
    service = pwd.getpwnam("aen")
    assert status["Uid"].split() == [str(service.pw_uid)] * 4
    assert status["Gid"].split() == [str(service.pw_gid)] * 4
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0
    (launcher,) = _launchers(world.process.pid)
    words = Path(f"/proc/{launcher}/cmdline").read_bytes().split(b"\0")
    assert b"aen.launchers.privileged" in words
    assert not list(_listening(launcher))


def _listening(pid: int) -> Iterator[str]:
    """Sockets of a process that listen."""
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            yield fields[1]


def test_the_operations_page(world: World) -> None:
    for page in ("live", "ready", "metrics"):
        with urllib.request.urlopen(f"{world.ops}/-/{page}", timeout=5) as answer:
            assert answer.status == 200
    health = world.health()
    assert health["phase"] == "ready"
    assert {"server", "compute", "gateway", "bus", "launcher"} <= set(health["parts"])
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(f"{world.ops}/-/nothing", timeout=5):
        pass
    caught.value.close()
    facts = json.loads((Path(world.config["run_dir"]) / "node.json").read_text())
    assert facts["server"] == world.server
    assert world.process is not None
    assert facts["pid"] == world.process.pid


def test_directories_are_closed_to_others(world: World) -> None:
    data, run = Path(world.config["data_dir"]), Path(world.config["run_dir"])
    assert data.stat().st_mode & 0o077 == 0
    assert run.stat().st_mode & 0o066 == 0
    for path in data.iterdir():
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_node_is_told_who_has_the_data(world: World, tmp_path: Path) -> None:
    file = _variant(world, tmp_path, data_dir=world.config["data_dir"])
    done = _serve(file)
    assert done.returncode == 1
    assert world.process is not None
    assert f"(pid {world.process.pid})" in done.stderr
    assert "data_dir" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["server__listen", "gateway__listen", "ops__listen"])
def test_a_taken_port_says_who_has_it(world: World, tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = _serve(_variant(world, tmp_path, **{option: f"127.0.0.1:{port}"}))
    assert done.returncode == 1
    name = option.replace("__", ".")
    assert f"{name}: port {port} is taken by" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (world.folder / "other/data").exists(), "nothing half-made"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"server__secret_key": "changeme"}, "server.secret_key is too short"),
        ({"run_dir": "/tmp/" + "r" * 100}, "run_dir"),
        ({"data_dir": "/proc/aen"}, "data_dir /proc/aen can't be used"),
        ({"gateway__workers": 3}, "gateway.workers"),
        ({"bus": {"mode": "external", "url": "nats://nats.example.org:4222"}}, "has no TLS"),
        ({"compute__skeleton": "/nowhere"}, "compute.skeleton /nowhere is not a directory"),
        ({"server__tls": {"cert": "/no/cert", "key": "/no/key"}}, "server.tls: /no/cert and /no/key can't be used"),
    ],
)
def test_what_cannot_work_is_one_sentence(world: World, tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    done = _serve(_variant(world, tmp_path, **changes))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (world.folder / "other").exists(), "nothing half-made"


@pytest.mark.root
def test_a_file_system_without_acls_is_refused_before_anything_is_there(world: World, tmp_path: Path) -> None:
    place = world.folder / "bare"
    place.mkdir()
    command = ["mount", "-t", "ramfs", "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount a ramfs here")
    try:
        place.chmod(0o755)
        done = _serve(_variant(world, tmp_path, compute__project_root=str(place / "projects")))
        left = list(place.iterdir())
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert done.returncode == 2
    assert "compute.project_root: the file system of" in done.stderr
    assert "keeps no POSIX ACLs" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert left == []
    assert not (world.folder / "other").exists(), "nothing half-made"


def test_broken_files_and_unknown_roles(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("server: [\n")
    done = _serve(tmp_path / "broken.yaml")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "isn't valid YAML" in done.stderr
    (tmp_path / "fine.yaml").write_text("")
    assert _serve(tmp_path / "fine.yaml", "--role", "janitor").returncode == 2


@pytest.mark.root
def test_places_that_others_cannot_reach_or_that_are_not_ours(world: World, tmp_path: Path) -> None:
    closed = world.folder / "closed"
    closed.mkdir(mode=0o700)
    done = _serve(_variant(world, tmp_path, compute__project_root=f"{closed}/projects"))
    assert done.returncode == 2
    assert f"lies below {closed}" in done.stderr
    strangers = world.folder / "strangers"
    strangers.mkdir()
    os.chown(strangers, 12345, 12345)
    done = _serve(_variant(world, tmp_path, data_dir=str(strangers)))
    assert done.returncode == 2
    assert "belongs to uid 12345" in done.stderr
    assert strangers.stat().st_uid == 12345


async def test_sighup_applies_what_is_live_and_names_the_rest(own: World) -> None:
    assert own.process is not None
    text = own.file.read_text()
    own.file.write_text("server: [\n")
    own.process.send_signal(signal.SIGHUP)
    await until(lambda: _said(own, "configuration not applied"), 10, "that the file is broken")
    config = yaml.safe_load(text)
    config["log"]["level"] = "info"
    config["gateway"]["drain_seconds"] = 3
    own.file.write_text(yaml.safe_dump(config))
    own.process.send_signal(signal.SIGHUP)
    await until(lambda: _said(own, "configuration applied"), 10, "that the configuration was applied")
    (line,) = [line for line in own.log.read_text().splitlines() if "configuration applied" in line]
    assert "needs_restart=gateway" in line
    assert own.process.poll() is None


async def _said(world: World, words: str) -> bool:
    return words in world.log.read_text()


def test_sigterm_ends_in_order_and_it_starts_again(own: World) -> None:
    assert own.stop() == 0
    text = own.log.read_text()
    assert "stopped" in text
    assert "too late" not in text
    assert "Traceback" not in text
    assert not (Path(own.config["run_dir"]) / "node.json").exists()
    own.start()
    own.kill()
    own.start()
    assert own.health()["phase"] == "ready"


def test_sigint_while_starting_ends_it(own: World) -> None:
    own.stop()
    process = subprocess.Popen(
        [str(PROGRAM), "serve", "-c", str(own.file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/"
    )
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM), output
    assert b"Traceback" not in output


@pytest.mark.root
def test_a_failing_part_ends_the_node_with_1(own: World) -> None:
    assert own.process is not None
    (launcher,) = _launchers(own.process.pid)
    os.kill(launcher, signal.SIGKILL)
    assert own.programs["all"].ended(30) == 1
    assert "a part failed" in own.log.read_text()
    own.start()


def test_systemd_is_told() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind("\0aen-test-notify")
        notified.settimeout(30)
        with World(environ={"NOTIFY_SOCKET": "@aen-test-notify"}) as world:
            assert notified.recv(100) == b"READY=1"
            world.stop()
            assert notified.recv(100) == b"STOPPING=1"


@pytest.mark.root
def test_evaluation_mode_says_what_it_is(evaluation: World) -> None:
    assert evaluation.process is not None
    assert int(_status(evaluation.process.pid)["Uid"].split()[0]) == evaluation.runner.uid
    assert "not isolated" in evaluation.log.read_text()
    assert evaluation.health()["parts"]["launcher"]["isolated"] is False
