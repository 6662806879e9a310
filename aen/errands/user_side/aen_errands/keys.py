"""Keys: the person's SSH key for git. The private half never leaves their home."""

from __future__ import annotations

import os
import subprocess

from aen_errands import Refused, Told

_NAME = "aen_git"


def key(told: Told) -> Told:
    """The public half, with its fingerprint; made when `make` says so. Empty when there is none."""
    folder = os.path.join(os.environ["HOME"], ".ssh")
    path = os.path.join(folder, _NAME)
    if told.get("make") and not os.path.lexists(path):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        comment = f"{told.get('user', '')} (AEN)"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)
        os.chmod(path, 0o600)
    try:
        with open(f"{path}.pub") as file:
            public = file.read(4000).strip()
    except FileNotFoundError:
        return {"public": "", "fingerprint": ""}
    said = _run("ssh-keygen", "-l", "-f", f"{path}.pub").split()
    return {"public": public, "fingerprint": said[1] if len(said) > 1 else ""}


def _run(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, timeout=30, check=False, env={"PATH": "/usr/bin:/bin"})
    except FileNotFoundError:
        raise Refused("This node has no ssh-keygen: its administrator installs the package openssh-client.") from None
    if done.returncode:
        raise Refused(f"The key can't be made or read: {done.stderr.decode(errors='replace')[:300]}")
    return done.stdout.decode(errors="replace")
