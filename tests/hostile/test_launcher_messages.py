"""The launcher's socket in the hands of somebody who took the service over: every message by hand, nothing gets through."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aen.launchers.process import LauncherHandle
from aen.launchers.wire import LARGEST
from aen.privileges import spawn_launcher
from tests.launching import Place, place, raw

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]

SESSION = "a" * 16
PROJECT = {"owner": "aentann", "name": "genome", "team": {"aentann": "owner"}, "former": []}
PROCESS = {"session": SESSION, "generation": 1, "pid": 2, "start_time": 1, "boot_id": "0", "uid": 61000}


@pytest.fixture(scope="module")
def spot() -> Iterator[Place]:
    with place() as made:
        yield made


@pytest.fixture(scope="module")
def handle(spot: Place) -> Iterator[LauncherHandle]:
    """One launcher for all: each test also shows that the one before did not hurt it."""
    made = spot.spawn()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def doomed(spot: Place) -> Iterator[LauncherHandle]:
    made = spot.spawn()
    try:
        yield made
    finally:
        made.close()


def send(sock: socket.socket, body: bytes) -> None:
    sock.sendall(struct.pack("!I", len(body)) + body)


def receive(sock: socket.socket) -> dict[str, Any]:
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack("!I", data[:4])[0]:
        part = sock.recv(1 << 16)
        assert part, "the launcher has ended"
        data += part
    answer: dict[str, Any] = json.loads(data[4:])
    return answer


def ask(handle: LauncherHandle, verb: Any, **values: Any) -> dict[str, Any]:
    sock = raw(handle)
    send(sock, json.dumps({"id": 7, "verb": verb, **values}).encode())
    answer = receive(sock)
    assert answer["id"] == 7
    return answer


def refused(answer: dict[str, Any], *kinds: str) -> str:
    assert "result" not in answer, answer
    assert answer["error"]["kind"] in (kinds or ("Invalid",)), answer
    text: str = answer["error"]["message"]
    return text


def alive(handle: LauncherHandle) -> None:
    """It still answers, and sensibly."""
    assert ask(handle, "adopt", process=PROCESS) == {"id": 7, "result": False}


# ── framing ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"id":0,"verb":"stop"}',
        b'{"id":true,"verb":"stop"}',
        b'{"id":"7","verb":"stop"}',
        b'{"id":1e30,"verb":"stop"}',
        b'{"id":-1,"verb":"stop"}',
        b"[" * 100_000,
        b'{"id":' + b"9" * 5000 + b"}",
    ],
)
def test_bodies_that_are_no_requests(handle: LauncherHandle, body: bytes) -> None:
    sock = raw(handle)
    send(sock, body)
    refused(receive(sock))
    alive(handle)


def test_a_length_beyond_bounds_ends_it(doomed: LauncherHandle) -> None:
    sock = raw(doomed)
    sock.sendall(struct.pack("!I", LARGEST + 1))
    refused(receive(sock))
    assert doomed.child.wait(10) == 0


def test_a_message_in_pieces_and_many_in_one(handle: LauncherHandle) -> None:
    sock = raw(handle)
    body = json.dumps({"id": 7, "verb": "adopt", "process": PROCESS}).encode()
    whole = struct.pack("!I", len(body)) + body
    for at in range(len(whole)):
        sock.sendall(whole[at : at + 1])
    assert receive(sock)["result"] is False
    sock.sendall(whole * 3)
    data = b""
    while data.count(b'"result":false') < 3:
        data += sock.recv(1 << 16)


# ── verbs and values ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verb", [None, 1, [], {}, "", "eval", "handle", "_start", "__init__", "STOP", "stop "])
def test_there_are_no_other_verbs(handle: LauncherHandle, verb: Any) -> None:
    assert "no such verb" in refused(ask(handle, verb))


NAMES: list[Any] = [None, 1, [], "", ".", "..", "../etc", "a/b", "/etc", "Ann", "ann ", "-ann", "ann\n", "ann\0", "a" * 33, "root", "aen", "ånn", "ann:x", "ann\udc80"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_users(handle: LauncherHandle, name: Any) -> None:
    refused(ask(handle, "ensure_account", user=name))
    refused(ask(handle, "make_run_dir", session=SESSION, user=name))
    refused(ask(handle, "end_user", user=name, project=None))
    refused(ask(handle, "apply_permissions", project={**PROJECT, "owner": name}))
    refused(ask(handle, "apply_permissions", project={**PROJECT, "team": {str(name): "member"}}))
    if name is not None:
        refused(ask(handle, "apply_permissions", project={**PROJECT, "former": [name]}))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/", ".git", "x" * 64, "x..y", "a\0b", "A", None, 5, ".aen-staging"]
)
def test_project_names(handle: LauncherHandle, name: Any) -> None:
    for verb in ("delete_project", "apply_permissions"):
        refused(ask(handle, verb, project={**PROJECT, "name": name}))
    refused(ask(handle, "rename_project", project=PROJECT, new_name=name))
    if name != "":  # nobody: the owner stays
        refused(ask(handle, "rename_project", project=PROJECT, new_name="fine", new_owner=name))


@pytest.mark.parametrize("project", [None, [], "genome", {**PROJECT, "path": "/etc"}, {"owner": "aentann"}, {**PROJECT, "team": []}, {**PROJECT, "team": {"aentann": "root"}}, {**PROJECT, "team": {"aentann": []}}, {**PROJECT, "team": {f"aent{number}": "member" for number in range(2001)}}])  # fmt: skip
def test_projects(handle: LauncherHandle, project: Any) -> None:
    for verb in ("delete_project", "measure_project", "bound_project", "check_permissions", "clear_project"):
        refused(ask(handle, verb, project=project))


PATHS: list[Any] = [None, 1, [], "", "/", ".", "..", "a/..", "../x", "%2e%2e/x", "a/%2E%2E/b", "/etc/passwd", "a//b", "a/", "a%2fb", "a%00b", "a\0b", "x" * 256, "a/" * 300 + "b"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_paths_in_a_project(handle: LauncherHandle, path: Any) -> None:
    refused(ask(handle, "path_rights", project=PROJECT, path=path, rights=None))
    refused(ask(handle, "path_rights", project=PROJECT, path=path, rights={"aentann": ""}, contents=True))


@pytest.mark.parametrize("most", [None, True, -1, 2**61, "1G", 1.5, []])
def test_bounds(handle: LauncherHandle, most: Any) -> None:
    refused(ask(handle, "bound_project", project=PROJECT, most=most))


@pytest.mark.parametrize("rights", [1, "rwx", [], {"aentann": "x" * 4}, {"aentann": 7}, {"aentann": "wr"}, {"../x": "r"}, {"root": "rwx"}, {f"aent{number}": "" for number in range(2001)}])  # fmt: skip
def test_rights(handle: LauncherHandle, rights: Any) -> None:
    refused(ask(handle, "path_rights", project=PROJECT, path="README.md", rights=rights))


@pytest.mark.parametrize("skeleton", ["/etc", "/", "", "../skeleton", None, 1, "{skeleton}/..", "{skeleton}/public", "{skeleton}/", "{skeleton}\0"])  # fmt: skip
def test_skeletons(spot: Place, handle: LauncherHandle, skeleton: Any) -> None:
    given = skeleton.replace("{skeleton}", str(spot.skeleton)) if isinstance(skeleton, str) else skeleton
    refused(ask(handle, "prepare_project", project=PROJECT, skeleton=given))
    assert not Path(spot.policy.project_root, "aentann").exists()


@pytest.mark.parametrize(
    "source", ["/etc", "/", "{envs}", "{envs}/..", "{envs}/../state", "{envs}x/root", "envs/root", None, 3]
)
def test_environment_sources(spot: Place, handle: LauncherHandle, source: Any) -> None:
    given = source.replace("{envs}", str(spot.envs)) if isinstance(source, str) else source
    refused(ask(handle, "publish_environment", project=PROJECT, name="default", source=given))


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".x", "x\0", None])
def test_environment_names(spot: Place, handle: LauncherHandle, name: Any) -> None:
    refused(ask(handle, "publish_environment", project=PROJECT, name=name, source=f"{spot.envs}/root"))


@pytest.mark.parametrize(
    "session",
    ["", "a", "a" * 15, "a" * 17, "A" * 16, "../" * 5 + "a", "a" * 15 + "/", "1" * 16, None, 1, "a" * 16 + "\n"],
)
def test_session_ids(handle: LauncherHandle, session: Any) -> None:
    refused(ask(handle, "log_tail", session=session, lines=10))
    refused(ask(handle, "make_run_dir", session=session, user="aentann"))


# ── apps ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ann(handle: LauncherHandle) -> dict[str, Any]:
    account: dict[str, Any] = ask(handle, "ensure_account", user="aentann")["result"]
    return account


def spec(**change: Any) -> dict[str, Any]:
    good = {
        "session": SESSION,
        "generation": 1,
        "user": "aentann",
        "owner": "aentann",
        "project": "genome",
        "argv": ["/bin/sh", "-c", "id -u > /tmp/aent-was-here"],
        "environ": {"PATH": "/usr/bin:/bin"},
        "cwd": "/home/aentann",
        "socket": "",
        "limits": {},
    }
    return {**good, **change}


@pytest.mark.parametrize(
    "change",
    [
        {"argv": []},
        {"argv": "/bin/sh"},
        {"argv": ["sh"]},
        {"argv": ["./sh"]},
        {"argv": ["/bin/../bin/sh"]},
        {"argv": ["/bin/sh", 1]},
        {"argv": ["/bin/sh", "a\0b"]},
        {"argv": ["/bin/sh", "\udc80"]},
        {"argv": ["/bin/sh", "x" * 200_000]},
        {"environ": []},
        {"environ": {"A=B": "x"}},
        {"environ": {"": "x"}},
        {"environ": {"A": 1}},
        {"environ": {"A": "x\0y"}},
        {"environ": {"A B": "x"}},
        {"cwd": "/"},
        {"cwd": "/root"},
        {"cwd": "/home/aentannx"},
        {"cwd": "/home/aentann/../aentbob"},
        {"cwd": "home"},
        {"cwd": ""},
        {"user": "root"},
        {"user": "../root"},
        {"generation": -1},
        {"generation": 1.5},
        {"generation": True},
        {"limits": {"nice": 1}},
        {"limits": {"files": 0}},
        {"limits": {"files": "many"}},
        {"limits": []},
        {"socket": "/run/other.sock"},
        {"socket": "{run}/s"},
        {"socket": "{run}/bbbbbbbbbbbb-0000/s"},
        {"socket": "{run}/aaaaaaaaaaaa-0000/deeper/s"},
        {"socket": "{run}/aaaaaaaaaaaa-0000/../s"},
        {"socket": 1},
        {"uid": 0},
    ],
)
def test_apps(spot: Place, handle: LauncherHandle, ann: dict[str, Any], change: dict[str, Any]) -> None:
    given = {
        key: value.replace("{run}", spot.policy.run_dir) if isinstance(value, str) else value
        for key, value in change.items()
    }
    refused(ask(handle, "start", spec=spec(**given)))
    assert not Path("/tmp/aent-was-here").exists()
    assert os.listdir(Path(spot.policy.state_dir, "apps")) == []


def test_people_without_an_account_start_nothing(handle: LauncherHandle) -> None:
    refused(ask(handle, "start", spec=spec(user="aentnobody", cwd="/home/aentnobody")), "NotFound")


@pytest.mark.parametrize("name", ["games", "daemon1", "backup"])
def test_accounts_of_the_system_start_nothing(handle: LauncherHandle, name: str) -> None:
    refused(ask(handle, "start", spec=spec(user=name, cwd="/")), "Invalid", "NotFound")


def test_an_account_that_aen_did_not_make_starts_nothing(spot: Place, handle: LauncherHandle) -> None:
    """Nor does the service account."""
    refused(ask(handle, "start", spec=spec(user=spot.service, cwd="/nonexistent")))


@pytest.mark.parametrize("pid", [0, 1, -1, 2**40, "1", None, True])
def test_signals_go_to_nobody_else(handle: LauncherHandle, pid: Any) -> None:
    refused(ask(handle, "stop", process={**PROCESS, "pid": pid}, grace=0))


def test_a_process_that_is_not_an_app_of_ours_is_not_stopped(handle: LauncherHandle) -> None:
    """Any pid, with everything right about it, ours included: it is not in the book."""
    status = Path("/proc/self/stat").read_text()
    mine = {
        "session": SESSION,
        "generation": 1,
        "pid": os.getpid(),
        "start_time": int(status[status.rindex(")") + 2 :].split()[19]),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "uid": 0,
    }
    assert ask(handle, "adopt", process=mine)["result"] is False
    assert ask(handle, "stop", process=mine, grace=0)["result"] is None
    refused(ask(handle, "grant_socket", process=mine), "NotFound")


@pytest.mark.parametrize("grace", [None, "1", [], float("nan"), True])
def test_times(handle: LauncherHandle, grace: Any) -> None:
    refused(ask(handle, "stop", process=PROCESS, grace=grace))


@pytest.mark.parametrize("password", ["", "x" * 1025, "a\0b", "\udc80", None, 1, ["x"]])
def test_passwords(spot: Place, password: Any) -> None:
    made = spawn_launcher(replace(spot.policy, pam_service="aent-none"))
    try:
        refused(ask(made, "check_password", user="aentann", password=password))
        for name in NAMES:
            refused(ask(made, "check_password", user=name, password="x"))
        alive(made)
    finally:
        made.close()


def test_passwords_are_not_checked_unless_configured(handle: LauncherHandle) -> None:
    refused(ask(handle, "check_password", user="aentann", password="x"), "Unsupported")
    refused(ask(handle, "check_password", user="aentann", password="x", service="login"), "Unsupported")


# ── the disk ──────────────────────────────────────────────────────────────────────────────────────────


def test_logs_are_read_from_its_own_directory_only(spot: Place, handle: LauncherHandle) -> None:
    secret = spot.top / "secret"
    secret.write_text("secret")
    Path(spot.policy.log_dir, "b" * 16 + ".log").symlink_to(secret)
    answer = ask(handle, "log_tail", session="b" * 16, lines=10)
    assert "result" not in answer


def test_an_owners_folder_that_is_not_ours(spot: Place, handle: LauncherHandle, ann: dict[str, Any]) -> None:
    """Somebody's directory where the owner's folder should be, as after a restore by hand."""
    folder = Path(spot.policy.project_root, "aentann")
    folder.mkdir(exist_ok=True)
    os.chown(folder, ann["uid"], ann["gid"])
    (folder / "genome").mkdir()
    for verb in ("apply_permissions", "delete_project", "measure_project"):
        refused(ask(handle, verb, project=PROJECT), "Conflict")
    assert (folder / "genome").is_dir()
    (folder / "genome").rmdir()
    folder.rmdir()
    folder.symlink_to("/etc")
    refused(ask(handle, "prepare_project", project=PROJECT, skeleton=str(spot.skeleton)), "Conflict")
    folder.unlink()
