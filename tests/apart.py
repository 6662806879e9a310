"""A world apart: server, gateway and compute node each a process of its own, with its own directories and credentials.

They are joined as an administrator does it (`aen node invite` on the server, the printed line on the new host), and talk
over the real brokers that AEN runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ports import free_ports
from tests.program import Program
from tests.world import World, merged

#: `pytestmark = BOTH`: the file's `world` is one process, and then three.
BOTH = pytest.mark.parametrize("world", ["together", "apart"], indirect=True, scope="module")

CENTER = "paris"
NODE = "n7"
EDGE = "edge"
_KNOWN_SECONDS = 120.0  # on a machine that is busy with other tests; what takes too long is measured elsewhere


class Apart(World):
    """Three processes. `config` is the server's; `programs` has one for each role."""

    center = CENTER

    def configuration(self) -> dict[str, Any]:
        """What all three have in common, with the server's own directories."""
        self._ports = free_ports(5)
        broker, leaf, node, _, _ = self._ports
        common = super().configuration()
        return merged(
            common,
            {
                "data_dir": str(self.folder / "server"),
                "run_dir": str(self.folder / "run-server"),
                "bus": {"listen": f"127.0.0.1:{broker}", "leaf_listen": f"127.0.0.1:{leaf}"},
                "compute": {"listen": f"127.0.0.1:{node}"},
            },
        )

    def make_programs(self) -> dict[str, Program]:
        """See World."""
        made = {"server": self.program_of("server", self.file, self.config)}
        for role, port in zip(("gateway", "compute"), self._ports[3:], strict=True):
            own = {
                "data_dir": str(self.folder / role),
                "run_dir": str(self.folder / f"run-{role}"),
                "ops": {"listen": f"127.0.0.1:{port}"},
            }
            config = merged(self.config, own)
            if role == "compute":  # it is told by its credentials where the server is
                del config["server"]
            file = self.folder / f"{role}.yaml"
            file.write_text(yaml.safe_dump(config))
            made[role] = self.program_of(role, file, config)
        return made

    @property
    def state_dir(self) -> Path:
        """See World."""
        return self.folder / ("compute-launcher" if self.managed else "compute/launcher")

    def start(self) -> None:
        """Start all three; what has not joined yet is invited and joins first."""
        self.programs["server"].start()
        for role, name in (("gateway", EDGE), ("compute", NODE)):
            if not (self.folder / role / "node" / "joined.json").exists():
                self.join(role, name)
            self.programs[role].start()
            self.wait_known(name)

    def join(self, role: str, name: str, program: str = "") -> None:
        """Invite on the server, and run the printed line with the new host's configuration (that of `program`)."""
        invited = self.aen("node", "invite", "--role", role, "--datacenter", CENTER, "--name", name)
        assert invited.returncode == 0, invited.stderr
        line = next(line.strip() for line in invited.stdout.splitlines() if "aen node join" in line)
        joined = self.run(self.programs[program or role].file, *shlex.split(line)[1:])
        assert joined.returncode == 0, joined.stderr + self.all_logs()
        assert "can't be reached" not in joined.stdout, joined.stdout

    def wait_known(self, name: str) -> None:
        """Until the server hears that node."""
        deadline = time.monotonic() + _KNOWN_SECONDS
        while not any(node["name"] == name and node["up"] for node in self.api.get("nodes")["items"]):
            assert time.monotonic() < deadline, f"{name} is not heard:\n{self.all_logs()}"
            time.sleep(0.05)  # between two looks; the fact decides, not the time

    def end_brokers(self) -> None:
        """They outlive AEN's end, as they should: a world's end is theirs too."""
        for file in self.folder.glob("*/broker/running.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                pid = int(json.loads(file.read_text())["pid"])
                if str(self.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
