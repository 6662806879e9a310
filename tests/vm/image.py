"""The disk of the virtual machine: Debian with systemd and what docs/install.md asks for, as `.dev/vm/disk.img`, beside kernel and key.

`.dev/vm/site/` is laid over it, for what the network here needs (`etc/pip.conf`, `usr/local/share/ca-certificates/…`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parents[2] / ".dev/vm"
SUITE = "bookworm"
GIGABYTES = 12  # sparse: it takes what is written
_PACKAGES = (
    # the machine
    *("systemd-sysv", "udev", "dbus", "libpam-systemd", "linux-image-cloud-amd64", "initramfs-tools", "kmod"),
    *("openssh-server", "iproute2", "procps", "sudo", "ca-certificates", "e2fsprogs", "logrotate"),
    # docs/install.md
    *("python3-venv", "python3-dev", "gcc", "libc6-dev", "libacl1-dev", "acl", "git"),
    # what the tests look at besides
    *("nfs-kernel-server", "nfs-common", "supervisor"),
)
_NETWORK = "[Match]\nName=e*\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
_FILES = {
    "etc/hostname": "aen-vm\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 aen-vm\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    "etc/systemd/network/10-vm.network": _NETWORK,
    "etc/systemd/journald.conf.d/vm.conf": "[Journal]\nStorage=persistent\n",
}
#: Only what a test starts should run.
_OFF = ("nfs-server.service", "rpcbind.socket", "rpcbind.service", "supervisor.service", "apt-daily.timer")
_NEEDS = ("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs", "ssh", "ssh-keygen")


def why_not() -> str:
    """Why no such machine can be had here; empty when it can."""
    lacks = [
        name for name in _NEEDS if shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is None
    ]
    if lacks and not (made() and not set(lacks) - {"mmdebstrap", "mke2fs"}):
        return f"needs {', '.join(lacks)}"
    if not made() and os.geteuid() != 0:
        return "needs root to make the machine's disk"
    return ""


def made() -> bool:
    """Whether the disk is there, and as it would be made now."""
    stamp = HERE / "stamp"
    return stamp.exists() and stamp.read_text() == _stamp()


def make() -> None:
    """Make the disk, unless it is there."""
    if made():
        return
    root = HERE / "root"
    shutil.rmtree(root, ignore_errors=True)
    HERE.mkdir(parents=True, exist_ok=True)
    wanted = ["--variant=minbase", "--aptopt=APT::Install-Recommends false", f"--include={','.join(_PACKAGES)}"]
    sources = [path for path in map(Path, _SOURCES) if path.exists()][:1]  # as this machine has them
    try:
        _run("mmdebstrap", *wanted, SUITE, str(root), *map(str, sources))
        _complete(root)
        _pack(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    (HERE / "stamp").write_text(_stamp())


_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


def _complete(root: Path) -> None:
    """Name, network, key, and which services run."""
    site = HERE / "site"
    if site.is_dir():
        shutil.copytree(site, root, dirs_exist_ok=True, symlinks=True)
    for name, text in _FILES.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text(text)
    key = HERE / "key"
    if not key.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(f"{key}.pub", root / "root/.ssh/authorized_keys")
    _run("chroot", str(root), "systemctl", "enable", "systemd-networkd")
    _run("chroot", str(root), "systemctl", "disable", *_OFF)
    _run("chroot", str(root), "update-ca-certificates")


def _pack(root: Path) -> None:
    for word in ("vmlinuz", "initrd.img"):
        shutil.copy(next((root / "boot").glob(f"{word}-*")), HERE / word)
    disk = HERE / "disk.img"
    disk.unlink(missing_ok=True)
    (HERE / "installed.qcow2").unlink(missing_ok=True)
    _run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk), f"{GIGABYTES}G")


def _stamp() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _run(*command: str) -> None:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    with (HERE / "make.log").open("a") as log:
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path})
