"""SSH with a real sshd on loopback: a key from the account page opens the account, and lands in the project's environment."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen import sshkeys
from aen.launchers import Account, ProjectRef
from aen.launchers.process import ProcessLauncher
from tests.launching import Place
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/usr/local/sbin")

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts"),
    pytest.mark.skipif(SSHD is None, reason="openssh-server is not installed"),
    pytest.mark.skipif(shutil.which("ssh") is None, reason="openssh-client is not installed"),
]


@pytest.fixture(scope="module")
def port(spot: Place) -> Iterator[int]:
    """An sshd with our sample, on loopback; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    folder = spot.top / "sshd"
    folder.mkdir(mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"], check=True)
    config = folder / "sshd_config"
    lines = [f"ListenAddress 127.0.0.1:{port}", f"HostKey {folder}/host", f"PidFile {folder}/pid"]
    config.write_text("\n".join([*lines, f"Include {ROOT}/config/ssh/aen.conf", ""]))
    separation = Path("/run/sshd")  # sshd insists on this one
    made = not separation.exists()
    separation.mkdir(mode=0o755, exist_ok=True)
    assert SSHD is not None
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=log)
    try:
        yield port
    finally:
        server.terminate()
        server.wait(10)
        if made:
            separation.rmdir()


@pytest.fixture(scope="module")
def key(spot: Place) -> Path:
    """A person's private key."""
    file = spot.top / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@laptop", "-f", file], check=True)
    return file


def ssh(port: int, key: Path, who: Account, command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes"]
    flags = [part for option in (*options, "SendEnv=AEN_PROJECT", "ConnectTimeout=10") for part in ("-o", option)]
    return subprocess.run(
        ["ssh", "-F", "none", "-i", str(key), "-p", str(port), *flags, f"{who.user}@127.0.0.1", command],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


async def test_a_key_opens_the_account_until_it_is_taken_away(
    spot: Place, launcher: ProcessLauncher, port: int, key: Path
) -> None:
    line = sshkeys.parse(key.with_suffix(".pub").read_text().strip()).line
    ann = await launcher.ensure_account("aentann")
    project = ProjectRef("aentann", "genome", {"aentann": "owner"})
    await launcher.prepare_project(project, str(spot.skeleton))
    bin = spot.path(project) / "envs" / "default" / "bin"
    bin.mkdir(parents=True)
    (bin / "python").write_text("#!/bin/sh\necho python of genome\n")
    (bin / "python").chmod(0o755)

    async def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await until(listens, 10, "sshd listens")
    assert ssh(port, key, ann, "true").returncode != 0  # not installed yet
    await launcher.install_keys("aentann", [line])
    # The sample as a login shell of the node reads it from /etc/profile.d.
    login = f"AEN_PROJECT_ROOT={spot.policy.project_root}; . {spot.top}/aen.sh; pwd; python; id -un"
    shutil.copy(ROOT / "config/ssh/aen.sh", spot.top / "aen.sh")
    there = ssh(port, key, ann, login, AEN_PROJECT="aentann/genome")
    assert there.stdout.splitlines() == [str(spot.path(project)), "python of genome", "aentann"], there.stderr
    again = ssh(port, key, ann, login)  # where one was last
    assert again.stdout == there.stdout
    wrong = ssh(port, key, ann, login.replace("python;", ""), AEN_PROJECT="aentbob/secret")
    assert wrong.stdout.splitlines()[0] == ann.home
    assert "not in its team" in wrong.stderr

    await launcher.install_keys("aentann", [])
    assert ssh(port, key, ann, "true").returncode != 0


async def test_a_retired_account_opens_to_no_key(launcher: ProcessLauncher, port: int, key: Path) -> None:
    line = sshkeys.parse(key.with_suffix(".pub").read_text().strip()).line
    eve = await launcher.ensure_account("aenteve")
    await launcher.install_keys("aenteve", [line])
    assert ssh(port, key, eve, "echo in").stdout == "in\n"
    await launcher.retire_account("aenteve", look=False)
    assert Path(eve.home, ".ssh", "authorized_keys").read_text().count(line) == 1  # the lock alone must do
    out = ssh(port, key, eve, "echo in")
    assert (out.returncode, out.stdout) == (255, "")
