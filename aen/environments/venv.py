"""Environments by uv: virtual environments, relocatable, from a lock with hashes. The embedded default."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from aen.config import Config
from aen.config.files import packaged
from aen.environments import Progress, RootEnvironment, uv
from aen.environments.building import ROOTS, Site, add, digest_of, ensure, note_base, offer_tools, reuse
from aen.environments.interpreter import Interpreter, find
from aen.errors import Invalid

log = structlog.get_logger(__name__)

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
        return await ensure(self._site(name, interpreter), made, made.python.exists, progress)

    async def tool(self) -> dict[str, Any]:
        """By uv, from the interpreter that the root environments are made from."""
        found = await self._find_interpreter()
        return {"kind": "venv", "python": str(found.path), "version": found.version}

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

    def _site(self, name: str, interpreter: Interpreter) -> Site:
        base, ours = self._base(name, interpreter), self._additions.get(name, ())

        async def install(staging: Path, note: Progress) -> None:
            if not await asyncio.to_thread(reuse, self._config.envs_dir, name, base, ours, staging):
                await self._install(name, staging, interpreter, note)

        def finish(place: Path) -> None:
            add(place, self.python(place), ours)
            if name == "apps":
                offer_tools(place)
                _answer_conda(place)
            note_base(place, base, ours)

        advice = "; check that a Python package index can be reached"
        return Site(self._config.envs_dir, "", advice, install, finish)

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

    def _version(self, name: str, interpreter: Interpreter) -> str:
        digest = hashlib.sha256(self._base(name, interpreter).encode())
        digest.update(digest_of(self._additions.get(name, ())))
        return digest.hexdigest()[:12]

    def _base(self, name: str, interpreter: Interpreter) -> str:
        """Changes with all that is installed, but for our own packages."""
        digest = hashlib.sha256(interpreter.version.encode())
        digest.update(str(interpreter.path).encode())
        digest.update(self._lock(name).read_bytes())
        if name == "root":
            digest.update("\0".join(self._config.environments.packages).encode())
        return digest.hexdigest()

    @staticmethod
    def _lock(name: str) -> Path:
        return packaged("config") / "environments" / f"{name}.txt"


def _answer_conda(environment: Path) -> None:
    """Who types conda here is told what does the same."""
    for ours in environment.glob("lib/python3.*/site-packages/aen_environments/no_conda.sh"):
        for name in ("conda", "mamba"):
            shutil.copyfile(ours, environment / "tools" / name)
            (environment / "tools" / name).chmod(0o755)
