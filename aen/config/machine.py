"""The machine that a configuration is completed for: who runs AEN, and what the machine is called."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """What blanks are filled from."""

    root: bool
    uid: int
    home: Path
    host: str  # a name or address by which others reach this machine
    name: str  # the host's own name, fit for a node's name
    processors: int
    temporary: Path
    data_home: Path  # $XDG_DATA_HOME
    runtime_dir: Path | None  # $XDG_RUNTIME_DIR

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Machine:
        """This machine, as this process sees it."""
        home = Path(environ.get("HOME") or "/")
        runtime = environ.get("XDG_RUNTIME_DIR")
        return cls(
            root=os.geteuid() == 0,
            uid=os.geteuid(),
            home=home,
            host=_host(),
            name=_node_name(socket.gethostname()),
            processors=len(os.sched_getaffinity(0)),
            temporary=Path("/tmp"),  # noqa: S108 - not $TMPDIR: sockets below it must have short paths
            data_home=Path(environ.get("XDG_DATA_HOME") or home / ".local/share"),
            runtime_dir=Path(runtime) if runtime and os.access(runtime, os.W_OK) else None,
        )


def _node_name(host: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", host.lower()).strip("-.")[:63].strip("-.") or "node"


def _host() -> str:
    """The full name if others can know it, else the address of the interface that leads out."""
    name = socket.getfqdn()
    if "." in name and not name.startswith("localhost") and _resolves_outside(name):
        return name
    return _outward_address() or "localhost"


def _resolves_outside(name: str) -> bool:
    try:
        found = socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return False
    return any(not str(entry[4][0]).startswith(("127.", "::1")) for entry in found)


def _outward_address() -> str:
    # A UDP socket that is connected sends nothing: the kernel only chooses the interface.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
