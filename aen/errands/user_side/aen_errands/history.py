"""History: revisions with their authors, and what differs, as people can read it."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from aen_errands import Refused, Told, git, notebooks, places

_PAGE = 50
_MOST_ROWS = 4000  # of one answer
_MOST_CHARACTERS = 250_000  # of it: half of what the bus carries, as everything may count twice
_LARGEST_NOTEBOOK = 16 << 20
_MOST_FILES = 200
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)")
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all", "--no-renames")


def history(told: Told) -> Told:
    """Revisions of the branch, newest first, 50 from `skip` on; of one file with `path`."""
    skip = max(0, min(int(told.get("skip", 0)), 1_000_000))
    path = _path(told)
    with git.opened(told) as here:
        if not here.text("rev-parse", "--verify", "--quiet", "HEAD"):
            return {"revisions": [], "next": 0}
        form = "--format=%H%x00%h%x00%an%x00%ae%x00%at%x00%s%x00%b%x1e"
        answer = here.git("log", "-z", form, f"--skip={skip}", f"--max-count={_PAGE + 1}", "HEAD", "--", *path)
    found = [_revision(entry.lstrip("\0\n")) for entry in answer.decode(errors="replace").split("\x1e")]
    listed = [one for one in found if one]
    return {"revisions": listed[:_PAGE], "next": skip + _PAGE if len(listed) > _PAGE else 0}


def _revision(entry: str) -> dict[str, Any] | None:
    fields = entry.split("\0")
    if len(fields) < 7:
        return None
    id, short, name, email, at, subject, body = fields[:7]
    told = {"id": id, "short": short, "name": name[:200], "email": email[:200], "subject": subject[:500]}
    return {**told, "at": int(at) * 1000 if at.isdigit() else 0, "body": body.strip()[:4000]}


def show(told: Told) -> Told:
    """One revision against the one before it: its files, and what changed in `path` or in all of them."""
    revision = git.revision(str(told.get("revision", "")))
    with git.opened(told) as here:
        full = here.text("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if not full:
            raise Refused("There is no such revision.")
        before = here.text("rev-parse", "--verify", "--quiet", f"{full}^1")
        empty = here.text("hash-object", "-t", "tree", "/dev/null")
        entry = here.git("log", "-1", "--format=%H%x00%h%x00%an%x00%ae%x00%at%x00%s%x00%b", full)
        answer = {"revision": _revision(entry.decode(errors="replace").strip("\n"))}
        return answer | _differences(here, [before or empty, full], _path(told))


def compare(told: Told) -> Told:
    """What is in the files now, against the last revision (or `revision`, or two of them)."""
    names = [git.revision(str(told[key])) for key in ("revision", "other") if told.get(key)]
    with git.opened(told) as here:
        if not here.text("rev-parse", "--verify", "--quiet", "HEAD"):
            raise Refused("There is no revision yet to compare with.")
        return _differences(here, names or ["HEAD"], _path(told))


def _path(told: Told) -> list[str]:
    raw = unquote_to_bytes(str(told.get("path", "")))
    return [raw.decode(errors="surrogateescape")] if raw else []


def _differences(here: git.Repository, sides: list[str], path: list[str]) -> Told:
    """Files with rows of text, or cells of a notebook; cut where it gets too long for a page."""
    listed = here.git("diff", "--raw", "--abbrev=64", "-z", *_PLAIN, *sides, "--", *path).split(b"\0")
    pairs = [(listed[at], listed[at + 1]) for at in range(0, len(listed) - 1, 2)]
    rows, characters, files = _MOST_ROWS, _MOST_CHARACTERS, []
    for head, name in pairs[:_MOST_FILES]:
        told: Told = {"path": places.wire(name[:1000]), "state": _STATES.get(head.decode()[-1], "changed")}
        more: Told = _one(here, sides, head, name, rows) if rows > 0 and characters > 0 else {"note": _TOO_MUCH}
        if (size := len(json.dumps(more))) > characters:
            more, size = {"note": _TOO_MUCH if len(pairs) > 1 else _TOO_LONG}, 100
        characters -= size
        rows -= len(more.get("rows", [])) + sum(len(cell["rows"]) for cell in more.get("cells", []))
        files.append(told | more)
    return {"files": files, "more": len(pairs) > _MOST_FILES}


_TOO_MUCH = "Not shown: there is too much on this page. Choose this file alone."
_TOO_LONG = "This differs by too much to be shown here."
_STATES = {"A": "new", "D": "removed", "M": "changed", "T": "changed", "U": "conflict"}


def _one(here: git.Repository, sides: list[str], head: bytes, name: bytes, left: int) -> Told:
    fields = head.decode().split()
    if "160000" in (fields[0].lstrip(":"), fields[1]):
        return {"note": "A repository of its own (a submodule): it is not looked into."}
    if name.endswith(b".ipynb"):
        told = _notebook(here, sides, fields, name, left)
        if told is not None:
            return told
    literal = name.decode(errors="surrogateescape")
    try:
        text = here.git("diff", "-U3", *_PLAIN, *sides, "--", literal, most=2 << 20).decode(errors="replace")
    except git.Failed:
        raise
    except Refused:
        return {"note": _TOO_LONG}
    if "\nBinary files " in text or text.startswith("Binary files "):
        return {"note": "Not a text: it is not shown."}
    rows = _rows(text, left)
    return {"rows": rows, **({"note": "Cut: there is more."} if len(rows) >= left else {})}


def _notebook(here: git.Repository, sides: list[str], fields: list[str], name: bytes, left: int) -> Told | None:
    """By cells; None when one of the two is no notebook."""
    try:
        old = _blob(here, fields[2])
        new = _blob(here, fields[3])
        if new is None and fields[1] != "000000":  # not in git yet: from the folder
            folder = str(here.told.get("folder", "")).strip("/")
            new = places.read(here.told["project"], f"{folder}/{places.wire(name)}", _LARGEST_NOTEBOOK)
        return {"cells": notebooks.differences(old, new, left)}
    except (ValueError, Refused):
        return None


def _blob(here: git.Repository, id: str) -> bytes | None:
    if not id.strip("0"):
        return None
    return here.git("cat-file", "blob", id, most=_LARGEST_NOTEBOOK)


def _rows(text: str, most: int) -> list[list[Any]]:
    """Lines of a unified diff as [kind, old number, old, new number, new]; changed lines side by side."""
    rows: list[list[Any]] = []
    gone: list[list[Any]] = []
    old = new = 0
    inside = False
    for line in text.split("\n"):
        if match := _HUNK.match(line):
            old, new, gone, inside = int(match[1]), int(match[2]), [], True
            rows.append(["hunk", 0, "", 0, match[3].strip()[:200]])
        elif inside and line[:1] == "-":
            row = ["-", old, line[1:2001], 0, ""]
            rows.append(row)
            gone.append(row)
            old += 1
        elif inside and line[:1] == "+":
            if gone:
                row = gone.pop(0)
                row[0], row[3], row[4] = "~", new, line[1:2001]
            else:
                rows.append(["+", 0, "", new, line[1:2001]])
            new += 1
        elif inside and line[:1] == " ":
            rows.append([" ", old, line[1:2001], new, line[1:2001]])
            old, new, gone = old + 1, new + 1, []
        if len(rows) >= most:
            break
    return rows
