"""Revisions: what differs from the last one, and making one."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from aen_errands import Refused, Told, git, places

_MOST_FILES = 2000
_MOST_CHARACTERS = 200_000  # of their names
_SKIPPED = {"envs", ".git", ".aen", "node_modules", "__pycache__"}
_TRACK = re.compile(r"\+(\d+) -(\d+)")


def status(told: Told) -> Told:
    """Branch, what the remote has more or less, changed files. `repository` False: there is none in this folder."""
    found = repositories(told["project"])
    place = places.folder(told["project"], str(told.get("folder", "")))
    if not git.is_repository(place):
        return {"repository": False, "repositories": found}
    with git.opened(told) as here:
        answer = here.git(
            "status",
            "--porcelain=v2",
            "-z",
            "--branch",
            "--untracked-files=all",
            "--ignore-submodules=all",
            "--no-renames",
        )
        remote = next((value for name, value in here.settings if name == "remote.origin.url"), "")
        return {"repository": True, "repositories": found, "remote": remote, **_read(answer)}


def repositories(project: str) -> list[str]:
    """Folders of the project that are repositories: two levels deep."""
    found = []
    for top, names, _ in os.walk(project):
        below = os.path.relpath(top, project)
        if git.is_repository(top):
            found.append("" if below == "." else places.wire(os.fsencode(below)))
        deep = below != "." and below.count(os.sep) >= 1
        names[:] = [] if deep else sorted(name for name in names if name not in _SKIPPED and name[:1] != ".")[:500]
        if len(found) >= 50:
            break
    return found


def _read(answer: bytes) -> Told:
    told: Told = {"branch": "", "head": "", "ahead": -1, "behind": -1, "files": [], "more": False}
    for entry in answer.split(b"\0"):
        if entry.startswith(b"# branch.oid "):
            oid = entry[13:].decode()
            told["head"] = "" if oid == "(initial)" else oid
        elif entry.startswith(b"# branch.head "):
            told["branch"] = entry[14:].decode(errors="replace")
        elif entry.startswith(b"# branch.ab ") and (match := _TRACK.search(entry.decode())):
            told["ahead"], told["behind"] = int(match[1]), int(match[2])
        elif entry[:2] in (b"1 ", b"u ", b"? "):
            told["files"].append(_file(entry))
    listed = sorted(told["files"], key=lambda one: str(one["path"]))[:_MOST_FILES]
    room = _MOST_CHARACTERS
    told["files"] = [one for one in listed if (room := room - len(one["path"])) > 0]
    told["more"] = len(told["files"]) < len(listed) or len(listed) == _MOST_FILES
    return told


def _file(entry: bytes) -> dict[str, Any]:
    if entry.startswith(b"? "):
        return {"path": places.wire(entry[2:]), "state": "new"}
    fields = entry.split(b" ", 8 if entry.startswith(b"1 ") else 10)
    kinds = fields[1].decode()
    if entry.startswith(b"u "):
        state = "conflict"
    elif "D" in kinds:
        state = "removed"
    else:
        state = "new" if kinds[0] == "A" else "changed"
    return {"path": places.wire(fields[-1]), "state": state}


def begin(told: Told) -> Told:
    """Make a repository of a folder."""
    place = places.folder(told["project"], str(told.get("folder", "")))
    make(place)
    return status(told)


def make(place: str) -> None:
    """The bare bones that git needs, without any hooks. Refused when there is one."""
    if os.path.lexists(os.path.join(place, ".git")):
        raise Refused("There is a repository in this folder already.")
    inner = os.path.join(place, ".git")
    for name in ("", "objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags", "info"):
        os.mkdir(os.path.join(inner, name))
    places.put(inner, "config", b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n")
    places.put(os.path.join(inner, "info"), "exclude", b"/envs/\n.aen*\n.ipynb_checkpoints/\n__pycache__/\n")
    places.put(inner, "HEAD", b"ref: refs/heads/main\n")


def commit(told: Told) -> Told:
    """The chosen files as they are now become a revision by this person. Refused: nothing chosen, no message."""
    message = str(told.get("message", "")).strip()
    chosen = [unquote_to_bytes(str(path)) for path in told.get("files", [])]
    if not message:
        raise Refused("Say in a few words what changed.")
    if not chosen:
        raise Refused("Choose at least one file.")
    with git.opened(told, changing=True) as here:
        changed = {str(one["path"]): one["state"] for one in _read(_short(here))["files"]}
        for path in chosen:
            _check(here, path, changed)
        feed = b"".join(path + b"\0" for path in chosen)
        if here.text("rev-parse", "--verify", "--quiet", "HEAD"):
            here.git("reset", "--quiet", "--mixed", "HEAD")  # what was staged in a terminal, and not chosen here, waits
        here.git("add", "--all", "--force", "--pathspec-from-file=-", "--pathspec-file-nul", feed=feed)
        here.git(
            "commit", "--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=strip", "--file=-", feed=message.encode()
        )
        return {"revision": here.text("rev-parse", "HEAD")}


def _short(here: git.Repository) -> bytes:
    return here.git(
        "status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignore-submodules=all", "--no-renames"
    )


def _check(here: git.Repository, path: bytes, changed: dict[str, Any]) -> None:
    name = path.decode(errors="replace")[:200]
    if places.wire(path) not in changed:
        raise Refused(f"{name} has not changed (any more): load the page again.")
    if path.endswith(b"/") or b"/.git/" in b"/" + path + b"/":
        raise Refused(f"{name} is a repository of its own: it can't be a part of this one.")
