"""A real systemd for tests: a manager of its own in namespaces of its own, and a program that runs beside it.

It is systemd's user manager, run as root: the same interface for scopes as the machine's. Inside, `/run` and
`/sys/fs/cgroup` are private, so the launcher finds systemd where it looks for it; outside nothing changes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

_SYSTEMD = ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")
_UNIFIED = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_SCRIPT = """
set -e
mount --make-rprivate /
echo $$ > "$GROUP/cgroup.procs"
exec unshare --cgroup sh -e -c '
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mkdir -p /run/systemd/system
XDG_RUNTIME_DIR=/run HOME=/root "$SYSTEMD" --user > "$LOG" 2>&1 &
manager=$!
for try in $(seq 100); do [ -S /run/systemd/private ] && break; sleep 0.1; done
code=0
"$@" || code=$?
kill -KILL $manager
exit $code
' sh "$@"
"""


def program() -> str:
    """systemd's own program; empty when this machine has none."""
    return next((path for path in _SYSTEMD if os.access(path, os.X_OK)), "")


def why_not() -> str:
    """Why a systemd can't be run here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root: namespaces and control groups"
    if not program() or shutil.which("unshare") is None:
        return "needs systemd and unshare"
    place = _place()
    return "" if place is not None and os.access(place, os.W_OK) else "needs control groups of version 2"


def beside(argv: list[str], log: Path) -> subprocess.CompletedProcess[str]:
    """Run a program beside a systemd that is there for it alone. What systemd says goes to `log`."""
    place = _place()
    assert place is not None
    group = place / f"aent-{secrets.token_hex(4)}"
    group.mkdir()
    environ = {**os.environ, "GROUP": str(group), "SYSTEMD": program(), "LOG": str(log)}
    try:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", *argv],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        (group / "cgroup.kill").write_text("1")
        for folder, _, _ in os.walk(group, topdown=False):
            _removed(Path(folder))


def _removed(folder: Path) -> None:
    for _ in range(100):
        try:
            folder.rmdir()
        except OSError:
            subprocess.run(["sleep", "0.05"], check=True)  # the kernel lets the last process go first
        else:
            return


def _place() -> Path | None:
    return next((Path(place) for place in _UNIFIED if os.path.exists(f"{place}/cgroup.procs")), None)
