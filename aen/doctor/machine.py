"""The machine, as `aen doctor` examines it for a compute node: SELinux, people's accounts, what R draws with."""

from __future__ import annotations

import ctypes.util
import json
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

from aen import places
from aen.doctor.findings import Finding, Patient, ok, problem, warning

#: What R's png() and plot windows load, and the package that has it: Debian, Fedora.
_R_LIBRARIES = {
    "X11": ("libx11-6", "libX11"),
    "Xt": ("libxt6", "libXt"),
    "Xext": ("libxext6", "libXext"),
    "cairo": ("libcairo2", "cairo"),
    "pango-1.0": ("libpango-1.0-0", "pango"),
}
_TOLD = 5  # names in one message
_LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")


def selinux(patient: Patient) -> Iterator[Finding]:
    """Whether SELinux is there, and how it is."""
    enforce = Path("/sys/fs/selinux/enforce")
    try:
        mode = enforce.read_text().strip()
    except OSError:
        yield ok("SELinux", "is off (or this kernel has none)")
        return
    if mode != "1":
        yield ok("SELinux", "permissive: what it would have refused is in `ausearch -m avc`")
    elif patient.config.compute.project_root.is_relative_to("/home"):
        yield warning(
            "SELinux",
            "enforcing, and projects lie below /home: rules for homes count there",
            "Put compute.project_root elsewhere, as /projects, or watch `ausearch -m avc`.",
        )
    else:
        yield ok("SELinux", "enforcing; AEN needs no rules of its own")


def graphics(patient: Patient) -> Iterator[Finding]:
    """The libraries that plots in R (and other programs that draw) want from the system."""
    missing = [name for name in _R_LIBRARIES if ctypes.util.find_library(name) is None]
    what = "libraries for plots"
    if not missing:
        yield ok(what, "X11 and cairo are there: R can draw")
        return
    debian, fedora = (" ".join(_R_LIBRARIES[name][place] for name in missing) for place in (0, 1))
    yield warning(
        what,
        f"lib{', lib'.join(missing)} missing: plots of R from the system or conda may fail (Python is not concerned)",
        f"`apt-get install {debian}` or `dnf install {fedora}`.",
    )


def shared_memory(patient: Patient) -> Iterator[Finding]:
    """Whether logind takes away what people's apps have in shared memory, once they log out of SSH."""
    if patient.config.accounts.mode == "single" or not patient.machine.root:
        return
    try:
        asked = ["busctl", "--json=short", "get-property", *_LOGIND, "RemoveIPC"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
        removed = json.loads(done.stdout)["data"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return  # there is no logind, or it can't be asked
    if removed:
        yield warning(
            "shared memory",
            "logind removes a person's when they log out of SSH: programs of theirs that still run in AEN lose it",
            "Put config/ssh/logind.conf into /etc/systemd/logind.conf.d/ as aen.conf, and restart systemd-logind.",
        )
    else:
        yield ok("shared memory", "of running apps stays when somebody logs out of SSH")


def accounts(patient: Patient) -> Iterator[Finding]:
    """The Linux accounts of people on this node: those that AEN made are still theirs."""
    mode, what = patient.config.accounts.mode, "people's accounts"
    if mode == "single" or not patient.machine.root:
        return
    register = places.launcher_dir(patient.config, root=patient.machine.root) / "accounts.json"
    try:
        known = json.loads(register.read_text())["accounts"]
    except FileNotFoundError:
        yield ok(what, "none has been needed on this node yet")
        return
    except PermissionError:
        return  # root's: `aen doctor` looks, a running node can't
    except (OSError, ValueError, KeyError) as error:
        yield problem(what, f"{register} can't be read ({error})", "Put it back from the backup of that directory.")
        return
    standing = {name: entry for name, entry in known.items() if not entry.get("retired")}
    yield from _compared({name: int(entry["uid"]) for name, entry in standing.items()}, what)


def _compared(known: dict[str, int], what: str) -> Iterator[Finding]:
    """Names with the uids they should have, beside those of the system."""
    gone, other = [], []
    for name, uid in known.items():
        try:
            if pwd.getpwnam(name).pw_uid != uid:
                other.append(name)
        except KeyError:
            gone.append(name)
    if gone:
        cure = "Their next start makes them anew with another uid; files of the old one are taken over in a project's repair."
        yield warning(what, f"{_named(gone)} no longer there: somebody removed them by hand", cure)
    if other:
        cure = "Give them the old uid back (`usermod -u`), or link them again: `aen user link`."
        yield problem(
            what, f"{_named(other)} with another uid than AEN gave: their files are not theirs any more", cure
        )
    if not gone and not other:
        yield ok(what, f"all {len(known)} are as AEN knows them")


def _named(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:_TOLD])
    return shown if len(names) <= _TOLD else f"{shown} and {len(names) - _TOLD} more"
