"""The launcher and PAM: passwords of real accounts checked by real modules; who guesses has to wait; hanging modules are cut off."""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aen.errors import Invalid, TooMany, Unavailable
from aen.launchers import Unsupported, pam
from aen.launchers.process import LauncherHandle, ProcessLauncher
from aen.privileges import spawn_launcher
from tests.launching import Place
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]

_MODULES = ("/lib/*/security", "/usr/lib/*/security", "/lib64/security", "/usr/lib64/security")
UNIX = "auth required pam_unix.so\naccount required pam_unix.so\n"


def has_module(name: str) -> bool:
    return any(list(Path("/").glob(f"{folder[1:]}/{name}")) for folder in _MODULES)


@pytest.fixture
def service() -> Iterator[Path]:
    """A PAM service of our own, gone afterwards."""
    path = Path(f"/etc/pam.d/aent-{secrets.token_hex(4)}")
    path.write_text(UNIX)
    yield path
    path.unlink()


def started(spot: Place, service: str) -> LauncherHandle:
    return spawn_launcher(replace(spot.policy, pam_service=service))


@pytest.fixture
async def launcher(spot: Place, service: Path) -> AsyncIterator[ProcessLauncher]:
    async with ProcessLauncher(started(spot, service.name)) as made:
        yield made


def set_password(user: str, password: str) -> None:
    subprocess.run(["chpasswd", "-c", "SHA256"], input=f"{user}:{password}\n", text=True, check=True)


async def test_the_right_password_and_no_other(launcher: ProcessLauncher) -> None:
    await launcher.ensure_account("aentann")
    assert await launcher.check_password("aentann", "x") is False  # AEN's accounts have none
    set_password("aentann", "correct hörse")
    assert await launcher.check_password("aentann", "correct hörse") is True
    assert await launcher.check_password("aentann", "correct horse") is False
    assert await launcher.check_password("aentnobody", "correct hörse") is False
    subprocess.run(["chage", "-E", "0", "aentann"], check=True)  # expired: right, and still no
    assert await launcher.check_password("aentann", "correct hörse") is False
    subprocess.run(["chage", "-E", "-1", "aentann"], check=True)
    subprocess.run(["usermod", "--lock", "aentann"], check=True)
    assert await launcher.check_password("aentann", "correct hörse") is False


async def test_root_system_accounts_and_our_own_never(spot: Place, service: Path) -> None:
    """Even where PAM lets everybody in."""
    service.write_text("auth required pam_permit.so\naccount required pam_permit.so\n")
    async with ProcessLauncher(started(spot, service.name)) as launcher:
        await launcher.ensure_account("aentann")
        assert await launcher.check_password("aentann", "whatever") is True
        assert await launcher.check_password(spot.service, "whatever") is False
        for name in ("root", "daemon", "nobody", "www-data"):
            try:
                assert await launcher.check_password(name, "whatever") is False
            except Invalid:  # a reserved name is refused before
                continue


async def test_guessing_has_to_wait_and_other_people_do_not(launcher: ProcessLauncher) -> None:
    await launcher.ensure_account("aentbob")
    await launcher.ensure_account("aentcat")
    set_password("aentcat", "meow meow")

    async def guess() -> None:
        for _ in range(50):
            assert await launcher.check_password("aentbob", "guess") is False

    with pytest.raises(TooMany) as caught:
        await guess()
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60
    assert await launcher.check_password("aentcat", "meow meow") is True


async def test_not_configured_and_broken(spot: Place, service: Path) -> None:
    async with spot.launcher() as plain:
        with pytest.raises(Unsupported, match=r"accounts\.pam_service"):
            await plain.check_password("aentann", "x")
    service.write_text("auth required pam_there_is_none.so\n")
    async with ProcessLauncher(started(spot, service.name)) as launcher:
        await launcher.ensure_account("aentann")
        with pytest.raises(Unavailable, match=service.name):
            await launcher.check_password("aentann", "x")


@pytest.mark.skipif(not has_module("pam_exec.so"), reason="needs pam_exec: a module that hangs")
async def test_a_module_that_hangs_is_cut_off(spot: Place, service: Path, tmp_path: Path) -> None:
    """The launcher goes on meanwhile; what was cut off is said."""
    note = tmp_path / "pid"
    script = tmp_path / "hang"
    script.write_text(f"#!/bin/sh\necho $PPID > {note}\nexec sleep 600\n")
    script.chmod(0o755)
    service.write_text(f"auth required pam_exec.so {script}\naccount required pam_permit.so\n")
    async with ProcessLauncher(started(spot, service.name)) as launcher:
        await launcher.ensure_account("aentann")
        asking = asyncio.ensure_future(launcher.check_password("aentann", "x"))

        async def hangs() -> bool:
            return note.exists() and note.read_text().strip() != ""

        await until(hangs, 10, "the module hangs")
        assert await launcher.log_tail("a" * 16, 1) == ""
        os.kill(int(note.read_text()), signal.SIGALRM)  # as its own alarm does, see the next test
        with pytest.raises(Unavailable, match="did not answer"):
            await asking


@pytest.mark.skipif(not has_module("pam_exec.so"), reason="needs pam_exec: a module that hangs")
def test_the_alarm_is_set(service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "hang"
    script.write_text("#!/bin/sh\nexec sleep 5\n")
    script.chmod(0o755)
    service.write_text(f"auth required pam_exec.so {script}\n")
    monkeypatch.setattr(pam, "CHECK_SECONDS", 1)
    child = os.fork()
    if child == 0:
        pam.check(service.name, "aentann", "x")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGALRM


def said(*styles: int) -> tuple[int, list[bytes | None]]:
    """What a module hears that asks all this at once: PAM's code, and its answers."""
    answerer = pam._Answerer(ctypes.CDLL(None), b"secret")
    asked = [pam._Message(style, b"?") for style in styles]
    messages = (ctypes.POINTER(pam._Message) * len(asked))(*(ctypes.pointer(one) for one in asked))
    answers = (ctypes.c_void_p * 1)()
    code = answerer.conversation.converse(len(asked), messages, answers, None)
    if not answers[0]:
        return code, []
    made = ctypes.cast(answers[0], ctypes.POINTER(pam._Response))
    return code, [ctypes.cast(made[number].text, ctypes.c_char_p).value for number in range(len(asked))]


@pytest.mark.parametrize(
    ("styles", "expected"),
    [
        ([1], (0, [b"secret"])),
        ([4, 1], (0, [None, b"secret"])),  # a notice first
        ([2], (19, [])),  # a question whose answer would be shown
        ([1, 1], (19, [])),  # a second one, as for a one-time code
    ],
)
def test_the_password_answers_one_hidden_question_only(
    styles: list[int], expected: tuple[int, list[bytes | None]]
) -> None:
    assert said(*styles) == expected


async def test_the_password_stands_nowhere(spot: Place, service: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = secrets.token_hex(12)
    async with ProcessLauncher(started(spot, service.name)) as launcher:
        await launcher.ensure_account("aentann")
        assert await launcher.check_password("aentann", secret) is False
        with pytest.raises(Invalid) as caught:
            await launcher.check_password("aentann", secret * 100)
    assert secret not in caught.value.message
    written = capfd.readouterr()
    assert secret not in written.out + written.err
    for path in Path(spot.policy.state_dir).rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
