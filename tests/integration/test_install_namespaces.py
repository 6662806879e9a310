"""docs/install.md, "On several hosts", tried on hosts of their own: server, gateway and compute node in a network namespace each.

The compute node has a cable to its gateway's host and to nobody else; nobody forwards. The commands are those of the page.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.apart import CENTER, EDGE, NODE, Apart
from tests.integration.test_main_job import opened, project_of
from tests.kernels import Kernel
from tests.netns import Network, network, why_not
from tests.program import Program
from tests.served import Client
from tests.world import merged

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.skipif(bool(why_not()), reason=why_not() or "there are")]


@dataclass
class Placed(Program):
    """A program on one of the hosts."""

    net: Network | None = None
    host: str = ""

    def spawn(self) -> None:
        """See Program."""
        assert self.net is not None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.net.namespace(self.host), *self._command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=self.environ, start_new_session=True,
            )  # fmt: skip

    def _command(self) -> list[str]:
        return [str(self.program), "serve", "--role", self.role, "-c", str(self.file)]

    def wait_ready(self, seconds: float = 60.0) -> None:
        """See Program: asked on its own host."""
        deadline = time.monotonic() + seconds
        while not self._ready():
            assert self.process is not None
            assert self.process.poll() is None, f"{self.role} ended:\n{self.logs()}"
            assert time.monotonic() < deadline, f"{self.role} is not ready:\n{self.logs()}"
            time.sleep(0.1)  # between two looks

    def _ready(self) -> bool:
        assert self.net is not None

        def asked() -> bool:
            try:
                with urllib.request.urlopen(f"{self.ops}/-/ready", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        return self.net.on(self.host, asked)


class Hosts(Apart):
    """Apart, each role on a host of its own, with the ports of the documentation."""

    def __init__(self, net: Network) -> None:
        self.net = net
        at = net.addresses
        self.urls = (f"http://{at['server', 'gateway']}:8080", f"http://{at['gateway', 'compute']}:8089")
        super().__init__()

    def make_programs(self) -> dict[str, Program]:
        """See Apart. What the hosts have in common is nothing but how the test keeps them in one folder."""
        at = self.net.addresses
        base = {key: self.config[key] for key in ("envs_dir", "accounts", "log", "sharing")}
        own: dict[str, dict[str, Any]] = {
            "server": {"server": {"url": self.urls[0], "listen": "*:8080"}},
            "gateway": {"gateway": {"url": self.urls[1]}},
            "compute": {
                "compute": {
                    "project_root": str(self.folder / "projects"),
                    "address": f"{at['compute', 'gateway']}:5002",
                }
            },
        }
        made = {}
        for role, options in own.items():
            places = {
                "data_dir": str(self.folder / role),
                "run_dir": str(self.folder / f"run-{role}"),
                "ops": {"listen": "127.0.0.1:8088"},
            }
            config = merged(merged(base, options), places)
            file = self.file if role == "server" else self.folder / f"{role}.yaml"
            file.write_text(yaml.safe_dump(config))
            made[role] = self.program_of(role, file, config)
        self.config = merged(self.config, own["server"] | own["gateway"])
        return made

    def program_of(self, role: str, file: Path, config: dict[str, Any]) -> Program:
        """See World."""
        made = super().program_of(role, file, config)
        return Placed(**vars(made), net=self.net, host=role)

    def run(self, file: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """See World: on the host whose file that is."""
        host = "server" if file == self.file else file.stem
        return subprocess.run(
            ["ip", "netns", "exec", self.net.namespace(host), str(self.program), *arguments, "-c", str(file)],
            input=stdin, capture_output=True, text=True, timeout=90, cwd="/", env=self._environment(),
        )  # fmt: skip

    def join(self, role: str, name: str, program: str = "") -> None:
        """As the page says it: one line from the server, pasted on the new host."""
        invited = self.aen("node", "invite", "--role", role, "--datacenter", CENTER, "--name", name)
        assert invited.returncode == 0, invited.stderr
        line = next(line.strip() for line in invited.stdout.splitlines() if "aen node join" in line)
        inward = {"gateway": "compute", "compute": "gateway"}[role]
        address = self.net.addresses[role, inward]
        joined = self.run(self.programs[role].file, *shlex.split(line)[1:], "--host", address)
        assert joined.returncode == 0, joined.stderr + joined.stdout + self.all_logs()
        assert "can't be reached" not in joined.stdout, joined.stdout


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with network() as net:
        for host in ("server", "gateway", "compute", "person"):
            net.host(host)
        for one, other in (("server", "gateway"), ("gateway", "compute"), ("person", "server"), ("person", "gateway")):
            net.cable(one, other)
        at = net.addresses
        # Who has a cable to a host reaches every address of that host, as in a routed network.
        for host, target, via in (
            ("person", at["server", "gateway"], at["server", "person"]),
            ("person", at["gateway", "compute"], at["gateway", "person"]),
            ("server", at["gateway", "compute"], at["gateway", "server"]),
        ):
            subprocess.run(["ip", "-n", net.namespace(host), "route", "add", target, "via", via], check=True)
        with Hosts(net) as made:
            yield made


def test_somebody_works_from_a_fourth_host(hosts: Hosts) -> None:
    """Sign in at the server, start a session, compute through the gateway."""
    name = hosts.add("alice")
    token = hosts.token(name)

    async def works() -> str:
        async with aiohttp.ClientSession() as http:
            client = Client(hosts.urls[0], http, token=token)
            session = await opened(client, await project_of(client, name, "far"))
            assert session["url"].startswith(hosts.urls[1])
            kernel = await Kernel.start(http, session["url"], {"Authorization": f"Bearer {token}"})
            return await kernel.run("print(6 * 7)")

    assert hosts.net.on("person", lambda: asyncio.run(works())) == "42\n"


def test_the_compute_node_reaches_its_gateways_host_alone(hosts: Hosts) -> None:
    net, at = hosts.net, hosts.net.addresses
    assert net.reaches("compute", at["gateway", "compute"], 4223)
    assert not net.reaches("compute", at["server", "gateway"], 8080)
    assert not net.reaches("compute", at["server", "gateway"], 4222)
    assert net.reaches("gateway", at["compute", "gateway"], 5002)
    assert not net.reaches("person", at["compute", "gateway"], 5002)
    assert not net.reaches("server", at["compute", "gateway"], 5002)


@pytest.mark.parametrize("role", ["server", "gateway", "compute"])
def test_doctor_finds_no_problem_on_any_host(hosts: Hosts, role: str) -> None:
    done = hosts.run(hosts.programs[role].file, "doctor")
    bad = [line for line in done.stdout.splitlines() if line.startswith("✗") and "fs." not in line]
    assert not bad, done.stdout


def test_a_removed_node_is_cut_off(hosts: Hosts) -> None:
    """Its certificate stands on the list that gateways keep; last, for it does not come back."""
    assert {node["name"] for node in hosts.api.get("nodes")["items"]} >= {EDGE, NODE}
    removed = hosts.aen("node", "remove", NODE, "--yes")
    assert removed.returncode == 0, removed.stderr
    deadline = time.monotonic() + 10
    kept = hosts.folder / "gateway/node/revoked.json"
    while not (kept.exists() and len(kept.read_text()) > len("[]\n")):
        assert time.monotonic() < deadline, "the gateway does not keep that the certificate was taken away"
        time.sleep(0.05)  # between two looks
    assert os.stat(kept).st_mode & 0o777 == 0o600
