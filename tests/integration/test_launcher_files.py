"""The launcher and project files, with real accounts: who may do what on disk, before and after a team changes."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aen.errors import Conflict, Invalid, NotFound
from aen.launchers import Account, ForeignAccount, ProjectRef, RightsWish, passwd
from aen.launchers.accounts import link
from aen.launchers.process import ProcessLauncher
from tests.launching import Place, app, as_user
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]


@pytest.fixture
async def people(launcher: ProcessLauncher) -> dict[str, Account]:
    return {name: await launcher.ensure_account(name) for name in ("aentann", "aentbob", "aentvic", "aentsam")}


def ref(name: str, **team: str) -> ProjectRef:
    return ProjectRef("aentann", name, {"aentann": "owner", **team})


def reads(account: Account, path: Path) -> bool:
    return as_user(account, "cat", str(path)).returncode == 0


def writes(account: Account, path: Path) -> bool:
    return as_user(account, "sh", "-c", 'echo more >> "$0"', str(path)).returncode == 0


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_is_made_once(launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    ann = people["aentann"]
    assert await launcher.ensure_account("aentann") == ann
    assert ann.uid >= 61000
    assert (ann.home, ann.shell, ann.private_group) == ("/home/aentann", "/bin/bash", True)
    assert Path(ann.home).stat().st_mode & 0o777 == 0o700
    assert Path(ann.home).stat().st_uid == ann.uid


async def test_an_account_of_others_is_never_taken_over(spot: Place, launcher: ProcessLauncher) -> None:
    passwd.run("useradd", "--uid", "61900", "--no-create-home", "aentforeign")
    with pytest.raises(ForeignAccount, match="aen user link aentforeign"):
        await launcher.ensure_account("aentforeign")
    assert "aen user link aentforeign" in (await launcher.retire_account("aentforeign", look=True))["note"]
    assert link(spot.policy.state_dir, "aentforeign").uid == 61900
    assert (await launcher.ensure_account("aentforeign")).uid == 61900
    assert (await launcher.retire_account("aentforeign", look=True))["note"] == ""


async def test_a_home_that_is_in_the_way_is_told_before_the_account_is_made(launcher: ProcessLauncher) -> None:
    assert await launcher.retire_account("aenthome", look=True) == {"exists": False, "note": "", "processes": 0}
    home = Path("/home/aenthome")
    home.mkdir()
    try:
        told = await launcher.retire_account("aenthome", look=True)
        assert (told["exists"], told["note"].startswith("/home/aenthome is there already")) == (False, True)
    finally:
        home.rmdir()


@pytest.mark.parametrize("name", ["games", "backup", "the service account"])
async def test_accounts_of_the_system_are_refused(spot: Place, launcher: ProcessLauncher, name: str) -> None:
    with pytest.raises(Invalid, match="can't own or start projects"):
        await launcher.ensure_account(spot.service if " " in name else name)
    told = await launcher.retire_account(spot.service if " " in name else name, look=True)
    assert "can't own or start projects" in told["note"]


async def test_a_recreated_name_gets_a_new_uid_and_inherits_nothing(spot: Place, launcher: ProcessLauncher) -> None:
    first = await launcher.ensure_account("aenttwo")
    project = ProjectRef("aenttwo", "kept", {"aenttwo": "owner"})
    await launcher.prepare_project(project, str(spot.skeleton))
    with contextlib.suppress(Conflict):
        passwd.run("userdel", "--remove", "--force", "aenttwo")
    second = await launcher.ensure_account("aenttwo")
    assert second.uid > first.uid
    for verb in (launcher.apply_permissions(project), launcher.prepare_project(project, str(spot.skeleton))):
        with pytest.raises(Conflict, match="left from an earlier account"):
            await verb
    with pytest.raises(Conflict, match="left from an earlier account"):
        await launcher.delete_project(project)
    assert not reads(second, spot.path(project) / "README.md")


# ── the project's directory ───────────────────────────────────────────────────────────────────────────


async def test_a_project_from_the_skeleton(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    project = ref("genome", aentbob="member", aentvic="viewer")
    assert await launcher.prepare_project(project, str(spot.skeleton)) is True
    assert await launcher.prepare_project(project, str(spot.skeleton)) is False
    top = spot.path(project)
    ann, bob, vic, sam = people.values()
    assert [reads(who, top / "README.md") for who in (ann, bob, vic, sam)] == [True, True, True, False]
    assert [writes(who, top / "README.md") for who in (ann, bob, vic, sam)] == [True, True, False, False]
    assert [reads(who, top / "public" / "shown.txt") for who in (ann, bob, vic, sam)] == [True] * 4
    assert [as_user(who, "sh", "-c", str(top / "run.sh")).returncode == 0 for who in (ann, bob, vic, sam)] == [
        True,
        True,
        True,
        False,
    ]
    assert as_user(sam, "ls", str(top)).returncode != 0


async def test_the_owner_can_not_exchange_the_directory(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    project = ref("fixed")
    await launcher.prepare_project(project, str(spot.skeleton))
    top = spot.path(project)
    assert as_user(people["aentann"], "mv", str(top), f"{top}-moved").returncode != 0
    assert as_user(people["aentann"], "ln", "-s", "/etc", str(top.parent / "other")).returncode != 0


async def test_team_changes_and_ex_members(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    """The sequence of DESIGN 8: what an ex-member made, moved in, or holds open does not stay theirs."""
    project = ref("shared", aentbob="member")
    await launcher.prepare_project(project, str(spot.skeleton))
    top, bob, ann = spot.path(project), people["aentbob"], people["aentann"]
    as_user(bob, "sh", "-c", "umask 077; echo b > made.txt; echo m > ~/moved.txt; mv ~/moved.txt .", cwd=str(top))
    assert not reads(ann, top / "moved.txt")  # brought along without any ACL: the next walk opens it
    await launcher.apply_permissions(project)
    assert reads(ann, top / "moved.txt")
    holds = subprocess.Popen(
        ["sleep", "600"], user=bob.uid, group=bob.gid, extra_groups=[], cwd=top, env={"PATH": "/usr/bin:/bin"}
    )

    after = ProjectRef("aentann", "shared", {"aentann": "owner"}, ("aentbob",))
    report = await launcher.apply_permissions(after, top_only=True)
    assert report.changed == 1
    assert as_user(bob, "ls", str(top)).returncode != 0  # at once
    await launcher.end_user("aentbob", after)
    assert holds.wait(10) == -9  # it stood in the project, whatever had started it
    report = await launcher.apply_permissions(after)
    assert report.passed_on == 2
    assert not reads(bob, top / "moved.txt")
    assert not reads(bob, top / "made.txt")
    assert writes(ann, top / "made.txt")
    assert {path.stat().st_uid for path in top.rglob("*")} == {ann.uid}


#: How programs bring files in, whatever default ACL the folder has: the create-mode narrows it, or it is brought along.
BROUGHT = {
    "touch": "touch $0",
    "install": "echo x > ~/a; install -m 644 ~/a $0",
    "0600": "umask 077; echo x > ~/b; cp ~/b $0",
    "cp -p": "echo x > ~/c; chmod 640 ~/c; cp -p ~/c $0",
    "mv": "echo x > ~/d; mv ~/d $0",
    "tar": "cd ~; echo x > e; tar cf e.tar e; tar xf e.tar -O > /dev/null; tar xpf e.tar -C $(dirname $0); mv $(dirname $0)/e $0",
    "mkstemp": "t=$(mktemp -p $(dirname $0)); echo x > $t; mv $t $0",
    "chmod": "echo x > $0; chmod 600 $0",
}


async def test_however_a_file_came_the_team_has_it_after_the_walk(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    """Brought by a member: the project's owner and the other member read and write it, and nobody else; keys of SSH aside."""
    ann, bob, vic, sam = people.values()
    project = ref("brought", aentbob="member", aentvic="viewer")
    await launcher.prepare_project(project, str(spot.skeleton))
    top = spot.path(project)
    for number, script in enumerate(BROUGHT.values()):
        done = as_user(bob, "sh", "-c", f"set -e; {script}", str(top / f"f{number}"), cwd=bob.home)
        assert done.returncode == 0, (script, done.stderr)
    found = await launcher.check_permissions(project)
    assert found.differing >= 4
    await launcher.apply_permissions(project)
    for number, how in enumerate(BROUGHT):
        path = top / f"f{number}"
        assert (writes(ann, path), reads(ann, path), reads(vic, path)) == (True, True, True), how
        assert (writes(vic, path), reads(sam, path)) == (False, False), how
        assert path.stat().st_gid == ann.gid, how
    assert (await launcher.check_permissions(project)).differing == 0
    as_user(bob, "sh", "-c", "mkdir $0; echo x > $0/f; chmod 700 $0", str(top / "shut"))
    assert not reads(ann, top / "shut" / "f")  # until the next start, or the button
    await launcher.apply_permissions(project)
    assert reads(ann, top / "shut" / "f")


async def test_rights_on_one_file_of_somebody_else(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    """Bob's file is closed to Vic and for reading only to Sam, by its project's owner; a name need not be UTF-8."""
    ann, bob, vic, sam = people.values()
    project = ref("rights", aentbob="member", aentvic="viewer", aentsam="member")
    await launcher.prepare_project(project, str(spot.skeleton))
    top = spot.path(project)
    as_user(bob, "sh", "-c", "mkdir data; echo b > data/$(printf 'caf\\351'); echo c > data/other", cwd=str(top))
    wire = "data/caf%E9"

    def may(who: Account, act: str) -> bool:
        return as_user(who, "sh", "-c", f"{act} data/caf* 2>/dev/null", cwd=str(top)).returncode == 0

    read, write = "cat", "echo more | tee -a"
    seen = await launcher.path_rights(project, wire)
    assert (seen.owner, seen.directory, seen.closed, seen.changed) == ("aentbob", False, False, 0)
    assert [(each.user, each.most, each.given, each.owns) for each in seen.people] == [
        ("aentbob", "rw", "rw", True),
        ("aentsam", "rw", "rw", False),
        ("aentvic", "r", "r", False),
    ]
    wish = RightsWish({"aentvic": "", "aentsam": "r"})
    assert (await launcher.path_rights(project, wire, replace(wish, dry=True))).changed == 1
    assert may(vic, read)
    done = await launcher.path_rights(project, wire, wish)
    assert (done.changed, {each.user: each.given for each in done.people}["aentvic"]) == (1, "")
    assert (may(vic, read), may(sam, read), may(sam, write), may(ann, write)) == (False, True, False, True)
    await launcher.apply_permissions(project)
    assert (may(vic, read), may(sam, write)) == (False, False)  # the next start keeps it
    with pytest.raises(Conflict, match="belongs to aentbob"):
        await launcher.path_rights(project, wire, RightsWish({}, only="aentsam"))
    with pytest.raises(Invalid, match="aentnobody is not in the team"):
        await launcher.path_rights(project, wire, RightsWish({"aentnobody": ""}))
    with pytest.raises(NotFound):
        await launcher.path_rights(project, "data/nothing")
    mine = RightsWish({"aentvic": ""}, contents=True, only="aentbob")
    assert (await launcher.path_rights(project, "data", mine)).changed == 3
    assert not reads(vic, top / "data" / "other")


async def test_people_without_an_account_are_told_of(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    project = ref("waiting", aentnobody="member")
    await launcher.prepare_project(project, str(spot.skeleton))
    report = await launcher.apply_permissions(project)
    assert report.notes == ("aentnobody has no Linux account on this node yet.",)


async def test_rename_and_delete(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    project = ref("before")
    await launcher.prepare_project(project, str(spot.skeleton))
    await launcher.prepare_project(ref("taken"), str(spot.skeleton))
    with pytest.raises(Conflict, match="already"):
        await launcher.rename_project(project, "taken")
    await launcher.rename_project(project, "after")
    assert (spot.path(ref("after")) / "README.md").exists()
    with pytest.raises(NotFound):
        await launcher.rename_project(project, "again")
    await launcher.delete_project(ref("after"))
    assert not spot.path(ref("after")).exists()
    await launcher.delete_project(ref("after"))
    assert os.listdir(f"{spot.policy.project_root}/.aen-staging") == []


async def test_delete_of_what_people_leave_behind(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    """Directories without rights, 3000 levels, symlinks out of the project: gone, and nothing else with them."""
    project = ref("messy")
    await launcher.prepare_project(project, str(spot.skeleton))
    top, ann = spot.path(project), people["aentann"]
    outside = Path(ann.home, "keep")
    script = (
        "import os\nfor i in range(3000):\n os.mkdir('d'); os.chdir('d')\n"
        "os.chdir(os.environ['TOP']); os.mkdir('shut'); open('shut/x','w'); os.chmod('shut', 0)\n"
        "os.mkdir(os.environ['HOME']+'/keep'); open(os.environ['HOME']+'/keep/file','w')\n"
        "os.symlink(os.environ['HOME']+'/keep', 'way-out')\n"
    )
    done = subprocess.run(
        ["/usr/bin/env", f"TOP={top}", f"HOME={ann.home}", "/usr/bin/python3", "-I", "-c", script],
        user=ann.uid, group=ann.gid, extra_groups=[], cwd=top, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    await launcher.delete_project(project)
    assert not top.exists()
    assert (outside / "file").exists()


async def test_what_a_killed_launcher_left_in_staging_is_removed(spot: Place) -> None:
    left = Path(spot.policy.project_root, ".aen-staging", "new-0123")
    (left / "deep").mkdir(parents=True)
    left.parent.chmod(0o700)
    async with spot.launcher():

        async def gone() -> bool:
            return not left.exists()

        await until(gone, 10, "staging is cleared")


# ── environments ──────────────────────────────────────────────────────────────────────────────────────


def root_environment(spot: Place, name: str) -> Path:
    """A small finished environment, as the service account leaves it."""
    top = spot.envs / name
    (top / "bin").mkdir(parents=True)
    (top / "lib").mkdir()
    (top / "lib" / "module.py").write_text("x = 1\n")
    (top / "lib" / "prefix.bin").write_bytes(b"\0" + str(top).encode())
    (top / "bin" / "tool").write_text(f"#!{top}/bin/python\nprint('tool')\n")
    (top / "bin" / "tool").chmod(0o755)
    (top / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (top / "bin" / "python3").symlink_to(f"{top}/bin/python")
    for folder, folders, files in os.walk(top):
        for entry in (".", *folders, *files):
            path = Path(folder, entry)
            os.chown(path, spot.service_uid, spot.service_gid, follow_symlinks=False)
            if path.is_file() and not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
    return top


async def test_an_environment_is_cloned(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    source = root_environment(spot, "root-1")
    project = ref("withenv", aentbob="member")
    await launcher.prepare_project(project, str(spot.skeleton))
    assert await launcher.publish_environment(project, "default", str(source)) is True
    assert await launcher.publish_environment(project, "default", str(source)) is False
    made = spot.path(project) / "envs" / "default"
    ann, bob = people["aentann"], people["aentbob"]
    assert (made / "bin" / "tool").read_text().startswith(f"#!{made}/bin/python\n")
    assert os.readlink(made / "bin" / "python3") == f"{made}/bin/python"
    assert made.stat().st_uid == ann.uid
    shared = made / "lib" / "module.py"
    if shared.stat().st_nlink > 1:  # no reflinks here: the inode is the root environment's own
        assert shared.stat().st_ino == (source / "lib" / "module.py").stat().st_ino
    assert not writes(bob, shared)
    assert (source / "lib" / "module.py").read_text() == "x = 1\n"
    assert (source / "lib" / "module.py").stat().st_mode & 0o777 == 0o444
    assert as_user(bob, "sh", "-c", "echo y > lib/new.py && rm lib/module.py", cwd=str(made)).returncode == 0
    assert os.listdir(f"{spot.policy.project_root}/.aen-staging") == []


async def test_an_environment_with_somebody_elses_file_is_refused(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    source = root_environment(spot, "root-2")
    os.chown(source / "lib" / "module.py", people["aentbob"].uid, -1)
    project = ref("noenv")
    await launcher.prepare_project(project, str(spot.skeleton))
    with pytest.raises(Conflict, match="belongs to uid"):
        await launcher.publish_environment(project, "default", str(source))
    assert os.listdir(spot.path(project) / "envs") == []


async def test_envs_as_a_symlink_is_not_followed(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account]
) -> None:
    source = root_environment(spot, "root-3")
    project = ref("trap")
    await launcher.prepare_project(project, str(spot.skeleton))
    as_user(people["aentann"], "ln", "-s", "/etc", str(spot.path(project) / "envs"))
    with pytest.raises(Conflict):
        await launcher.publish_environment(project, "aen-test", str(source))
    assert not os.path.lexists("/etc/aen-test")


@pytest.mark.parametrize(
    ("plant", "kind"), [("ln -s /etc {}", "a symlink"), ("echo no > {}", "a file"), ("mkfifo {}", "a pipe")]
)
async def test_what_lies_in_the_place_of_a_directory_of_ours(
    spot: Place, launcher: ProcessLauncher, people: dict[str, Account], plant: str, kind: str
) -> None:
    """A member could keep the whole team from starting: it is said whose it is and what to do, and moved aside when asked."""
    source = root_environment(spot, f"root-{kind[2:]}")
    project = ref(f"planted-{kind[2:]}", aentbob="member")
    await launcher.prepare_project(project, str(spot.skeleton))
    await launcher.publish_environment(project, "default", str(source))
    assert await launcher.clear_project(project) == []
    top, etc = spot.path(project), os.stat("/etc")
    for name in ("envs", "public"):
        done = as_user(people["aentbob"], "sh", "-c", f"mv {name} {name}.was && {plant.format(name)}", cwd=str(top))
        assert done.returncode == 0, done.stderr
    with pytest.raises(Conflict, match=f"`envs` is {kind} that belongs to aentbob.*Remove it, or press Reset"):
        await launcher.publish_environment(project, "default", str(source))
    (top / "envs.moved-aside-1").touch()
    assert await launcher.clear_project(project) == [
        f"`envs` is {kind} that belongs to aentbob: it was moved aside as `envs.moved-aside-2`.",
        f"`public` is {kind} that belongs to aentbob: it was moved aside as `public.moved-aside-1`.",
    ]
    assert os.path.lexists(top / "envs.moved-aside-2")
    assert await launcher.publish_environment(project, "default", str(source)) is True
    await launcher.apply_permissions(project)
    assert [path.owner() for path in (top / "envs", top / "public")] == ["aentann", "aentann"]
    assert (os.stat("/etc").st_mode, os.stat("/etc").st_uid) == (etc.st_mode, etc.st_uid)
    assert reads(people["aentbob"], top / "envs" / "default" / "lib" / "module.py")
    assert await launcher.clear_project(project) == []


# ── start-up ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_service_account_is_an_account_of_the_system(spot: Place) -> None:
    assert pwd.getpwnam(spot.service).pw_uid < 1000


async def test_run_dirs(spot: Place, launcher: ProcessLauncher, people: dict[str, Account]) -> None:
    session = "a" * 16
    first = Path(await launcher.make_run_dir(session, "aentann"))
    second = Path(await launcher.make_run_dir(session, "aentann"))
    assert not first.exists()  # nobody used it
    ann, bob = people["aentann"], people["aentbob"]
    service = Account(spot.service, spot.service_uid, spot.service_gid, "/", "", False)
    assert [as_user(who, "ls", str(second)).returncode == 0 for who in (ann, bob, service)] == [True, False, True]
    running = await launcher.start(app(session, ann, "sleep 600", socket=f"{second}/s"))
    third = Path(await launcher.make_run_dir(session, "aentann"))
    assert second.exists()  # its app lives
    assert third.exists()
    await launcher.stop(running, 1)
