"""What `aen doctor` finds of the machine: each fault that part 7 of the installation's checks knows is made here, and told with its cure."""

from __future__ import annotations

import ctypes.util
import json
import os
import pwd
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aen import places
from aen.config import Config
from aen.config.machine import Machine
from aen.doctor import examinations, machine, packages, reaching
from aen.doctor.addresses import addresses
from aen.doctor.findings import ALL, Finding, Patient

GIB = 1024**3


def patient(roles: tuple[str, ...] = ALL, **options: Any) -> Patient:
    return Patient(Config.model_validate(options), Machine.here(), (), roles)


def bad(findings: Iterator[Finding]) -> list[Finding]:
    """What is not well; each says what to do."""
    found = [finding for finding in findings if finding.state != "ok"]
    assert all(finding.cure for finding in found), found
    return found


def one(findings: Iterator[Finding], words: str) -> Finding:
    """The one finding that is not well and says that."""
    (found,) = [finding for finding in bad(findings) if words in f"{finding.what} {finding.message}"]
    return found


@pytest.fixture
def site(tmp_path: Path) -> dict[str, Any]:
    """Directories of one compute node."""
    for name in ("data", "envs", "projects"):
        (tmp_path / name).mkdir()
    return {
        "data_dir": str(tmp_path / "data"),
        "envs_dir": str(tmp_path / "envs"),
        "compute": {"project_root": str(tmp_path / "projects")},
        "accounts": {"mode": "managed"},
    }


@pytest.mark.parametrize("program", ["git", "bash", "useradd"])
def test_a_program_that_is_missing(program: str, site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name == program else which(name, **more))
    found = one(examinations.programs(patient(("compute",), **site)), program)
    assert (found.state, "nstall" in found.cure) == ("problem", True)


@pytest.mark.parametrize(("free", "inodes", "state"), [(5, 10**6, "warning"), (0.5, 10**6, "problem"), (100, 10, "problem"), (100, 10**6, "")])  # fmt: skip
def test_room(free: float, inodes: int, state: str, site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """10 GB for AEN's own, 20 GB for projects; and files that can be made."""
    disk = SimpleNamespace(f_bavail=int(free * GIB), f_frsize=1, f_files=10**7, f_favail=inodes, f_flag=0)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    found = [
        finding for finding in bad(examinations.directories(patient(("compute",), **site))) if "GB are" in finding.cure
    ]
    assert [finding.state for finding in found] == ([state] * 3 if state else [])
    assert {"10", "20"} == {finding.cure.partition(": ")[2].split()[0] for finding in found} or not state


def test_room_for_projects_is_more(site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimpleNamespace(f_bavail=15 * GIB, f_frsize=1, f_files=10**7, f_favail=10**6, f_flag=0)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    assert one(examinations.directories(patient(("compute",), **site)), "is little").what == "compute.project_root"


def test_acls_are_tried_by_setting_one(site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [
        finding for finding in bad(examinations.directories(patient(("compute",), **site))) if "ACL" in finding.what
    ]
    monkeypatch.setattr("aen.acl.posix.supports_acl", lambda path: False)
    found = one(examinations.directories(patient(("compute",), **site)), "do not work")
    assert (found.what, found.state, "ext4" in found.cure) == ("POSIX ACLs", "problem", True)


def test_environments_on_another_file_system(site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    other = next(
        (
            path
            for path in ("/dev/shm", "/run", "/proc")
            if Path(path).stat().st_dev != Path(site["envs_dir"]).stat().st_dev
        ),
        "",
    )
    assert other
    found = one(examinations.directories(patient(("compute",), **{**site, "envs_dir": other})), "another file system")
    assert "/opt/aen/envs" in found.cure


def test_a_port_of_somebody_else(site: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        options = {**site, "server": {"listen": listen, "url": f"http://{listen}"}, "ops": {"listen": "off"}}
        found = one(examinations.ports(patient(("server",), **options)), "server.listen")
    assert (found.state, "another server.listen" in found.cure) == ("problem", True)


def test_secret_files_that_others_can_read(site: dict[str, Any]) -> None:
    key = Path(site["data_dir"]) / "secret-key"
    key.write_text("x")
    key.chmod(0o644)
    found = one(examinations.secrets(patient(**site)), "others can read")
    assert str(key) in found.cure
    key.chmod(0o600)
    assert bad(examinations.secrets(patient(**site))) == []


@pytest.mark.root
@pytest.mark.parametrize(("account", "state"), [("root", "problem"), ("aent-nobody-has-it", "warning")])
def test_the_service_account(account: str, state: str, site: dict[str, Any]) -> None:
    where = patient(**site, service_account=account)
    assert one(examinations.service_account(where), "service account").state == state


def test_evaluation_mode_says_what_it_means(site: dict[str, Any]) -> None:
    alone = patient(("compute",), **{**site, "accounts": {"mode": "single"}})
    assert one(examinations.limits(alone), "evaluation mode").state == "warning"


def test_an_account_that_is_somebody_elses_now(site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    where = patient(("compute",), **site)
    folder = places.launcher_dir(where.config, root=where.machine.root)
    folder.mkdir(parents=True, exist_ok=True)
    known = {"alice": {"uid": 20001}, "bob": {"uid": 20002}, "carol": {"uid": 20003, "retired": 1}}
    (folder / "accounts.json").write_text(json.dumps({"accounts": known}))
    uids = {"alice": 20999}

    def found(name: str) -> Any:
        return SimpleNamespace(pw_uid=uids[name])

    monkeypatch.setattr(pwd, "getpwnam", found)
    told = {finding.state: finding.message for finding in bad(machine.accounts(where))}
    assert told["problem"].startswith("alice with another uid")
    assert told["warning"].startswith("bob no longer there")
    uids.update(alice=20001, bob=20002)
    assert bad(machine.accounts(where)) == []


def test_libraries_that_plots_of_r_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None if name in ("Xt", "cairo") else f"lib{name}.so")
    found = one(machine.graphics(patient(("compute",))), "libXt, libcairo missing")
    assert "apt-get install libxt6 libcairo2" in found.cure
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so")
    assert bad(machine.graphics(patient(("compute",)))) == []


def test_selinux(site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    read_text: Callable[..., str] = Path.read_text

    def enforcing(path: Path, *more: Any, **others: Any) -> str:
        return "1\n" if path == Path("/sys/fs/selinux/enforce") else read_text(path, *more, **others)

    monkeypatch.setattr(Path, "read_text", enforcing)
    (said,) = machine.selinux(patient(("compute",), **site))
    assert (said.state, "enforcing" in said.message) == ("ok", True)
    below_homes = {**site, "compute": {"project_root": "/home/projects"}}
    assert one(machine.selinux(patient(("compute",), **below_homes)), "below /home").state == "warning"


@pytest.mark.parametrize(
    ("said", "state"), [('{"type":"b","data":true}', "warning"), ('{"type":"b","data":false}', "ok")]
)
def test_shared_memory_that_logind_takes_away(
    said: str, state: str, site: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busctl = tmp_path / "busctl"
    busctl.write_text(f"#!/bin/sh\necho '{said}'\n")
    busctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    root = patient(("compute",), **site)
    root = Patient(root.config, replace(root.machine, root=True), (), root.roles)
    (found,) = machine.shared_memory(root)
    assert found.state == state
    busctl.write_text("#!/bin/sh\nexit 1\n")  # no logind
    assert list(machine.shared_memory(root)) == []


def test_a_front_proxy_that_passes_no_websockets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"gateway": {"url": "http://127.0.0.1:1"}, "server": {"url": "http://127.0.0.1:2"}}
    asked: list[str] = []

    def answer(status: int) -> Callable[..., reaching.Answer]:
        def ask(url: str, path: str, headers: dict[str, str] | None = None) -> reaching.Answer:
            asked.append((headers or {}).get("Upgrade", ""))
            return reaching.Answer(status, {})

        return ask

    monkeypatch.setattr(reaching, "ask", answer(303))
    found = one(reaching.websockets(patient(("gateway",), **options)), "do not arrive")
    assert (found.state, "Upgrade" in found.cure, asked) == ("problem", True, ["websocket"])
    monkeypatch.setattr(reaching, "ask", answer(401))
    assert bad(reaching.websockets(patient(("gateway",), **options))) == []


def test_a_wildcard_name_that_is_missing() -> None:
    options = {
        "gateway": {"url": "https://{project}.apps.aen-doctor.invalid"},
        "server": {"url": "https://aen-doctor.invalid"},
    }
    found = one(addresses(patient(("gateway",), **options)), "wildcard DNS record")
    assert (found.what, found.state) == ("gateway.url", "problem")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": []}, "environments.channels is empty"),
        ({"channels": ["file:///nonexistent/channel"]}, "not there: file:///nonexistent/channel"),
        ({"channels": ["file:///usr"], "executable": "/nonexistent/conda"}, "/nonexistent/conda is not there"),
    ],
)
def test_what_conda_needs_is_looked_at(options: dict[str, Any], words: str) -> None:
    assert one(packages.conda(patient(environments={"backend": "conda", **options})), words)
    assert list(packages.conda(patient(environments=options))) == [], "uv needs none of it"


def test_conda_that_has_all_is_well() -> None:
    options = {"backend": "conda", "channels": ["file:///usr"], "executable": "/bin/sh"}
    assert bad(packages.conda(patient(environments=options))) == []


def test_a_package_index_that_can_not_be_had_is_told_before_the_first_start(
    site: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("UV_INDEX_URL", "UV_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://ann:secret@127.0.0.1:{port}/simple")
    told = one(packages.index(patient(**site)), "package index").message
    assert told.startswith(f"http://…@127.0.0.1:{port}/simple can't be had ([Errno 111] Connection refused)")
    monkeypatch.setenv("UV_DEFAULT_INDEX", tmp_path.as_uri())
    assert bad(packages.index(patient(**site))) == []
    monkeypatch.setenv("UV_DEFAULT_INDEX", "file:///nonexistent/simple")
    assert one(packages.index(patient(**site)), "package index")
    for made in ("root-0123456789ab", "apps-0123456789ab"):
        (tmp_path / "envs" / made).mkdir()
    assert list(packages.index(patient(**site))) == [], "they are made: what runs needs none"
