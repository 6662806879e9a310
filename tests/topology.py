"""A topology: one server, data centers with a gateway and many compute nodes each; every node a process of its own.

All run as one ordinary account (evaluation mode): nodes of a real installation each have their machine's accounts for
themselves. They join as administrators do it: an invitation each, keys made on the "host", the answer by HTTP.
"""

from __future__ import annotations

import os
import shlex
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from aen.cli import joining
from aen.config.load import load
from aen.config.machine import Machine
from aen.config.resolve import resolve
from tests.apart import Apart
from tests.ports import free_ports
from tests.program import Program
from tests.world import merged

KNOWN_SECONDS = 180.0


class Topology(Apart):
    """`centers`: how many compute nodes each data center has. `options` are laid over every node's configuration.

    `shared`: the nodes of a data center have one project root, as on shared storage.
    """

    def __init__(self, centers: dict[str, int], options: dict[str, Any] | None = None, *, shared: bool = False) -> None:
        self.centers = dict(centers)
        self._shared = shared
        self.urls: dict[str, str] = {}  # data center → its gateway's address
        self._given: set[int] = set()  # ports: not all are bound yet, so the kernel would give some of them again
        super().__init__(ordinary=True, options=merged({"log": {"level": "info"}}, options or {}))

    def make_programs(self) -> dict[str, Program]:
        """See World."""
        made = {"server": self.program_of("server", self.file, self.config)}
        for center, count in self.centers.items():
            made |= self._of_center(center, count)
        return made

    def start(self) -> None:
        """Start the server and the gateways, and let all join that have not; then all compute nodes at once."""
        self.programs["server"].start()
        for center, count in self.centers.items():
            self._let_join(center, count)
        self.spawn_rest()

    def add_center(self, center: str, count: int) -> None:
        """One data center more, while the others work."""
        self.centers[center] = count
        self.programs |= self._of_center(center, count)
        self._let_join(center, count)
        self.spawn_rest()
        self.wait_all()

    def spawn_rest(self) -> None:
        """Start every process that does not run, all at once, and wait for none."""
        for program in self.programs.values():
            if program.process is None:
                program.spawn()

    def wait_all(self, seconds: float = KNOWN_SECONDS) -> None:
        """Until the server hears every node, and every compute node can start apps."""
        deadline = time.monotonic() + seconds
        while missing := self.missing():
            assert time.monotonic() < deadline, f"not there after {seconds:g} s: {missing}\n{self.all_logs()[-8000:]}"
            dead = [
                name for name, one in self.programs.items() if one.process is None or one.process.poll() is not None
            ]
            assert not dead, f"ended by themselves: {dead}\n{self.programs[dead[0]].log.read_text()[-4000:]}"
            time.sleep(0.1)  # between two looks; the fact decides, not the time

    def missing(self) -> list[str]:
        """Nodes that the server does not hear, or that are not ready; all while the server does not answer."""
        wanted = set(self.programs) - {"server"}
        try:
            nodes = self.api.get("nodes")["items"]
        except Exception:
            return sorted(wanted)
        return sorted(wanted - {node["name"] for node in nodes if node["up"] and node["ready"]})

    def stop(self, seconds: float = 120.0) -> int:
        """SIGTERM to all at once; the worst exit code."""
        running = {name: program for name, program in self.programs.items() if program.process is not None}
        for program in running.values():
            assert program.process is not None
            program.process.send_signal(signal.SIGTERM)
        return max((program.ended(seconds) for program in running.values()), key=abs, default=0)

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _free(self, count: int) -> list[int]:
        """Ports that nobody has, and that none of ours was told to take."""
        taken = set(self._given) | set(self._ports)
        for section in ("server", "gateway", "ops"):
            taken.add(int(self.config[section]["listen"].rpartition(":")[2]))
        ports = [port for port in free_ports(count + len(taken)) if port not in taken][:count]
        self._given.update(ports)
        return ports

    def _of_center(self, center: str, count: int) -> dict[str, Program]:
        gateway, leaf = self._free(2)
        self.urls[center] = f"http://localhost:{gateway}"
        own: dict[str, Any] = {
            "gateway": {"listen": f"127.0.0.1:{gateway}", "url": self.urls[center], "datacenter": center},
            "compute": {"project_root": str(self.folder / f"projects-{center}")},
            "bus": {"leaf_listen": f"127.0.0.1:{leaf}"},
        }
        made = {f"edge-{center}": self._program("gateway", f"edge-{center}", own)}
        for number in range(count):
            made[f"{center}-{number}"] = self._program("compute", f"{center}-{number}", own)
        return made

    def _program(self, role: str, name: str, own: dict[str, Any]) -> Program:
        node, ops = self._free(2)
        root = own["compute"]["project_root"] if self._shared else str(self.folder / f"projects-{name}")
        config = merged(
            merged(self.config, own),
            {
                "data_dir": str(self.folder / name),
                "run_dir": str(self.folder / f"r-{name}"),
                "ops": {"listen": f"127.0.0.1:{ops}"},
                "compute": {"listen": f"127.0.0.1:{node}", "project_root": root},
            },
        )
        if role == "compute":
            del config["server"]
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config))
        program = self.program_of(role, file, config)
        program.log = self.folder / f"{name}.log"
        return program

    def _let_join(self, center: str, count: int) -> None:
        edge = f"edge-{center}"
        self._joined("gateway", edge, center)
        if self.programs[edge].process is None:
            self.programs[edge].start()
        self.wait_known(edge)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: self._joined("compute", f"{center}-{number}", center), range(count)))

    def _joined(self, role: str, name: str, center: str) -> None:
        """One invitation and one joining, in this process: what `aen node join` does, without a Python start for each."""
        folder = self.folder / name
        if (folder / "node" / "joined.json").exists():
            return
        body = {"roles": [role], "datacenter": center, "node": name, "hosts": [], "again": False, "hours": 1}
        words = shlex.split(self.api.post("nodes", "invitations", body=body)["command"])
        url, token = words[3], words[words.index("--token") + 1]
        machine = Machine.here()
        config = resolve(load([self.programs[name].file], {}).config, roles=(role,), machine=machine)
        folder.mkdir(mode=0o700, exist_ok=True)
        joining.join(config, joining.Host.of(config, machine, (role,), name, []), url, token, lambda line: None)
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.runner.uid, self.runner.gid)

    def launcher_of(self, name: str) -> int:
        """The process id of a compute node's launcher."""
        process = self.programs[name].process
        assert process is not None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return next(int(pid) for pid in children if b"aen.launchers" in Path(f"/proc/{pid}/cmdline").read_bytes())
