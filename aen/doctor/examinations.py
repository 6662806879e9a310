"""Examinations: what `aen doctor` looks at. Each looks at one thing, by doing where that is possible, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from aen import listeners, places
from aen.cli.addresses import addresses
from aen.cli.findings import Finding, Patient, ok, problem, warning
from aen.environments import old
from aen.errors import AenError

_FREE_BYTES = 5 * 1024**3  # environments take about 1 GB each where they can't share
_FREE_INODES = 100_000


def python(patient: Patient) -> Iterator[Finding]:
    """The interpreter that environments are made with."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    path = Path(sys.executable).resolve()
    closed = places.closed_parent(path)
    if patient.machine.root and (closed is not None or not path.stat().st_mode & 0o001):
        where = closed or path
        yield problem("Python", f"{path} can't be executed by other accounts (see {where}): use the system's Python.")
    else:
        yield ok("Python", f"{version} at {path}")


def programs(patient: Patient) -> Iterator[Finding]:
    """Programs that AEN calls."""
    for name, why in (("git", "projects keep versions with it"), ("bash", "terminals run it")):
        found = shutil.which(name)
        yield ok(name, found) if found else problem(name, f"is missing ({why}): install it")
    if patient.config.accounts.mode == "managed":
        found = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        yield ok("useradd", found) if found else problem("useradd", "is missing: AEN makes people's accounts with it")


def service_account(patient: Patient) -> Iterator[Finding]:
    """The account that AEN runs as."""
    import pwd

    name = patient.config.service_account
    if not patient.machine.root:
        yield warning("accounts", "evaluation mode: apps run as you and are not isolated from each other")
        return
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        yield warning("service account", f"{name} is missing: the first start, or `aen init`, makes it")
        return
    if entry.pw_uid == 0:
        yield problem("service account", f"{name} is root: set service_account to an account of its own")
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
        there = _nearest(path)
        yield _room(option, path, there)
        closed = places.closed_parent(path) if patient.machine.root and option != "data_dir" else None
        if closed is not None:
            yield problem(option, f"{path} lies below {closed}, which other accounts can't enter")
    yield _acl(_nearest(config.compute.project_root))
    roots = (_nearest(config.envs_dir), _nearest(config.compute.project_root))
    if roots[0].stat().st_dev != roots[1].stat().st_dev:
        yield warning("envs_dir", "is on another file system than the projects: new projects copy their environment")
    for environment, size in old.sizes(config.envs_dir):
        days = int((time.time() - environment.stat().st_mtime) / 86400)
        age = f"; not the newest for {days} days, removed when it is over {old.KEPT_DAYS} and unused" if days else ""
        yield ok("envs_dir", f"{environment.name} takes {size / 1024**2:,.0f} MiB more{age}")


def _room(option: str, path: Path, there: Path) -> Finding:
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    text = f"{path}: {free / 1024**3:.1f} GiB free"
    if found.f_files and found.f_favail < _FREE_INODES:
        return problem(option, f"{path}: only {found.f_favail} files can still be made on this file system")
    return ok(option, text) if free > _FREE_BYTES else warning(option, f"{text}: that is little")


def _acl(there: Path) -> Finding:
    what = "POSIX ACLs"
    if not os.access(there, os.W_OK):
        return warning(what, f"not tried: {there} is not yours to write in (run as the account that starts AEN)")
    from aen.acl.posix import supports_acl

    if supports_acl(str(there)):
        return ok(what, f"work below {there}")
    return problem(what, f"do not work below {there}: mount that file system with ACLs, or choose another")


def ports(patient: Patient) -> Iterator[Finding]:
    """Whether the ports are free, or ours."""
    roles = ("server", "compute", "gateway")
    running = _running(patient.config.run_dir)
    for _, (option, address) in listeners.wanted(patient.config, roles).items():
        if running:
            yield ok(option, f"{address} (AEN is running)")
            continue
        try:
            listeners.close(listeners.bind({"x": (option, address)}))
        except AenError as error:
            yield problem(option, error.message.removeprefix(f"{option}: "))
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
        yield problem("secrets", f"others can read {', '.join(open_files)}: chmod 600")
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
                yield found(f"fs.{name}", f"is {value}: {why}. Set it to 1 with sysctl")
    with contextlib.suppress(OSError):
        mode = Path("/sys/fs/selinux/enforce").read_text().strip()
        yield ok("SELinux", "enforcing; AEN works with it" if mode == "1" else "permissive")


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
        yield warning(what, "evaluation mode: memory of each process by itself; processes and processors not at all")
        return
    if not patient.machine.root:
        yield warning(what, "not tried: control groups are root's (run as root)")
        return
    from aen.launchers.keeping import kept_here

    how, holds = kept_here()
    by = {"systemd": "systemd (a scope for each session)", "cgroups": "control groups"}.get(how, "rlimits")
    held = {_BY_GROUP[name] for name in holds}
    rest = [words for name, words in _OTHERWISE.items() if name not in held]
    if rest:
        groups = f"{by} keep {', '.join(sorted(held))}" if held else "no controllers of control groups can be used"
        yield warning(what, f"{groups} here. Kept otherwise: {'; '.join(rest)}")
    else:
        yield ok(what, f"memory, processes and processors of a session are kept by {by}")


EXAMINATIONS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    python,
    programs,
    service_account,
    directories,
    ports,
    addresses,
    secrets,
    kernel,
    limits,
)


def _nearest(path: Path) -> Path:
    """`path`, or the directory in which it would be made."""
    while not path.exists():
        path = path.parent
    return path


def _running(run_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.connect(str(run_dir / "admin.sock"))
        return True
    return False
