"""Going back: a file, or everything, as it was at a revision. What was not committed is never lost."""

from __future__ import annotations

import os
import time
from urllib.parse import unquote_to_bytes

from aen_errands import Refused, Told, git, revisions


def restore(told: Told) -> Told:
    """The files are as they were then; nothing is committed, so it can be looked at, taken back, or committed.

    Refused while what would be overwritten is not committed, unless `keep`: then it is kept as a branch first.
    """
    revision = git.revision(str(told.get("revision", "")))
    path = unquote_to_bytes(str(told.get("path", "")))
    with git.opened(told, changing=True) as here:
        full = here.text("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if not full:
            raise Refused("There is no such revision.")
        saved = _kept(here, path, keep=bool(told.get("keep")))
        _check_new(here, full, path)
        here.git("restore", f"--source={full}", "--worktree", "--", os.fsdecode(path) or ".", seconds=600)
        return {"saved": saved}


def _kept(here: git.Repository, path: bytes, *, keep: bool) -> str:
    """The branch that holds what was not committed; empty when there was nothing."""
    files = revisions._read(revisions._short(here))["files"]
    touched = [unquote_to_bytes(one["path"]) for one in files if one["state"] != "new"]
    touched = [name for name in touched if not path or name == path]
    if not touched:
        return ""
    names = ", ".join(name.decode(errors="replace") for name in touched[:5])
    if not keep:
        raise Refused(f"{names} changed since the last revision. Commit that first, or let it be kept as a branch.")
    made = here.text("stash", "create", "kept by AEN before going back")
    if not made:
        raise Refused(f"{names} can't be kept as a branch. Commit that first.")
    branch = time.strftime("aen-kept-%Y%m%d-%H%M%S", time.gmtime())
    here.git("update-ref", f"refs/heads/{branch}", made, "")
    return branch


def _check_new(here: git.Repository, revision: str, path: bytes) -> None:
    """A file that no revision holds must not be overwritten either."""
    wanted = set(here.git("ls-tree", "-r", "-z", "--name-only", revision).split(b"\0")) - {b""}
    known = set(here.git("ls-files", "-z").split(b"\0"))
    if path and path not in wanted:
        raise Refused("That revision has no such file.")
    place = os.fsencode(here.place)
    lost = [
        name for name in wanted - known if (not path or name == path) and os.path.lexists(os.path.join(place, name))
    ]
    if lost:
        names = ", ".join(name.decode(errors="replace") for name in sorted(lost)[:5])
        raise Refused(
            f"{names} would be overwritten, and no revision holds it as it is now. Commit or rename it first."
        )
