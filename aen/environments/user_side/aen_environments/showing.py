"""Showing environments: read from their files alone. Nothing of theirs is executed: anybody in the team wrote it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from aen_environments import Refused, Told, by_uv, history
from aen_environments.folder import Folder

_MOST_PACKAGES = 1500
_DIST = re.compile(r"(?P<name>[A-Za-z0-9][\w.]*)-(?P<version>[^-/]+)\.dist-info")
_LARGEST = 1 << 20  # bytes of a file that is read here


def everything(told: Told) -> Told:
    """All environments of the project, with sizes: every inode counted once."""
    folder = Folder(told["project"])
    sizes = Sizes()
    found = [_described(os.path.join(folder.path, name), sizes) for name in folder.names()]
    return {"environments": found, "bytes": sizes.total}


def one(told: Told) -> Told:
    """One environment: packages, history; with `number`, how that moment differs from now."""
    folder = Folder(told["project"])
    path = folder.at(told["name"])
    lock = lock_of(path)
    found = {
        "environment": _described(path, Sizes()),
        "packages": [list(package) for package in packages(path)][:_MOST_PACKAGES],
        "lock": lock,
        "yml": _environment_yml(told["name"], path, lock, told["tool"].get("channels", [])),
        "history": history.entries(folder.path, told["name"]),
    }
    if told.get("number"):
        then = history.lock(folder.path, told["name"], int(told["number"]))
        found["differences"] = history.differences(lock, then)
    return found


def hashes(told: Told) -> Told:
    """The lock of an environment with the hashes of its packages, which the index tells."""
    path = Folder(told["project"]).at(told["name"])
    if is_conda(path):
        raise Refused("Locks with hashes are for environments made by uv; this one was made by conda.")
    return {"text": by_uv.hashed(told["tool"], lock_of(path))}


# ── what is read ────────────────────────────────────────────────────────────────────────────────────


class Sizes:
    """Bytes on the disk. `total` counts every inode of the project once."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: set[tuple[int, int]] = set()

    def of(self, path: str) -> tuple[int, int]:
        """What an environment takes (each inode once), and how much of it is shared with what lies elsewhere."""
        inside: dict[
            tuple[int, int], list[int]
        ] = {}  # of files with several links: bytes, links there are, links found
        own = 0
        for status in _walk(path):
            size = status.st_blocks * 512
            if status.st_nlink == 1 or (status.st_mode & 0o170000) == 0o040000:
                own += size
                continue
            inside.setdefault((status.st_dev, status.st_ino), [size, status.st_nlink, 0])[2] += 1
        shared = sum(size for size, links, found in inside.values() if found < links)
        linked = sum(size for size, _, _ in inside.values())
        self.total += own + sum(inside[key][0] for key in inside.keys() - self._seen)
        self._seen |= inside.keys()
        return own + linked, shared


def _walk(path: str) -> Iterator[os.stat_result]:
    waiting = [path]
    yield os.lstat(path)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for one in found:
                    try:
                        yield one.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if one.is_dir(follow_symlinks=False):
                        waiting.append(one.path)
        except OSError:  # removed meanwhile, or closed to us
            continue


def _described(path: str, sizes: Sizes) -> dict[str, Any]:
    size, shared = sizes.of(path)
    version = python_version(path)
    return {
        "name": os.path.basename(path),
        "kind": "conda" if is_conda(path) else "venv",
        "python": version,
        "packages": len(packages(path)),
        "bytes": size,
        "shared": shared,
        "kernel": _has_kernel(path),
        "changed": int(max((os.stat(place).st_mtime for place in _site_packages(path)), default=0) * 1000),
    }


def is_conda(path: str) -> bool:
    """Whether conda made it."""
    return os.path.isdir(os.path.join(path, "conda-meta"))


def python_version(path: str) -> str:
    """As `3.11.2`, or as much as its files tell; empty without Python."""
    for record in conda_records(path):
        if record["name"] == "python":
            return str(record["version"])
    for line in _text(os.path.join(path, "pyvenv.cfg")).splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("version_info", "version"):
            return value.strip()
    places = _site_packages(path)
    return places[0].split(os.sep)[-2].removeprefix("python") if places else ""


def packages(path: str) -> list[tuple[str, str, str]]:
    """Name, version and build (conda) of every package, by name."""
    if is_conda(path):
        found = {one["name"]: (str(one["name"]), str(one["version"]), str(one["build"])) for one in conda_records(path)}
    else:
        found = {}
    for place in _site_packages(path):
        for name in _list(place):
            if match := _DIST.fullmatch(name):
                plain = match["name"].replace("_", "-").lower()
                found.setdefault(plain, (plain, match["version"], ""))
    return sorted(found.values())


def lock_of(path: str) -> list[str]:
    """What is installed now, as lines from which it can be made again."""
    if is_conda(path):
        records = conda_records(path)
        by_conda = {record["name"] for record in records}
        pypi = [f"pypi: {name}=={version}" for name, version, _ in packages(path) if name not in by_conda]
        return sorted(str(record["url"]) for record in records) + pypi
    return [_line(path, name, version) for name, version, _ in packages(path)]


def conda_records(path: str) -> list[dict[str, Any]]:
    """The records in `conda-meta`."""
    folder = os.path.join(path, "conda-meta")
    found = []
    for name in _list(folder):
        if not name.endswith(".json"):
            continue
        try:
            record = json.loads(_text(os.path.join(folder, name), 64 << 20))
            found.append({key: record[key] for key in ("name", "version", "build", "url")})
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _line(path: str, name: str, version: str) -> str:
    """`name==version`, or where it was installed from."""
    for place in _site_packages(path):
        folder = os.path.join(place, f"{name.replace('-', '_')}-{version}.dist-info")
        if said := _text(os.path.join(folder, "direct_url.json")):
            return _from(name, said)
    return f"{name}=={version}"


def _from(name: str, said: str) -> str:
    try:
        told = json.loads(said)
        url, vcs = str(told["url"]), told.get("vcs_info", {})
        editable = bool(told.get("dir_info", {}).get("editable"))
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"# {name} was installed from a place that can't be read"
    if editable:
        return f"-e {url.removeprefix('file://')}"
    if vcs:
        return f"{name} @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}"
    return f"{name} @ {url}"


def _environment_yml(name: str, path: str, lock: list[str], channels: list[str]) -> str:
    found = packages(path)
    minor = ".".join(python_version(path).split(".")[:2])
    if is_conda(path):
        conda = [f"  - {package}={version}={build}" for package, version, build in found if build]
        pypi = [line.removeprefix("pypi: ") for line in lock if line.startswith("pypi: ")]
    else:
        conda, pypi = [f"  - python={minor}"], lock
    lines = [f"name: {name}", "channels:", *(f"  - {channel}" for channel in channels or ["conda-forge"])]
    lines += ["dependencies:", *conda]
    if pypi:
        lines += [*([] if any(one[0] == "pip" and one[2] for one in found) else ["  - pip"]), "  - pip:"]
        lines += [f"      - {line}" for line in pypi if not line.startswith("#")]
    return "\n".join(lines) + "\n"


def _has_kernel(path: str) -> bool:
    return any(os.path.isfile(os.path.join(place, "ipykernel_launcher.py")) for place in _site_packages(path))


def _site_packages(path: str) -> list[str]:
    lib = os.path.join(path, "lib")
    places = (os.path.join(lib, name, "site-packages") for name in _list(lib) if name.startswith("python3."))
    return sorted(place for place in places if os.path.isdir(place))


def _list(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _text(path: str, most: int = _LARGEST) -> str:
    """A file's text; empty when there is none, or nothing that can be read without waiting."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, errors="replace") as file:
            return file.read(most)
    except (OSError, ValueError):
        return ""
