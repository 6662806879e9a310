"""Examinations: what `aen doctor` looks at. Each looks at one thing, by doing where that is possible, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from aen import listeners, places
from aen.doctor.addresses import addresses
from aen.doctor.certificates import certificates, node_certificate
from aen.doctor.findings import ALL, Finding, Patient, ok, problem, warning
from aen.doctor.machine import accounts, graphics, selinux, shared_memory
from aen.doctor.packages import conda, index
from aen.doctor.reaching import answers, clock, websockets
from aen.doctor.store import passwords, store
from aen.doctor.talking import bus
from aen.environments import old
from aen.errors import AenError
from aen.languages import size
from aen.launchers import quotas

_ROOM = {"data_dir": 10, "envs_dir": 10, "compute.project_root": 20}  # GB; environments take about 1 each
_GB = _NO_ROOM = 1024**3  # bytes
_FREE_INODES = 100_000


def python(patient: Patient) -> Iterator[Finding]:
    """The interpreter that environments are made with."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    path = Path(sys.executable).resolve()
    closed = places.closed_parent(path)
    if patient.machine.root and (closed is not None or not path.stat().st_mode & 0o001):
        where = closed or path
        yield problem(
            "Python",
            f"{path} can't be executed by other accounts (see {where})",
            "Make AEN's environment with the system's Python.",
        )
    else:
        yield ok("Python", f"{version} at {path}")


def programs(patient: Patient) -> Iterator[Finding]:
    """Programs that AEN calls."""
    for name, why in (("git", "projects keep versions with it"), ("bash", "terminals run it")):
        found = shutil.which(name)
        cure = f"`apt-get install {name}` or `dnf install {name}`."
        yield ok(name, found) if found else problem(name, f"is missing ({why})", cure)
    if patient.config.accounts.mode == "managed":
        shell = patient.config.accounts.shell
        if not os.access(shell, os.X_OK):
            yield problem("accounts.shell", f"{shell} is not there", "Install it, or choose another login shell.")
        found = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        yield (
            ok("useradd", found)
            if found
            else problem(
                "useradd",
                "is missing: AEN makes people's accounts with it",
                "Install it (Debian: passwd; Fedora: shadow-utils).",
            )
        )


def service_account(patient: Patient) -> Iterator[Finding]:
    """The account that AEN runs as."""
    import pwd

    name = patient.config.service_account
    if not patient.machine.root:
        cure = "Start AEN as root where several people are to work: each then has an account of their own."
        yield warning("accounts", "evaluation mode: apps run as you and are not isolated from each other", cure)
        return
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        yield warning("service account", f"{name} is missing", "The first start, or `aen init`, makes it.")
        return
    if entry.pw_uid == 0:
        yield problem("service account", f"{name} is root", "Set service_account to an account of its own.")
    else:
        yield ok("service account", f"{name} (uid {entry.pw_uid})")


def directories(patient: Patient) -> Iterator[Finding]:
    """Room in the directories, and POSIX ACLs by setting one."""
    config = patient.config
    for option, path in (
        ("data_dir", config.data_dir),
        ("envs_dir", config.envs_dir),
        ("compute.project_root", config.compute.project_root),
    ):
        if option != "data_dir" and "compute" not in patient.roles:
            continue
        there = _nearest(path)
        yield _room(option, path, there)
        closed = places.closed_parent(path) if patient.machine.root and option != "data_dir" else None
        if closed is not None:
            yield problem(
                option, f"{path} lies below {closed}, which other accounts can't enter", f"chmod o+x {closed}"
            )
    if "compute" not in patient.roles:
        return
    yield from _runnable(config.envs_dir, config.compute.project_root)
    yield _acl(_nearest(config.compute.project_root), patient.inside)
    roots = (_nearest(config.envs_dir), _nearest(config.compute.project_root))
    if roots[0].stat().st_dev != roots[1].stat().st_dev:
        yield warning(
            "envs_dir",
            "is on another file system than the projects: new projects copy their environment (about 1 GB, some seconds)",
            "Put envs_dir (/opt/aen/envs) and compute.project_root (/projects) on one file system.",
        )
    else:
        yield ok("envs_dir", "is on one file system with the projects: environments share what they have in common")
    if any(config.space.bytes(name) for name in ("project_hard", "user_hard")):
        yield _kept(_nearest(config.compute.project_root))
    for environment, taken in old.sizes(config.envs_dir):
        days = int((time.time() - environment.stat().st_mtime) / 86400)
        age = f"; not the newest for {days} days, removed when it is over {old.KEPT_DAYS} and unused" if days else ""
        yield ok("envs_dir", f"{environment.name} takes {size(taken)} more{age}")


def _room(option: str, path: Path, there: Path) -> Finding:
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    wanted = _ROOM[option]
    text = f"{path}: {size(free)} are free"
    cure = f"Make room, or move {option} to a larger file system: {size(wanted * _GB)} are a sensible least."
    if found.f_files and found.f_favail < _FREE_INODES:
        return problem(option, f"{path}: only {found.f_favail} files can still be made on this file system", cure)
    if free < _NO_ROOM:
        return problem(option, f"{text}: that is too little to work", cure)
    return ok(option, text) if free >= wanted * _GB else warning(option, f"{text}: that is little", cure)


def _runnable(environments: Path, projects: Path) -> Iterator[Finding]:
    """Programs of environments can be run where they lie."""
    for option, path in (("envs_dir", environments), ("compute.project_root", projects)):
        there = _nearest(path)
        if os.statvfs(there).f_flag & os.ST_NOEXEC:
            text = f"{there} is mounted with noexec: no program of an environment can be run there"
            yield problem(option, text, "Mount it with exec, or choose another place.")


def _kept(projects: Path) -> Finding:
    """Who keeps the bounds of projects."""
    fd = os.open(projects, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if quotas.enforced(fd):
            return ok("space", "the file system of the projects keeps their bounds itself")
    finally:
        os.close(fd)
    cure = "ext4 (tune2fs -O quota,project) or xfs, mounted with the option prjquota, would keep them for programs too."
    return ok("space", f"AEN keeps the bounds of projects where it begins or uploads something. {cure}")


def _acl(there: Path, inside: bool) -> Finding:
    what = "POSIX ACLs"
    if not os.access(there, os.W_OK):
        if inside:  # root's launcher alone writes there, and does not start where there are none
            return ok(what, f"work below {there}: the launcher tried at its start")
        return warning(
            what, f"not tried: {there} is not ours to write in", "Run `aen doctor` as the account that starts AEN."
        )
    from aen.acl.posix import supports_acl

    if supports_acl(str(there)):
        return ok(what, f"work below {there}")
    return problem(
        what,
        f"do not work below {there}",
        "Mount that file system with ACLs, or choose another (ext4, xfs, btrfs; not NFSv4, not vfat).",
    )


def ports(patient: Patient) -> Iterator[Finding]:
    """Whether the ports are free, or ours."""
    running = patient.inside or places.Lock(patient.config.data_dir).taken()
    for _, (option, address) in listeners.wanted(patient.config, patient.roles).items():
        if running:
            yield ok(option, f"{address} (AEN is running)")
            continue
        try:
            listeners.close(listeners.bind({"x": (option, address)}))
        except AenError as error:
            yield problem(
                option, error.message.removeprefix(f"{option}: "), f"End that program, or set another {option}."
            )
        else:
            yield ok(option, f"{address} is free")


def secrets(patient: Patient) -> Iterator[Finding]:
    """Files that only their owner may read."""
    config = patient.config
    found = [config.data_dir / "signing-key.pem", config.data_dir / "secret-key", config.data_dir / "setup-code"]
    found += [path for path in (config.server.tls.key, config.gateway.tls.key) if path is not None]
    if config.server.secret_key.get_secret_value():
        found += patient.files
    open_files = []
    for path in found:
        with contextlib.suppress(OSError):
            if path.stat().st_mode & 0o044:
                open_files.append(str(path))
    if open_files:
        yield problem("secrets", f"others can read {', '.join(open_files)}", f"chmod o=,g-w {' '.join(open_files)}")
    else:
        yield ok("secrets", "no secret file is open to others")


def kernel(patient: Patient) -> Iterator[Finding]:
    """Settings of the kernel that AEN's safety leans on."""
    for name, wanted, why in (
        ("protected_hardlinks", "1", "people could link other people's files into their projects"),
        ("protected_symlinks", "1", "people could lay links in shared directories"),
    ):
        with contextlib.suppress(OSError):
            value = Path("/proc/sys/fs", name).read_text().strip()
            if value >= wanted:
                yield ok(f"fs.{name}", value)
            else:
                found = problem if name == "protected_hardlinks" else warning
                cure = f"sysctl -w fs.{name}=1, and a line `fs.{name} = 1` in /etc/sysctl.d/60-aen.conf."
                yield found(f"fs.{name}", f"is {value}: {why}", cure)


_BY_GROUP = {"memory_bytes": "memory", "processes": "processes", "cpu_millis": "processors"}
_OTHERWISE = {
    "memory": "memory of each process by itself (rlimit)",
    "processes": "processes of each person, all sessions together (rlimit)",
    "processors": "processors not at all",
}


def limits(patient: Patient) -> Iterator[Finding]:
    """How limits of sessions are kept: control groups are tried, where we may."""
    what = "limits of sessions"
    if patient.config.accounts.mode == "single":
        how = "evaluation mode: memory of each process by itself; processes and processors not at all"
        yield warning(what, how, "Start AEN as root, by systemd.")
        return
    if not patient.root:
        if not patient.inside:
            yield warning(what, "not tried: control groups are root's", "Run `aen doctor` as root.")
        return
    from aen.launchers.keeping import kept_here

    how, holds = kept_here()
    by = {"systemd": "systemd (a scope for each session)", "cgroups": "control groups"}.get(how, "rlimits")
    held = {_BY_GROUP[name] for name in holds}
    rest = [words for name, words in _OTHERWISE.items() if name not in held]
    if rest:
        groups = f"{by} keep {', '.join(sorted(held))}" if held else "no controllers of control groups can be used"
        cure = "Start AEN by systemd, or with control groups of version 2 mounted writable."
        yield warning(what, f"{groups} here. Kept otherwise: {'; '.join(rest)}", cure)
    else:
        yield ok(what, f"memory, processes and processors of a session are kept by {by}")


_PEOPLE = ("server", "gateway")  # who is reached by browsers
_COMPUTE = ("compute",)

#: For which roles → what is looked at.
EXAMINATIONS: tuple[tuple[tuple[str, ...], Callable[[Patient], Iterator[Finding]]], ...] = (
    (ALL, python),
    (_COMPUTE, programs),
    (ALL, service_account),
    (ALL, directories),
    (ALL, ports),
    (_PEOPLE, addresses),
    (ALL, answers),
    (ALL, clock),
    (("gateway",), websockets),
    (_PEOPLE, certificates),
    (ALL, node_certificate),
    (ALL, bus),
    (("server",), store),
    (ALL, secrets),
    (ALL, passwords),
    (ALL, kernel),
    (ALL, selinux),
    (_COMPUTE, accounts),
    (_COMPUTE, shared_memory),
    (_COMPUTE, index),
    (_COMPUTE, conda),
    (_COMPUTE, graphics),
    (_COMPUTE, limits),
)


def _nearest(path: Path) -> Path:
    """`path`, or the directory in which it would be made."""
    while not path.exists():
        path = path.parent
    return path
