"""The launcher and accounts: SSH keys installed as the person, accounts of people who are gone locked; with real accounts."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aen.errors import Conflict, Invalid
from aen.launchers import Account, ForeignAccount, ProjectRef, passwd
from aen.launchers.accounts import Accounts, link, make_again
from aen.launchers.process import ProcessLauncher
from tests.launching import Place, app, as_user, lives
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOao0n5uNK+I6pENBOkngKHuAZl2tb4E5vXSDdq7Oo7o"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmS4nPvIy7hB1yqfYzD4yW3T2dH8HhCqL3b8w0mF5Xk"


def keys_of(account: Account) -> Path:
    return Path(account.home, ".ssh", "authorized_keys")


# ── SSH keys ──────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_stand_between_marks(launcher: ProcessLauncher) -> None:
    ann = await launcher.ensure_account("aentann")
    file = keys_of(ann)
    assert await launcher.install_keys("aentann", []) is False
    assert not file.parent.exists()
    assert await launcher.install_keys("aentann", [KEY]) is True
    assert await launcher.install_keys("aentann", [KEY]) is False
    for path, mode in ((file.parent, 0o700), (file, 0o600)):
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (ann.uid, ann.gid, mode)
    as_user(ann, "sh", "-c", f"echo 'no-pty {OTHER} by hand' >> ~/.ssh/authorized_keys")
    assert await launcher.install_keys("aentann", [OTHER, KEY]) is True
    lines = file.read_text().splitlines()
    assert lines[0] == f"no-pty {OTHER} by hand"
    assert lines[2:-1] == [OTHER, KEY]
    assert await launcher.install_keys("aentann", []) is True
    assert file.read_text() == f"no-pty {OTHER} by hand\n"


@pytest.mark.parametrize(
    "trap",
    [
        "ln -s {target} ~/.ssh",
        "mkdir ~/.ssh; ln -s {target}/authorized_keys ~/.ssh/authorized_keys",
        "mkdir ~/.ssh; mkfifo ~/.ssh/authorized_keys",
        "mkdir -p ~/.ssh/authorized_keys",
        "echo x > ~/.ssh",
    ],
)
async def test_traps_in_the_home(spot: Place, launcher: ProcessLauncher, tmp_path: Path, trap: str) -> None:
    """What lies there may lead to root's keys: nothing but the person's own file is ever written."""
    bob = await launcher.ensure_account("aentbob")
    as_user(bob, "rm", "-rf", f"{bob.home}/.ssh")
    target = spot.top / "of-root"
    target.mkdir(exist_ok=True)
    (target / "authorized_keys").write_text("mine\n")
    assert as_user(bob, "sh", "-c", trap.format(target=target)).returncode == 0
    with pytest.raises(Conflict, match=r"authorized_keys|~/\.ssh"):
        await launcher.install_keys("aentbob", [KEY])
    assert os.listdir(target) == ["authorized_keys"]
    assert (target / "authorized_keys").read_text() == "mine\n"


@pytest.mark.parametrize("line", ["x", f'command="id" {KEY}', f"{KEY} comment", f"{KEY}\n{OTHER}", 7])
async def test_only_keys_are_installed(launcher: ProcessLauncher, line: str) -> None:
    await launcher.ensure_account("aentann")
    with pytest.raises(Invalid):
        await launcher.install_keys("aentann", [line])


async def test_accounts_of_others_get_no_keys_and_are_not_locked(spot: Place, launcher: ProcessLauncher) -> None:
    passwd.run("useradd", "--uid", "61901", "--create-home", "aentforeign")
    link(spot.policy.state_dir, "aentforeign")
    assert await launcher.install_keys("aentforeign", [KEY]) is False
    assert not Path("/home/aentforeign/.ssh").exists()
    found = await launcher.retire_account("aentforeign", look=False)
    assert (found["exists"], found["made"]) == (True, False)
    assert pwd.getpwnam("aentforeign").pw_shell != "/usr/sbin/nologin"
    for name in ("games", spot.service):
        assert (await launcher.retire_account(name, look=False))["made"] is False
    assert (await launcher.retire_account("aentnobody", look=False))["exists"] is False


async def test_an_account_whose_making_was_cut_off_is_made_all_the_same(launcher: ProcessLauncher) -> None:
    """Killed between its group and its user: the group is there, the register knows its number, and nobody has the name."""
    ann = await launcher.ensure_account("aentann")
    passwd.run("userdel", "--remove", "--force", "aentann")
    with contextlib.suppress(Conflict):  # as the machine has it, the group went with the user
        passwd.run("groupdel", "aentann")
    passwd.run("groupadd", "--gid", str(ann.uid), "aentann")
    again = await launcher.ensure_account("aentann")
    assert again.uid != ann.uid  # a number is never given twice
    assert grp.getgrnam("aentann").gr_gid == again.uid
    with pytest.raises(KeyError):
        grp.getgrgid(ann.uid)


@pytest.mark.parametrize("program", ["useradd", "groupadd"])
async def test_a_number_that_somebody_else_takes_meanwhile_is_let_go(
    spot: Place, launcher: ProcessLauncher, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    accounts, name, look = Accounts(spot.policy), f"aentmy{program}", passwd.taken
    lost: list[int] = []

    def a_moment_too_early(number: int) -> bool:
        if look(number):
            return True
        monkeypatch.setattr(passwd, "taken", look)
        passwd.run(program, "--uid" if program == "useradd" else "--gid", str(number), f"aent{program}")
        lost.append(number)
        return False

    monkeypatch.setattr(passwd, "taken", a_moment_too_early)
    made = accounts.ensure(name)
    assert lost
    assert made.uid == grp.getgrnam(name).gr_gid > lost[0]
    assert accounts.register.get(name) == made.uid


async def test_of_an_account_whose_home_cannot_be_made_nothing_stays(
    spot: Place, launcher: ProcessLauncher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And the reason is said: useradd leaves the account there, which then looks as if somebody else had taken its number."""
    accounts, real = Accounts(spot.policy), shutil.which("useradd", path=passwd._SYSTEM_PATH)
    (tmp_path / "useradd").write_text(f'#!/bin/sh\nexec {real} "$@" --home-dir /proc/nowhere\n')
    (tmp_path / "useradd").chmod(0o755)
    with monkeypatch.context() as broken:
        broken.setattr(passwd, "_SYSTEM_PATH", f"{tmp_path}:{passwd._SYSTEM_PATH}")
        with pytest.raises(Conflict, match=r"useradd failed for aentdisk: (.*\n)*useradd: cannot create directory"):
            accounts.ensure("aentdisk")
    assert passwd.entry("aentdisk") is None
    with pytest.raises(KeyError):
        grp.getgrnam("aentdisk")
    assert accounts.ensure("aentdisk").uid == accounts.register.get("aentdisk")


# ── retiring ──────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_is_retired(spot: Place, launcher: ProcessLauncher) -> None:
    eve = await launcher.ensure_account("aenteve")
    running = await launcher.start(app("a" * 16, eve, "sleep 600"))
    stray = subprocess.Popen(["sleep", "600"], user=eve.uid, group=eve.gid, extra_groups=[], start_new_session=True)
    look = await launcher.retire_account("aenteve", look=True)
    assert (look["made"], look["locked"], look["uid"]) == (True, False, eve.uid)
    assert look["processes"] >= 2
    assert lives(running)

    done = await launcher.retire_account("aenteve", look=False)
    assert done["locked"] is True
    assert stray.wait(10) == -9
    assert not lives(running)
    shadow = next(line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith("aenteve:"))
    assert shadow.split(":")[1].startswith("!")
    assert shadow.split(":")[7] == "1"  # expired: no key and no PAM session lets anybody in
    assert pwd.getpwnam("aenteve").pw_shell == "/usr/sbin/nologin"
    assert Path(eve.home).is_dir()
    assert (await launcher.retire_account("aenteve", look=False))["locked"] is True
    with pytest.raises(Conflict, match="somebody who was removed"):
        await launcher.ensure_account("aenteve")
    with pytest.raises(Conflict, match="somebody who was removed"):
        await launcher.start(app("b" * 16, eve, "true"))


async def test_accounts_come_back_with_their_numbers(spot: Place, launcher: ProcessLauncher) -> None:
    assert list(make_again(f"{spot.policy.state_dir}/not-there", spot.policy.shell)) == []
    ann, gone = await launcher.ensure_account("aentann"), await launcher.ensure_account("aentgone")
    moved, taken = await launcher.ensure_account("aentmove", "i1"), await launcher.ensure_account("aenttake")
    await launcher.retire_account("aentgone", look=False)
    for name in ("aentgone", "aentmove", "aenttake"):  # another machine, with the launcher's directory from the backup
        with contextlib.suppress(Conflict):
            passwd.run("userdel", "--remove", "--force", name)
    passwd.run("useradd", "--no-create-home", "--uid", str(taken.uid), "aentother")
    try:
        said = list(make_again(spot.policy.state_dir, spot.policy.shell))
    finally:
        passwd.run("userdel", "aentother")
    assert said == [
        f"account aentmove: made with its number, {moved.uid}",
        f"account aenttake: not made, because {taken.uid}, its number, is somebody else's here",
    ]
    assert await launcher.ensure_account("aentmove", "i1") == moved
    assert await launcher.ensure_account("aentann") == ann
    with pytest.raises(KeyError):
        pwd.getpwuid(gone.uid)
    assert list(make_again(spot.policy.state_dir, spot.policy.shell)) == [
        f"account aenttake: made with its number, {taken.uid}"
    ]


async def test_the_next_of_that_name_starts_anew(spot: Place, launcher: ProcessLauncher) -> None:
    first = await launcher.ensure_account("aentnew")
    await launcher.retire_account("aentnew", look=False)
    with contextlib.suppress(Conflict):
        passwd.run("userdel", "--remove", "--force", "aentnew")
    assert (await launcher.ensure_account("aentnew")).uid > first.uid


async def test_what_the_retired_owned_passes_on(spot: Place, launcher: ProcessLauncher) -> None:
    ann, vic = await launcher.ensure_account("aentann"), await launcher.ensure_account("aentvic")
    project = ProjectRef("aentann", "kept", {"aentann": "owner", "aentvic": "member"})
    await launcher.prepare_project(project, str(spot.skeleton))
    as_user(vic, "sh", "-c", "echo v > of-vic.txt", cwd=str(spot.path(project)))
    await launcher.retire_account("aentvic", look=False)
    after = ProjectRef("aentann", "kept", {"aentann": "owner"}, ("aentvic",))
    assert (await launcher.apply_permissions(after)).passed_on == 1
    assert (spot.path(project) / "of-vic.txt").stat().st_uid == ann.uid


# ── a name that is given again ────────────────────────────────────────────────────────────────────────


def inherits(spot: Place, first: Account, second: Account, project: ProjectRef) -> list[str]:
    """What the second person of a name reaches of what the first had."""
    top = spot.path(project)
    paths = [f"{first.home}/diary.txt", f"/home/{first.user}-was-{first.uid}/diary.txt", str(top / "theirs.txt")]
    return [path for path in paths if as_user(second, "cat", path).returncode == 0]


@pytest.mark.parametrize("removed", [True, False], ids=["after its removal", "before anybody here heard of it"])
async def test_a_name_given_again_inherits_nothing(spot: Place, launcher: ProcessLauncher, removed: bool) -> None:
    name = "aenttwin" if removed else "aentzwei"
    ann, first = await launcher.ensure_account("aentann", "a1"), await launcher.ensure_account(name, "i1")
    assert await launcher.ensure_account(name, "i1") == first
    assert await launcher.ensure_account(name) == first
    project = ProjectRef("aentann", f"with-{name}", {"aentann": "owner", name: "member"})
    await launcher.prepare_project(project, str(spot.skeleton))
    as_user(first, "sh", "-c", "umask 077; echo d > ~/diary.txt; echo t > theirs.txt", cwd=str(spot.path(project)))
    running = await launcher.start(app("d" * 16, first, "sleep 600"))
    stray = subprocess.Popen(["sleep", "600"], user=first.uid, group=first.gid, extra_groups=[], start_new_session=True)
    if removed:
        assert (await launcher.retire_account(name, look=False, incarnation="i1"))["locked"] is True

    second = await launcher.ensure_account(name, "i2")
    assert stray.wait(10) == -9
    assert not lives(running)
    assert (second.user, second.home) == (name, f"/home/{name}")
    assert second.uid > first.uid
    assert second.gid > first.gid
    assert sorted(os.listdir(second.home)) == sorted(os.listdir("/etc/skel"))
    old = pwd.getpwuid(first.uid)
    assert (old.pw_name, old.pw_shell) == (f"{name}-was-{first.uid}", "/usr/sbin/nologin")
    assert grp.getgrgid(first.gid).gr_name == f"{name}-was-{first.uid}"
    shadow = next(line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith(f"{old.pw_name}:"))
    assert shadow.split(":")[1].startswith("!")
    kept = Path(old.pw_dir)
    assert (kept / "diary.txt").read_text() == "d\n"
    assert (kept.stat().st_uid, kept.stat().st_mode & 0o777) == (0, 0o700)
    after = ProjectRef("aentann", project.name, {"aentann": "owner"}, (name,))
    assert (await launcher.apply_permissions(after)).passed_on == 1
    assert spot.path(project).joinpath("theirs.txt").stat().st_uid == ann.uid
    assert inherits(spot, first, second, project) == []
    again = await launcher.start(app("d" * 16, second, "id -u; sleep 600", generation=2))
    assert again.uid == second.uid
    await launcher.stop(again, 0)


async def test_the_earlier_person_never_comes_back(launcher: ProcessLauncher) -> None:
    """A command that was long under way speaks of somebody who is gone: it must not retire who has the name now."""
    await launcher.ensure_account("aentlate", "i1")
    second = await launcher.ensure_account("aentlate", "i2")
    with pytest.raises(Conflict, match="somebody else has the name now"):
        await launcher.ensure_account("aentlate", "i1")
    assert (await launcher.retire_account("aentlate", look=False, incarnation="i1"))["exists"] is False
    assert await launcher.install_keys("aentlate", [OTHER], "i1") is False
    assert await launcher.ensure_account("aentlate", "i2") == second
    assert await launcher.install_keys("aentlate", [KEY], "i2") is True
    third = await launcher.ensure_account("aentlate", "i3")
    assert third.uid > second.uid
    assert not keys_of(third).exists()


async def test_keys_of_the_next_do_not_open_the_account_of_the_one_before(launcher: ProcessLauncher) -> None:
    first = await launcher.ensure_account("aentkeys", "i1")
    assert await launcher.install_keys("aentkeys", [KEY], "i2") is False
    assert not keys_of(first).exists()


async def test_a_linked_account_was_linked_for_one_person(spot: Place, launcher: ProcessLauncher) -> None:
    passwd.run("useradd", "--uid", "61903", "--create-home", "aentlinked")
    link(spot.policy.state_dir, "aentlinked")
    assert (await launcher.ensure_account("aentlinked", "i1")).uid == 61903
    with pytest.raises(ForeignAccount, match="aen user link aentlinked"):
        await launcher.ensure_account("aentlinked", "i2")
    with pytest.raises(ForeignAccount):
        await launcher.start(app("e" * 16, Account("aentlinked", 61903, 61903, "/home/aentlinked", "", True), "true"))
    assert pwd.getpwnam("aentlinked").pw_uid == 61903
    link(spot.policy.state_dir, "aentlinked")  # the administrator means the new one too
    assert (await launcher.ensure_account("aentlinked", "i2")).uid == 61903


async def test_what_was_cut_off_in_the_middle_is_done_again(spot: Place, launcher: ProcessLauncher) -> None:
    first = await launcher.ensure_account("aentcut", "i1")
    subprocess.run(["usermod", "--login", f"aentcut-was-{first.uid}", "aentcut"], check=True)
    second = await launcher.ensure_account("aentcut", "i2")
    assert second.uid > first.uid
    assert Path(f"/home/aentcut-was-{first.uid}").stat().st_uid == 0
    assert grp.getgrgid(first.gid).gr_name == f"aentcut-was-{first.uid}"


async def test_subordinate_numbers_stay_with_the_earlier_person(spot: Place, launcher: ProcessLauncher) -> None:
    """What ran in their containers has these numbers: they are neither the next one's nor anybody else's."""
    first = await launcher.ensure_account("aentsub", "i1")
    numbers = "2000000000-2000065535"
    subprocess.run(["usermod", "--add-subuids", numbers, "--add-subgids", numbers, "aentsub"], check=True)
    await launcher.ensure_account("aentsub", "i2")
    for name in ("subuid", "subgid"):
        owners = [line for line in Path("/etc", name).read_text().splitlines() if ":2000000000:" in line]
        assert owners == [f"aentsub-was-{first.uid}:2000000000:65536"]


# ── accounts.mode: existing ───────────────────────────────────────────────────────────────────────────


async def test_existing_accounts_are_used_as_they_are(spot: Place) -> None:
    passwd.run("useradd", "--uid", "61902", "--create-home", "aentthere")
    spot.policy, before = replace(spot.policy, mode="existing"), spot.policy
    try:
        async with spot.launcher() as launcher:
            there = await launcher.ensure_account("aentthere")
            assert there.uid == 61902
            with pytest.raises(Conflict, match=r"no Linux account on this node.*accounts.mode: existing"):
                await launcher.ensure_account("aentmissing")
            for system in ("daemon", "root", spot.service):
                with pytest.raises(Invalid):
                    await launcher.ensure_account(system)
            project = ProjectRef("aentthere", "here", {"aentthere": "owner"})
            await launcher.prepare_project(project, str(spot.skeleton))
            assert as_user(there, "cat", f"{spot.path(project)}/README.md").stdout == "Welcome\n"
            running = await launcher.start(app("c" * 16, there, "sleep 600", project="here"))
            assert await launcher.install_keys("aentthere", [KEY]) is False
            assert (await launcher.retire_account("aentthere", look=False))["made"] is False
            assert lives(running)
            await launcher.stop(running, 1)

            async def gone() -> bool:
                return not lives(running)

            await until(gone, 5, "the app has ended")
    finally:
        spot.policy = before
