"""Environments by uv: virtual environments, relocatable, from a lock with hashes. The embedded default."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from aen.config import Config
from aen.config.files import packaged
from aen.environments import Progress, RootEnvironment, uv
from aen.environments.interpreter import Interpreter, find
from aen.errors import AenError, Invalid, Unavailable

log = structlog.get_logger(__name__)

ROOTS = ("root", "apps")
_ALWAYS = ("ipykernel", "pip")  # without them a project's environment has no kernel and can't grow


class VenvBackend:
    """Root environments below `config.envs_dir`, as `root-<version>` and `apps-<version>`.

    `additions` are our own packages by root environment, copied into its site-packages: code that runs as the user
    must lie where every account can read it, which the checkout need not.
    """

    def __init__(self, config: Config, additions: Mapping[str, Sequence[Path]] | None = None) -> None:
        self._config = config
        self._additions = {name: list(paths) for name, paths in (additions or {}).items()}
        self._interpreter: Interpreter | None = None

    async def ensure_root(self, name: str, progress: Progress) -> RootEnvironment:
        """The root environment `name`, built when it is missing. Raises Unavailable naming what failed; can be tried again."""
        if name not in ROOTS:
            raise Invalid(f"There is no root environment {name!r}: {' and '.join(ROOTS)}.")
        interpreter = await self._find_interpreter()
        version = await asyncio.to_thread(self._version, name, interpreter)
        path = self._config.envs_dir / f"{name}-{version}"
        made = RootEnvironment(name, version, path, self.python(path))
        if made.python.exists():
            return made
        _make_top(self._config.envs_dir)
        async with _alone(self._config.envs_dir / f".lock-{name}"):
            if not made.python.exists():  # nobody built it while we waited
                await self._build(name, made, interpreter, progress)
        return made

    async def tool(self) -> dict[str, Any]:
        """By uv, from the interpreter that the root environments are made from."""
        return {"kind": "venv", "python": str((await self._find_interpreter()).path)}

    def python(self, environment: Path) -> Path:
        """The interpreter of an environment."""
        return environment / "bin" / "python"

    def activate(self, environment: Path) -> dict[str, str]:
        """Environment variables by which a shell or kernel works in it (PATH is to be put in front)."""
        return {"VIRTUAL_ENV": str(environment), "PATH": str(environment / "bin")}

    async def _find_interpreter(self) -> Interpreter:
        if self._interpreter is None:
            single = self._config.accounts.mode == "single"
            self._interpreter = await asyncio.to_thread(find, for_everybody=not single)
            log.info(
                "environments use this Python", path=str(self._interpreter.path), version=self._interpreter.version
            )
        return self._interpreter

    async def _build(self, name: str, made: RootEnvironment, interpreter: Interpreter, progress: Progress) -> None:
        title = "the default environment" if name == "root" else "the environment of the apps"
        log.info("building a root environment", name=name, path=str(made.path))
        self._sweep(name)
        staging = made.path.with_name(f".building-{name}-{secrets.token_hex(4)}")

        def note(text: str, part: float) -> None:
            progress(f"Building {title} (once): {text}", part)

        try:
            note("making it", 0.02)
            await self._install(name, staging, interpreter, note)
            await asyncio.to_thread(self._finish, name, staging)
            os.rename(staging, made.path)
        except AenError as error:
            raise Unavailable(
                f"{title[0].upper()}{title[1:]} could not be built: {error.message} "
                "AEN tries again every minute; check that a Python package index can be reached."
            ) from error
        except OSError as error:
            raise Unavailable(
                f"{title[0].upper()}{title[1:]} could not be built in {self._config.envs_dir} (envs_dir): {error.strerror}."
            ) from error
        finally:
            if staging.exists():
                await asyncio.to_thread(_remove, staging)
        note("done", 1.0)
        log.info("built a root environment", name=name, path=str(made.path))

    async def _install(self, name: str, staging: Path, interpreter: Interpreter, note: Progress) -> None:
        environ = uv.environ(self._config.data_dir)
        top = staging.parent
        venv = ["venv", "--relocatable", "--no-project", "--python", str(interpreter.path), str(staging)]
        await uv.run(venv, top, environ, note)
        # Copies, not links into the cache: what is done to one of them must not show in the other.
        install = ["pip", "install", "--python", str(self.python(staging)), "--link-mode", "copy", "--compile-bytecode"]
        await uv.run([*install, *self._wanted(name)], top, environ, note)

    def _wanted(self, name: str) -> list[str]:
        lock = self._lock(name)
        if name == "root" and self._config.environments.packages:
            return ["--constraint", str(lock), *_ALWAYS, *self._config.environments.packages]
        return ["--require-hashes", "--requirement", str(lock)]

    def _finish(self, name: str, staging: Path) -> None:
        """Our own code in, then read-only: a clone may hard-link these files."""
        site = next((staging / "lib").glob("python3.*/site-packages"))
        for package in self._additions.get(name, ()):
            shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
            compile_ours = [str(self.python(staging)), "-I", "-m", "compileall", "-q", str(site / package.name)]
            subprocess.run(compile_ours, check=False, timeout=60)  # users can't write the result there later
        if name == "apps":
            _offer_uv(staging)
        for folder, _, files in os.walk(staging):
            os.chmod(folder, 0o755)  # noqa: S103  everybody runs it
            for file in files:
                _read_only(os.path.join(folder, file))

    def _sweep(self, name: str) -> None:
        """Remove what a build that was cut short left behind. The lock is held: nobody else builds."""
        for left in self._config.envs_dir.glob(f".building-{name}-*"):
            _remove(left)

    def _version(self, name: str, interpreter: Interpreter) -> str:
        digest = hashlib.sha256(interpreter.version.encode())
        digest.update(str(interpreter.path).encode())
        digest.update(self._lock(name).read_bytes())
        if name == "root":
            digest.update("\0".join(self._config.environments.packages).encode())
        for package in self._additions.get(name, ()):
            for file in sorted(package.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:12]

    @staticmethod
    def _lock(name: str) -> Path:
        return packaged("config") / "environments" / f"{name}.txt"


@asynccontextmanager
async def _alone(lock: Path) -> AsyncIterator[None]:
    """One builder at a time on this machine; given back by the kernel when a builder dies."""
    with open(lock, "a") as file:  # noqa: ASYNC230  an empty local file
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)  # flock has nothing to wait on without a thread of its own
        yield


def _make_top(path: Path) -> None:
    try:
        if not path.is_dir():
            path.mkdir(parents=True)
            path.chmod(0o755)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "it can't be written")
    except OSError as error:
        raise Unavailable(
            f"envs_dir {path} can't be used: {error.strerror}. Make it and give it to the account AEN runs as."
        ) from error


def _offer_uv(environment: Path) -> None:
    """uv by itself in a folder that may stand on everybody's PATH: the app servers' own programs are not for that."""
    (environment / "tools").mkdir()
    (environment / "tools" / "uv").symlink_to("../bin/uv")


def _read_only(path: str) -> None:
    mode = os.lstat(path).st_mode
    if stat.S_ISREG(mode):
        os.chmod(path, 0o555 if mode & stat.S_IXUSR else 0o444)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
