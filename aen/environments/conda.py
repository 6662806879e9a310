"""Environments by conda packages, from the site's channels: py-rattler, or a conda, mamba or micromamba that is configured."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from aen.config import Config
from aen.environments import Progress, RootEnvironment
from aen.environments.building import ROOTS, Site, add, digest_of, ensure, offer_tools
from aen.errors import Invalid, Unavailable

try:
    import rattler
except ImportError:  # the extra `conda` is not installed: an executable may be configured
    rattler = None  # type: ignore[assignment]

log = structlog.get_logger(__name__)

SPECS: Mapping[str, Sequence[str]] = {
    "root": ("python", "ipykernel", "pip", "numpy", "pandas", "matplotlib-base"),
    # py-rattler and uv: what the user's own program for environments works with.
    "apps": ("python", "jupyterlab", "notebook", "jupyter_server_terminals", "nbconvert", "py-rattler", "uv"),
}
_ALWAYS = ("python", "ipykernel", "pip")
_COMPLETE = ".aen-complete"  # an executable builds in place: only what has this is an environment
#: By its own folder: the environment that it lies in is the one it works with.
_SHIM = """#!/bin/sh
here=$(dirname -- "$(readlink -f -- "$0")")
exec "$here/../bin/python" -I -m aen_environments.shim "$@"
"""
_SAID = 600  # characters of what an executable or solver says


class CondaBackend:
    """Root environments below `config.envs_dir`, as `conda-root-<version>` and `conda-apps-<version>`."""

    def __init__(self, config: Config, additions: Mapping[str, Sequence[Path]] | None = None) -> None:
        self._config = config
        self._additions = {name: list(paths) for name, paths in (additions or {}).items()}

    async def ensure_root(self, name: str, progress: Progress) -> RootEnvironment:
        """The root environment `name`, built when it is missing. Raises Unavailable naming what failed; can be tried again."""
        if name not in ROOTS:
            raise Invalid(f"There is no root environment {name!r}: {' and '.join(ROOTS)}.")
        self._check()
        version = await asyncio.to_thread(self._version, name)
        path = self._config.envs_dir / f"conda-{name}-{version}"
        made = RootEnvironment(name, version, path, self.python(path))
        return await ensure(self._site(name, path), made, (path / _COMPLETE).exists, progress)

    def python(self, environment: Path) -> Path:
        """The interpreter of an environment."""
        return environment / "bin" / "python"

    def activate(self, environment: Path) -> dict[str, str]:
        """Environment variables by which a shell or kernel works in it (PATH is to be put in front)."""
        return {"CONDA_PREFIX": str(environment), "PATH": str(environment / "bin")}

    async def tool(self) -> dict[str, Any]:
        """From these channels; by the executable, if one is configured."""
        options = self._config.environments
        executable = str(options.executable) if options.executable else ""
        return {"kind": "conda", "channels": list(options.channels), "executable": executable}

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _check(self) -> None:
        options = self._config.environments
        if not options.channels:
            raise Unavailable(
                "environments.backend is conda: name the channels in environments.channels (file:// works)."
            )
        if options.executable is None and rattler is None:
            raise Unavailable(
                "environments.backend is conda: install AEN's extra for it (pip install 'aen[conda]'), "
                "or name a conda, mamba or micromamba in environments.executable."
            )
        if options.executable is not None and not os.access(options.executable, os.X_OK):
            raise Unavailable(f"environments.executable: {options.executable} is not there or can't be executed.")

    def _specs(self, name: str) -> list[str]:
        packages = self._config.environments.packages
        return [*_ALWAYS, *packages] if name == "root" and packages else list(SPECS[name])

    def _version(self, name: str) -> str:
        options = self._config.environments
        digest = hashlib.sha256("\0".join([*options.channels, "", *self._specs(name)]).encode())
        digest.update(digest_of(self._additions.get(name, ())))
        return digest.hexdigest()[:12]

    def _site(self, name: str, final: Path) -> Site:
        async def install(staging: Path, note: Progress) -> None:
            await self._install(name, staging, final, note)

        # conda-meta too becomes everybody's to read: it is written for its owner only, and everybody's `list` reads it
        return Site(self._config.envs_dir, "conda-", "", install, lambda place: self._finish(name, place))

    async def _install(self, name: str, staging: Path, final: Path, note: Progress) -> None:
        options = self._config.environments
        if options.executable is not None:
            note(f"running {options.executable.name}", 0.1)
            await run(create_arguments(options.executable, options.channels, final, self._specs(name)), final.parent)
            return
        records = await solved(options.channels, self._specs(name), self._cache)
        note(f"installing {len(records)} packages", 0.3)
        await installed(records, staging, final, self._cache)

    def _finish(self, name: str, place: Path) -> None:
        add(place, self.python(place), self._additions.get(name, ()))
        if name == "apps":
            offer_tools(place)
            self._offer_conda(place)
        (place / _COMPLETE).touch()

    def _offer_conda(self, place: Path) -> None:
        """`conda` for terminals: the configured executable under its own name, else ours, which speaks to py-rattler."""
        options, tools = self._config.environments, place / "tools"
        if options.executable is not None:
            (tools / options.executable.name).symlink_to(options.executable)
            return
        (tools / "conda.json").write_text(json.dumps({"kind": "conda", "channels": options.channels, "executable": ""}))
        (tools / "conda").write_text(_SHIM)
        (tools / "conda").chmod(0o755)

    @property
    def _cache(self) -> Path:
        return self._config.data_dir / "cache" / "conda"


async def solved(channels: Sequence[str], specs: Sequence[str], cache: Path) -> list[Any]:
    """The packages that fulfil `specs`. Raises Unavailable: a channel that is not there, or wishes that contradict."""
    gateway = rattler.Gateway(cache_dir=cache / "repodata")
    try:
        return list(
            await rattler.solve(
                sources=list(channels),
                specs=list(specs),
                gateway=gateway,
                virtual_packages=rattler.VirtualPackage.detect(),
            )
        )
    except Exception as error:  # rattler's errors have no common base
        raise Unavailable(_told(error, channels)) from error


async def installed(records: Sequence[Any], place: Path, final: Path, cache: Path) -> None:
    """Install into `place` what is to stand at `final`; it names no other place. Raises Unavailable."""
    try:
        await rattler.install(
            records=list(records),
            target_prefix=place,
            cache_dir=cache / "pkgs",
            execute_link_scripts=False,
            show_progress=False,
            alternative_target_prefix=final,
        )
    except Exception as error:  # rattler's errors have no common base
        raise Unavailable(f"A package could not be installed: {_short(error)}") from error


def create_arguments(executable: Path, channels: Sequence[str], prefix: Path, specs: Sequence[str]) -> list[str]:
    """How conda, mamba and micromamba alike are told to make an environment from these channels and no others."""
    named = [part for channel in channels for part in ("--channel", channel)]
    return [
        str(executable),
        "create",
        "--yes",
        "--quiet",
        "--override-channels",
        *named,
        "--prefix",
        str(prefix),
        *specs,
    ]


async def run(arguments: Sequence[str], cwd: Path) -> None:
    """Run an executable to its end. Raises Unavailable with the end of what it said."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise Unavailable(f"{Path(arguments[0]).name} said: {said.decode(errors='replace').strip()[-_SAID:]}")


def _told(error: Exception, channels: Sequence[str]) -> str:
    if type(error).__name__ == "SolverError":
        return f"These packages can't be had together: {_short(error)}"
    return f"A channel could not be read ({', '.join(channels)}): {_short(error)}"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_SAID]
