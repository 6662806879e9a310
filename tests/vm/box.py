"""AEN in a virtual machine, installed by the commands of docs/install.md, and spoken to from outside as people do."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.ports import free_ports
from tests.served import PASSWORD, Client
from tests.vm import image
from tests.vm.image import HERE
from tests.vm.machine import Machine, layer

ROOT = Path(__file__).resolve().parents[2]
_LONG = 3600  # seconds: without KVM the installation takes half an hour
_BUILT = "until [ -e /opt/aen/envs/root-*/bin/python ] && [ -e /opt/aen/envs/apps-*/bin/python ]; do sleep 2; done"
#: What the installation is made of besides AEN's own wheel, which is installed anew each time.
_LOCKS = ("requirements.lock", "config/environments/root.txt", "config/environments/apps.txt", "docs/install.md")


class Box:
    """One machine with AEN on it. `url` and `gateway` are where it is reached from here."""

    def __init__(self, disk: Path, kernel: str = "") -> None:
        ports = free_ports(2)
        self.machine = Machine(disk, ports, kernel)
        self.url, self.gateway = f"http://127.0.0.1:{ports[0]}", f"http://localhost:{ports[1]}"
        self._ports = ports
        self._tokens: dict[str, str] = {}

    def boot(self) -> None:
        """Switch the machine on."""
        self.machine.boot()

    def configure(self, **options: Any) -> None:
        """Write `/etc/aen/aen.yaml`."""
        server, gateway = self._ports
        wanted = {
            "server": {"listen": f"*:{server}", "url": self.url},
            "gateway": {"listen": f"*:{gateway}", "url": self.gateway},
            **options,
        }
        self.machine.write("/etc/aen/aen.yaml", yaml.safe_dump(wanted))

    def add(self, name: str, *, admin: bool = False) -> str:
        """A person, by the command; returns the name."""
        words = f"aen user add {name} --password-stdin" + (" --admin" if admin else "")
        self.machine.run(words, PASSWORD + "\n")
        return name

    def token(self, name: str) -> str:
        """An API token of that person, by the command."""
        if name not in self._tokens:
            self._tokens[name] = self.machine.run(f"aen user token {name}").split()[-1]
        return self._tokens[name]

    @contextlib.asynccontextmanager
    async def client(self, name: str, *, gateway: bool = False) -> AsyncIterator[Client]:
        """A script's client of the server or the gateway."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            yield Client(self.gateway if gateway else self.url, http, token=self.token(name))

    def bearer(self, name: str) -> dict[str, str]:
        """What a script sends to the gateway."""
        return {"Authorization": f"Bearer {self.token(name)}"}

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """What systemd says of a unit."""
        text = self.machine.run(f"systemctl show {unit} " + " ".join(f"-p {name}" for name in properties))
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def scopes(self) -> list[str]:
        """The scopes of people's sessions."""
        return self.machine.run("systemctl list-units --plain --no-legend 'aen-*.scope' | cut -d' ' -f1").split()


def installed() -> Path:
    """A disk with AEN's dependencies and root environments on it. Made once; anew when what it is made of changes."""
    disk, stamp = HERE / "installed.qcow2", HERE / "installed.stamp"
    image.make()
    if disk.exists() and stamp.exists() and stamp.read_text() == _stamp():
        return disk
    box = Box(layer(HERE / "disk.img", disk))
    try:
        box.boot()
        _bring_checkout(box.machine)
        for command in documented()[:-2]:  # the last two start it, and look at its log
            box.machine.run(f"cd /root/aen && {command}", timeout=_LONG)
        box.configure()
        box.machine.run(
            "systemd-run --wait --quiet --unit=aen-first timeout 3000 aen serve --role all & " + _BUILT, timeout=_LONG
        )
        box.machine.run("systemctl stop aen-first; rm -rf /var/lib/aen /var/lib/aen-launcher /etc/aen /projects")
    finally:
        box.machine.off()
    stamp.write_text(_stamp())
    return disk


def fresh(name: str, kernel: str = "") -> Box:
    """A machine that is switched on, with the AEN of this checkout installed and nothing configured."""
    box = Box(layer(installed(), HERE / f"{name}.qcow2"), kernel)
    box.boot()
    wheel = _wheel()
    box.machine.run(
        f"cat > /root/{wheel.name} && /opt/aen/venv/bin/pip install --quiet --no-deps --force-reinstall /root/{wheel.name}",
        wheel.read_bytes(),
        timeout=600,
    )
    return box


def documented() -> list[str]:
    """The commands of docs/install.md that install AEN on a server, one after the other."""
    text = (ROOT / "docs/install.md").read_text()
    block = next(found for found in re.findall(r"```\n(.*?)```", text, re.S) if "/opt/aen/venv" in found)
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


def _wheel() -> Path:
    """AEN as it is in this checkout."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        ".",
        "-w",
        str(HERE),
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    return max(HERE.glob("aen-*.whl"), key=lambda path: path.stat().st_mtime)


def _bring_checkout(machine: Machine) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    there = b"\0".join(name for name in listed.split(b"\0") if name and (ROOT / name.decode()).exists())
    packed = subprocess.run(
        ["tar", "--null", "-T", "-", "-czf", "-"], cwd=ROOT, input=there, capture_output=True, check=True
    ).stdout
    place = shlex.quote("/root/aen")
    machine.run(f"rm -rf {place} && mkdir -p {place} && tar -xzf - -C {place}", packed, timeout=600)


def _stamp() -> str:
    digest = hashlib.sha256((HERE / "stamp").read_bytes())
    for name in _LOCKS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()
