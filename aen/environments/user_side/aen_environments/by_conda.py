"""Conda environments, as the user: by py-rattler from the site's channels, or by the executable that the site configured."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from aen_environments import Refused, by_uv

Tool = dict[str, Any]
_ALWAYS = ("python", "ipykernel", "pip")
# A hard link into the person's cache would share the project's ACL with it.
_COPY = "allow-hard-links = false\nallow-symbolic-links = false\n"
_URL = re.compile(r"(?:.*/)?(?P<name>[^/]+)-(?P<version>[^-/]+)-(?P<build>[^-/]+?)(?:\.tar\.bz2|\.conda)(?:#.*)?")
_PYPI = "pypi: "


def make(tool: Tool, place: str, final: str, packages: list[str], requirements: str) -> None:
    """A new environment at `place`, to be renamed to `final`, which is the only place that its files name."""
    if tool.get("executable"):
        raise Refused(
            "With environments.executable, new environments are made from the standard packages: make one so, then install."
        )
    asyncio.run(_make(tool, place, final, _lines(requirements) or [*_ALWAYS, *packages]))
    if by_pip := _by_pip(requirements):
        by_uv.install(tool, place, by_pip, "")
        by_uv.rewrite(place, place.encode(), final.encode())  # scripts that name the place where they were installed


def install(tool: Tool, path: str, packages: list[str], requirements: str) -> None:
    """Install packages; what is there stays as far as it can."""
    wanted = [*packages, *_lines(requirements)]
    if wanted and tool.get("executable"):
        _run(tool, "install", path, wanted)
    elif wanted:
        asyncio.run(_change(tool, path, wanted, set()))
    if by_pip := _by_pip(requirements):
        by_uv.install(tool, path, by_pip, "")


def uninstall(tool: Tool, path: str, packages: list[str]) -> None:
    """Remove packages. Refused when others need them."""
    if tool.get("executable"):
        _run(tool, "remove", path, packages)
        return
    asyncio.run(_change(tool, path, [], set(packages)))


def sync(tool: Tool, path: str, lock: list[str]) -> None:
    """Exactly what the lock names; what pip installed beside it stays."""
    specs = [_exact(line) for line in lock if not line.startswith((_PYPI, "#"))]
    if tool.get("executable"):
        raise Refused("With environments.executable the way back is not there: install the versions you want.")
    asyncio.run(_sync(tool, path, specs))


def clone(tool: Tool, source: str, place: str, final: str) -> None:
    """The same packages once more, from their records; and what lies there besides (what pip installed) as a copy."""
    print(f"Copying {os.path.basename(source)}", flush=True)
    asyncio.run(_clone(source, place, final))


# ── by py-rattler ───────────────────────────────────────────────────────────────────────────────────


def _rattler() -> Any:
    try:
        import rattler
    except ImportError:
        raise Refused("The environment of the apps holds no py-rattler, so conda packages can't be handled.") from None
    return rattler


async def _make(tool: Tool, place: str, final: str, specs: list[str]) -> None:
    records = await _solve(tool, specs, [])
    await _install(records, place, final)


async def _change(tool: Tool, path: str, specs: list[str], without: set[str]) -> None:
    rattler = _rattler()
    there = _records(path)
    names = {record.name.normalized for record in there}
    if missing := without - names:
        raise Refused(f"Not installed by conda here: {', '.join(sorted(missing))}.")
    named = {rattler.MatchSpec(spec).name.normalized for spec in specs}
    records = await _solve(tool, [*sorted(names - named - without), *specs], there)
    if kept := without & {record.name.normalized for record in records}:
        raise Refused(f"Other packages need {', '.join(sorted(kept))}.")
    _tell(there, records)
    await _install(records, path, path)


async def _sync(tool: Tool, path: str, specs: list[str]) -> None:
    there = _records(path)
    records = await _solve(tool, specs, there)
    _tell(there, records)
    await _install(records, path, path)


async def _clone(source: str, place: str, final: str) -> None:
    records = _records(source)
    await _install(records, place, final)
    _copy_rest(source, place, [str(path) for record in records for path in record.files], final)


async def _solve(tool: Tool, specs: list[str], there: list[Any]) -> list[Any]:
    rattler = _rattler()
    try:
        return list(
            await rattler.solve(
                sources=tool["channels"],
                specs=specs,
                locked_packages=there,
                virtual_packages=rattler.VirtualPackage.detect(),
            )
        )
    except Exception as error:  # rattler's errors have no common base
        what = "can't be had together" if type(error).__name__ == "SolverError" else "can't be looked up"
        raise Refused(f"These packages {what}: {' '.join(str(error).split())[:1500]}") from None


async def _install(records: list[Any], place: str, final: str) -> None:
    rattler = _rattler()
    more = {} if place == final else {"alternative_target_prefix": final}
    try:
        await rattler.install(
            records=records,
            target_prefix=place,
            execute_link_scripts=False,
            show_progress=False,
            config=rattler.Config.from_toml(_COPY),
            **more,
        )
    except Exception as error:  # rattler's errors have no common base
        raise Refused(f"A package could not be installed: {' '.join(str(error).split())[:1500]}") from None
    for name in os.listdir(os.path.join(place, "conda-meta")):
        # Written for their writer alone; the whole team lists packages.
        try:
            os.chmod(os.path.join(place, "conda-meta", name), 0o664)
        except PermissionError:  # a mate's, from an earlier change: it was opened then
            continue


def _records(path: str) -> list[Any]:
    rattler = _rattler()
    folder = Path(path, "conda-meta")
    return [rattler.PrefixRecord.from_path(one) for one in sorted(folder.glob("*.json"))]


def _tell(before: list[Any], after: list[Any]) -> None:
    old = {record.name.normalized: str(record.version) for record in before}
    new = {record.name.normalized: str(record.version) for record in after}
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            print(f" - {name}={old[name]}")
        elif old.get(name) != new[name]:
            print(f" + {name}={new[name]}")
    sys.stdout.flush()


def _copy_rest(source: str, place: str, files_of_packages: list[str], final: str) -> None:
    """What no package brought: compiled files aside, which come again by themselves."""
    tracked = {os.path.normpath(path) for path in files_of_packages}
    for folder, folders, files in os.walk(source):
        inside = os.path.relpath(folder, source)
        folders[:] = [
            name for name in folders if name != "__pycache__" and not (inside == "." and name == "conda-meta")
        ]
        for name in files:
            path = os.path.normpath(os.path.join(inside, name))
            to = os.path.join(place, path)
            if path in tracked or os.path.lexists(to):
                continue
            os.makedirs(os.path.dirname(to), exist_ok=True)
            _copy(os.path.join(folder, name), to, source.encode(), final.encode())


def _copy(path: str, to: str, old: bytes, new: bytes) -> None:
    if os.path.islink(path):
        os.symlink(os.readlink(path), to)
        return
    shutil.copyfile(path, to)
    if os.stat(path).st_mode & 0o111:
        os.chmod(to, 0o775)  # noqa: S103  the team's: others have nothing by the ACL above
    with open(to, "rb") as file:
        data = file.read()
    if old in data and b"\0" not in data:
        with open(to, "wb") as file:
            file.write(data.replace(old, new))


# ── by an executable ────────────────────────────────────────────────────────────────────────────────


def _run(tool: Tool, verb: str, path: str, packages: list[str]) -> None:
    """conda, mamba and micromamba alike."""
    channels = [part for channel in tool["channels"] for part in ("--channel", channel)] if verb == "install" else []
    only = ["--override-channels"] if channels else []
    sys.stdout.flush()
    done = subprocess.run(
        [tool["executable"], verb, "--yes", "--quiet", *only, *channels, "--prefix", path, *packages],
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        name = os.path.basename(tool["executable"])
        raise Refused(f"{name} could not do it. What it said tells why.")


def _lines(text: str) -> list[str]:
    """The specs of a list or lock: comments and options aside, addresses of packages as exact specs."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [_exact(line) for line in lines if line and not line.startswith(("#", "-", "@", _PYPI))]


def _by_pip(text: str) -> list[str]:
    """What of a lock came from the Python package index."""
    return [line.removeprefix(_PYPI).strip() for line in text.splitlines() if line.startswith(_PYPI)]


def _exact(line: str) -> str:
    """The spec of exactly the package that an address names; other lines are specs already."""
    if found := _URL.fullmatch(line):
        return f"{found['name']} =={found['version']} {found['build']}"
    return line
