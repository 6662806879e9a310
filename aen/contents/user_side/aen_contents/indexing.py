"""Indexing: names of files, and text of notebooks and text files, in bounded batches. Looks only; executes nothing."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from aen_contents import Told
from aen_contents.readers import EXECUTE, READ, Readers, people

_SKIPPED = frozenset({"envs", "node_modules", "__pycache__", "site-packages"})
_LARGEST = 8 << 20  # bytes of a file that is opened
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_IMPORT = re.compile(r"^\s*(?:from\s+([A-Za-z_]\w*)|import\s+([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*))", re.M)
_DEEPEST = 40
_MOST_LIBRARIES = 100


def index(told: Told) -> Told:
    """One batch, after the path `after`: what changed since `since` with its text, the rest by name alone."""
    found: list[dict[str, Any]] = []
    room = int(told["batch_bytes"])
    team = people(told["accounts"])
    root = told["project"]
    readers = Readers(team)
    for path, status, may in _files(root, tuple(told["after"].split("/")) if told["after"] else (), readers):
        if len(found) >= told["most_files"] or room <= 0:
            return {"files": found, "next": found[-1]["path"]}
        one = _described(root, path, status, may, told)
        found.append(one)
        room -= 200 + len(one["path"].encode()) + len((one["text"] or "").encode()) + sum(map(len, one["readers"]))
    return {"files": found, "next": ""}


def _described(root: str, path: str, status: os.stat_result, may: frozenset[str], told: Told) -> dict[str, Any]:
    changed = int(max(status.st_mtime, status.st_ctime) * 1000)
    one: dict[str, Any] = {
        "path": path,
        "kind": "file",
        "size": status.st_size,
        "changed": int(status.st_mtime * 1000) if status.st_mtime > 0 else 0,
        "readers": sorted(may),
        "libraries": [],
        "text": None,
    }
    if changed >= int(told["since"]):
        text = _text(os.path.join(root, path), status)
        if text is not None:
            one["kind"] = "notebook" if path.endswith(".ipynb") else "text"
            one["libraries"] = _libraries(path, text)
        one["text"] = (text or "").encode()[: int(told["most_bytes"])].decode(errors="ignore")
    return one


def _files(root: str, after: tuple[str, ...], readers: Readers) -> Iterator[tuple[str, os.stat_result, frozenset[str]]]:
    """Regular files in the order of their paths' parts, with who may read each; hidden ones and environments are left out."""
    try:
        entering = readers.of(root, os.stat(root), EXECUTE)
    except OSError:
        return
    waiting: list[tuple[tuple[str, ...], frozenset[str]]] = [((), entering)]
    while waiting:
        parts, may = waiting.pop()
        path = os.path.join(root, *parts)
        try:
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                yield "/".join(parts), status, may & readers.of(path, status, READ)
                continue
            may = may & readers.of(path, status, EXECUTE) if parts else may
            names = sorted(os.listdir(path), reverse=True)
        except OSError:  # gone meanwhile, or closed to the owner
            continue
        for name in names:
            below = (*parts, name)
            if _wanted(path, below) and (not after or below > after or after[: len(below)] == below != after):
                waiting.append((below, may))


def _wanted(folder: str, parts: tuple[str, ...]) -> bool:
    name = parts[-1]
    if name.startswith(".") or name in _SKIPPED or len(parts) > _DEEPEST or not name.isprintable():
        return False
    try:
        name.encode()
        mode = os.lstat(os.path.join(folder, name)).st_mode
    except (OSError, UnicodeEncodeError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _text(path: str, status: os.stat_result) -> str | None:
    """What can be searched for in a file; None when it is too big, empty or not text."""
    if not 0 < status.st_size <= _LARGEST:
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            notebook = path.endswith(".ipynb")
            raw = file.read(_LARGEST if notebook else 256 << 10)
    except OSError:
        return None
    if _NOT_TEXT.search(raw[:4096]):
        return None
    text = raw.decode(errors="replace")
    return _of_notebook(text) if notebook else text


def _of_notebook(text: str) -> str | None:
    """The sources of its cells: outputs are results, and may be anything."""
    try:
        cells = json.loads(text)["cells"]
        sources = [cell.get("source", "") for cell in cells]
        return "\n".join("".join(one) if isinstance(one, list) else str(one) for one in sources)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _libraries(path: str, text: str) -> list[str]:
    if not path.endswith((".py", ".ipynb")):
        return []
    found: set[str] = set()
    for one, several in _IMPORT.findall(text):
        found.update(name.strip() for name in (one or several).split(","))
    return sorted(found)[:_MOST_LIBRARIES]
