"""Several of each: two servers behind one name, two gateways of one data center behind another, one compute node.

nginx stands in front of both pairs, a NATS of the site's own carries, and a MongoDB stand-in keeps: all real programs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from aen.cli.calling import Api
from tests.apart import Apart
from tests.ports import free_ports
from tests.program import Program
from tests.standin import Standin
from tests.world import merged

NATS = Path(sys.executable).parent / "nats-server"
KEYS = ("secret-key", "signing-key.pem", "authority")
_NGINX = """daemon off; pid {folder}/pid; error_log {folder}/error.log warn; worker_processes 1; {user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1d; proxy_connect_timeout 2s;
    proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
{sites}
}}
"""
_SITE = """    upstream u{front} {{ {behind} }}
    server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u{front}; }} }}
"""


class Several(Apart):
    """`config` is the first server's; `programs`: server, server2, gateway, gateway2, compute."""

    def __init__(self, **given: Any) -> None:
        self.behind = free_ports(4)  # server, server2, gateway, gateway2
        self.fronts = free_ports(3)  # servers, gateways, nats
        self.own = Path(tempfile.mkdtemp(prefix="aen-several-", dir="/tmp"))
        self.own.chmod(0o755)
        self.store = Standin().start()
        self.helpers: list[subprocess.Popen[bytes]] = []
        super().__init__(**given)

    def configuration(self) -> dict[str, Any]:
        """See Apart."""
        return merged(
            super().configuration(),
            {
                "bus": {"mode": "external", "url": f"nats://127.0.0.1:{self.fronts[2]}"},
                "store": {"url": f"{self.store.url}/several"},
                "server": {
                    "listen": f"127.0.0.1:{self.behind[0]}",
                    "url": f"http://127.0.0.1:{self.fronts[0]}",
                    "trusted_proxies": ["127.0.0.1"],
                },
                "gateway": {
                    "listen": f"127.0.0.1:{self.behind[2]}",
                    "url": f"http://localhost:{self.fronts[1]}",
                    "trusted_proxies": ["127.0.0.1"],
                },
            },
        )

    def make_programs(self) -> dict[str, Program]:
        """See World."""
        made = super().make_programs()
        for name, role, section, port in (
            ("server2", "server", "server", self.behind[1]),
            ("gateway2", "gateway", "gateway", self.behind[3]),
        ):
            own: dict[str, Any] = {
                "data_dir": str(self.folder / name),
                "run_dir": str(self.folder / f"run-{name}"),
                "ops": {"listen": f"127.0.0.1:{free_ports(1)[0]}"},
                section: {"listen": f"127.0.0.1:{port}"},
            }
            config = merged(self.config, own)
            file = self.folder / f"{name}.yaml"
            file.write_text(yaml.safe_dump(config))
            made[name] = self.program_of(role, file, config)
            made[name].log = self.folder / f"{name}.log"
        return made

    def start(self) -> None:
        """NATS and nginx, the servers (the second with the keys of the first), and who joins."""
        self._front()
        self.programs["server"].start()
        owner = (self.folder / "server").stat()
        (self.folder / "server2").mkdir(mode=0o700)
        os.chown(self.folder / "server2", owner.st_uid, owner.st_gid)
        for key in KEYS:
            self._copied(self.folder / "server" / key, self.folder / "server2" / key)
        self.programs["server2"].start()
        for program, role, name in (
            ("gateway", "gateway", "edge"), ("gateway2", "gateway", "edge2"), ("compute", "compute", "n7")
        ):  # fmt: skip
            self.join(role, name, program=program)
            self.programs[program].start()
            self.wait_known(name)

    def direct(self, number: int) -> str:
        """The address of the first or second server itself."""
        return f"http://127.0.0.1:{self.behind[number]}"

    def gateway_direct(self, number: int) -> str:
        """The address of the first or second gateway itself."""
        return f"http://127.0.0.1:{self.behind[2 + number]}"

    @property
    def api2(self) -> Api:
        """As `api`, of the second server."""
        return Api(self.folder / "run-server2" / "admin.sock")

    def end_brokers(self) -> None:
        """What stands around the programs ends with the world."""
        for helper in self.helpers:
            helper.terminate()  # nginx killed outright would leave its workers
            helper.wait(60)
        self.helpers = []
        self.store.stop()
        shutil.rmtree(self.own, ignore_errors=True)

    def _front(self) -> None:
        sites = ""
        for front, behind in ((self.fronts[0], self.behind[:2]), (self.fronts[1], self.behind[2:])):
            servers = " ".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;" for port in behind)
            sites += _SITE.format(front=front, behind=servers)
        conf = self.own / "nginx.conf"
        user = "user root;" if self.managed else ""
        conf.write_text(_NGINX.format(folder=self.own, sites=sites, user=user))
        nats = self.own / "nats.conf"
        nats.write_text(f"listen: 127.0.0.1:{self.fronts[2]}\nmax_payload: 614400\n")
        with (self.own / "output").open("ab") as log:
            for command in (["nginx", "-p", str(self.own), "-c", str(conf)], [str(NATS), "-c", str(nats)]):
                self.helpers.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _copied(self, source: Path, target: Path) -> None:
        deadline = time.monotonic() + 60
        while not source.exists():
            assert time.monotonic() < deadline, f"{source} is not made"
            time.sleep(0.05)  # between two looks
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)

    def facts(self) -> str:
        """For messages."""
        return json.dumps({"behind": self.behind, "fronts": self.fronts})
