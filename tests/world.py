"""World: the real program in a process of its own, on free ports, with directories of its own; leaves nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self, TextIO

import aiohttp
import yaml

from aen.cli.calling import Api
from aen.errors import Conflict
from aen.launchers import passwd
from tests.ports import free_ports
from tests.program import Program, Runner
from tests.served import PASSWORD, Client

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(sys.executable).parent / "aen"
EVALUATION = "aent-evaluation"
_LOG_CHARACTERS = 20_000


class World:
    """One running `aen serve --role all`. Use it as a context manager, or the `world` fixture.

    People's names must come from `person`: Linux accounts are shared by everything on the machine, and worlds run side by side.
    """

    running: list[World] = []  # noqa: RUF012 - for the report of a failed test

    def __init__(
        self,
        *,
        ordinary: bool = False,
        options: dict[str, Any] | None = None,
        environ: dict[str, str] | None = None,
        program: Path = PROGRAM,
    ) -> None:
        """`ordinary`: run by an account of its own instead of root. `options` are laid over the configuration."""
        self.program = program
        self.environ = environ or {}
        self.tag = secrets.token_hex(2)
        self.folder = Path(tempfile.mkdtemp(prefix="aenw-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.runner = _runner(ordinary)
        self.managed = self.runner.uid == 0
        self.config = merged(self.configuration(), options or {})
        self.file = self.folder / "aen.yaml"
        self.file.write_text(yaml.safe_dump(self.config))
        if not self.managed:
            os.chown(self.folder, self.runner.uid, self.runner.gid)
        self.programs = self.make_programs()
        self._tokens: dict[str, str] = {}

    # ── life ────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        World.running.append(self)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        World.running.remove(self)
        self.stop()
        self.end_brokers()
        self._end_apps()
        self._remove_accounts()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it says that it is ready. AssertionError with its log when it does not."""
        for program in self.programs.values():
            program.start()

    def stop(self, seconds: float = 60.0) -> int:
        """Tell it to end (SIGTERM) and wait. Returns its exit code (of several: the worst). Apps go on, as they should."""
        return max((program.stop(seconds) for program in reversed(self.programs.values())), key=abs)

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        for program in self.programs.values():
            program.kill()

    def restart(self) -> None:
        """Stop in order and start again, same ports, same directories."""
        self.stop()
        self.start()

    def make_programs(self) -> dict[str, Program]:
        """Its processes, by role, in the order of their start."""
        return {"all": self.program_of("all", self.file, self.config)}

    def program_of(self, role: str, file: Path, config: dict[str, Any]) -> Program:
        """One process, not yet started."""
        return Program(
            program=self.program,
            role=role,
            file=file,
            log=self.folder / ("aen.log" if role in ("all", "server") else f"{role}.log"),
            ops=f"http://{config['ops']['listen']}",
            runner=self.runner,
            environ=self._environment(),
            logs=self.all_logs,
        )

    def end_brokers(self) -> None:
        """End what carries messages between processes; in one process nothing does."""

    @property
    def log(self) -> Path:
        """The log of the program (of several: the server's)."""
        return next(iter(self.programs.values())).log

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process (of several: the server's), while it runs."""
        return next(iter(self.programs.values())).process

    # ── people ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def server(self) -> str:
        """The server's address, without a slash at its end."""
        return str(self.config["server"]["url"])

    @property
    def gateway(self) -> str:
        """The gateway's address, without a slash at its end."""
        return str(self.config["gateway"]["url"])

    @property
    def ops(self) -> str:
        """The operations page's address."""
        return f"http://{self.config['ops']['listen']}"

    @property
    def api(self) -> Api:
        """The API as the machine's administrator has it, over the admin socket. Blocks: for setting up, not for loads."""
        return Api(Path(self.config["run_dir"]) / "admin.sock")

    @property
    def setup_code(self) -> str:
        """The one-time code of the first visit."""
        return (Path(self.config["data_dir"]) / "setup-code").read_text().strip()

    def person(self, word: str) -> str:
        """The name that `word` ("alice") has in this world."""
        return f"aent{self.tag}-{word}"

    def add(self, word: str, *, admin: bool = False) -> str:
        """Add a person (with the password `tests.served.PASSWORD`) and return their name."""
        name = self.person(word)
        self.api.post("users", body={"name": name, "password": PASSWORD, "admin": admin})
        self._tokens.pop(name, None)  # of an earlier person of that name
        return name

    def token(self, name: str) -> str:
        """An API token of that person."""
        if name not in self._tokens:
            body = {"title": "world", "days": 1}
            self._tokens[name] = str(self.api.post("users", name, "tokens", body=body)["token"])
        return self._tokens[name]

    @contextlib.asynccontextmanager
    async def client(self, name: str = "", *, gateway: bool = False) -> AsyncIterator[Client]:
        """A script's client of the server (or gateway) with that person's API token; nobody's without a name."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            yield Client(self.gateway if gateway else self.server, http, token=self.token(name) if name else "")

    def aen(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the `aen` command with this world's configuration, as who runs it."""
        return self.run(self.file, *arguments, stdin=stdin)

    def run(self, file: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the `aen` command with that configuration file."""
        return subprocess.run(
            [str(self.program), *arguments, "-c", str(file)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            cwd="/",
            env=self._environment(),
            user=self.runner.uid if os.geteuid() == 0 else None,
            group=self.runner.gid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
        )

    def health(self) -> dict[str, Any]:
        """What the operations page says of every part."""
        try:
            with urllib.request.urlopen(f"{self.ops}/-/health", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                found = json.load(error)
        return found

    # ── logs ────────────────────────────────────────────────────────────────────────────────────────

    def logs(self) -> Iterator[tuple[str, str]]:
        """The end of every log: the program's, and each app's."""
        programs = [program.log for program in self.programs.values()]
        for path in [*programs, *sorted(self.state_dir.glob("logs/*.log"))]:
            with contextlib.suppress(OSError):
                yield str(path), path.read_text(errors="replace")[-_LOG_CHARACTERS:]

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state_dir(self) -> Path:
        """What the launcher keeps."""
        return self.folder / ("data-launcher" if self.managed else "data/launcher")

    def configuration(self) -> dict[str, Any]:
        """The configuration before `options`."""
        server, gateway, ops = free_ports(3)
        return {
            "data_dir": str(self.folder / "data"),
            "run_dir": str(self.folder / "run"),
            "envs_dir": str(shared_envs(self.runner)),
            "accounts": {"first_uid": 30_000 + secrets.randbelow(20_000)},
            "ops": {"listen": f"127.0.0.1:{ops}"},
            "log": {"format": "text", "level": "debug"},
            # Two names of one machine, so that the cookies of server and gateway are apart as on two hosts.
            "server": {"listen": f"127.0.0.1:{server}", "url": f"http://127.0.0.1:{server}"},
            "gateway": {"listen": f"127.0.0.1:{gateway}", "url": f"http://localhost:{gateway}"},
            "sharing": {"public_account": self.person("public")},
            "compute": {"project_root": str(self.folder / "projects")},
        }

    def _environment(self) -> dict[str, str]:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key.startswith(("UV_", "PIP_", "SSL_")) or key.lower().endswith("_proxy")
        }
        plain = {"PATH": os.environ.get("PATH", os.defpath), "HOME": self.runner.home, "LANG": "C.UTF-8"}
        return inherited | plain | {"PYTHONWARNINGS": "default", "PYTHONUNBUFFERED": "1"} | self.environ

    def all_logs(self) -> str:
        """Every log, for a message."""
        return "\n".join(f"── {name} ──\n{text}" for name, text in self.logs())

    def _end_apps(self) -> None:
        """Kill what this world started: only it has this folder's path in its arguments or environment."""
        uids = {*self._made_accounts().values(), self.runner.uid} - {0}
        deadline = time.monotonic() + 10
        while (pids := list(_processes(uids, str(self.folder).encode()))) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _made_accounts(self) -> dict[str, int]:
        """Accounts that AEN made in this world: name → uid."""
        accounts = [entry for register in self._registers() for entry in register.get("accounts", {}).items()]
        return {name: entry["uid"] for name, entry in accounts if entry.get("made", True)}

    def _registers(self) -> list[dict[str, Any]]:
        """What the launchers keep of accounts: a world apart may have several compute nodes."""
        found = []
        for file in [*self.folder.glob("*-launcher/accounts.json"), *self.folder.glob("*/launcher/accounts.json")]:
            with contextlib.suppress(OSError, ValueError):
                found.append(json.loads(file.read_text()))
        return found

    def _remove_accounts(self) -> None:
        for name in [name for name in self._made_accounts() if name.startswith("aent")]:
            with contextlib.suppress(Conflict):
                passwd.run("userdel", "--remove", name)
        for entry in [entry for register in self._registers() for entry in register.get("before", ())]:
            if (account := entry.get("account", "")).startswith("aent"):
                with contextlib.suppress(Conflict):
                    passwd.run("userdel", account)
                shutil.rmtree(f"/home/{account}", ignore_errors=True)


def shared_envs(runner: Runner) -> Path:
    """Where root environments are built once, for all worlds and all test runs (the back end locks against doubles)."""
    base = ROOT / ".dev"
    base.mkdir(exist_ok=True)
    if not all(parent.stat().st_mode & 0o001 for parent in (base, *base.parents)):
        base = Path("/var/tmp/aent-dev")  # the checkout is closed to other accounts
        base.mkdir(mode=0o755, exist_ok=True)
    if runner.uid == 0:
        return base / "envs"
    place = base / f"envs-{runner.name}"
    place.mkdir(exist_ok=True)
    if os.geteuid() == 0 and place.stat().st_uid != runner.uid:  # the account was made anew since
        for folder, _, files in os.walk(place):
            for path in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(path, runner.uid, runner.gid, follow_symlinks=False)
    return place


def _runner(ordinary: bool) -> Runner:
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.geteuid())
        return Runner(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)
    if not ordinary:
        return Runner(0, 0, "root", "/root")
    return evaluation_account()


def evaluation_account() -> Runner:
    """The account of all evaluation worlds of the machine; `remove_evaluation_account` ends it."""
    _hold_evaluation_account(fcntl.LOCK_SH)
    # useradd locks its files: of two workers one makes the account, and the other is told that it exists.
    command = ["useradd", "--create-home", "--user-group", "--shell", "/bin/bash", EVALUATION]
    with contextlib.suppress(Conflict):
        passwd.run(*command)
    entry = pwd.getpwnam(EVALUATION)
    return Runner(entry.pw_uid, entry.pw_gid, EVALUATION, entry.pw_dir)


def remove_evaluation_account() -> None:
    """Remove it, if there is one, unless another test run has it. At the end of a test run, when no world runs any more."""
    with contextlib.suppress(Conflict, BlockingIOError):
        _hold_evaluation_account(fcntl.LOCK_EX | fcntl.LOCK_NB)
        passwd.run("userdel", "--remove", EVALUATION)


def _hold_evaluation_account(how: int) -> None:
    """Until this process ends, or asks for it in another way."""
    if not _held:
        _held.append(open("/tmp/aent-evaluation.lock", "a"))  # noqa: SIM115 - kept
    fcntl.flock(_held[0], how)


_held: list[TextIO] = []


def _processes(uids: set[int], mark: bytes) -> Iterator[int]:
    """Processes of these uids that name `mark` in their arguments or environment."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid in uids:
                said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if mark in said:
                    yield int(entry.name)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`."""
    found = dict(below)
    for key, value in above.items():
        inner = found.get(key)
        found[key] = merged(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return found
