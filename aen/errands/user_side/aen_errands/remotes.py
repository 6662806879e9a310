"""Remotes: clone, fetch, pull (never a merge), push, with the person's key."""

from __future__ import annotations

import os
import shutil

from aen_errands import Refused, Told, git, places, revisions

_TRACKING = "+refs/heads/*:refs/remotes/origin/*"


def remote(told: Told) -> Told:
    """Say where `origin` is."""
    address = git.url(str(told.get("url", "")))
    with git.opened(told, changing=True) as here:
        _tell(here, address)
    return {}


def _tell(here: git.Repository, address: str, branch: str = "") -> None:
    """Write it into the repository's own settings, beside and renamed: what stands there is not followed."""
    config = os.path.join(here.private, "theirs")
    wanted = [("remote.origin.url", address), ("remote.origin.fetch", _TRACKING)]
    if branch:
        wanted += [(f"branch.{branch}.remote", "origin"), (f"branch.{branch}.merge", f"refs/heads/{branch}")]
    for name, value in wanted:
        here.git("config", "--file", config, "--replace-all", name, value)
    with open(config, "rb") as file:
        places.put(os.path.join(here.place, ".git"), "config", file.read())
    here.settings = [one for one in here.settings if one[0] not in dict(wanted)] + wanted
    here.configure()


def clone(told: Told) -> Told:
    """Into a new folder, or an existing one, whose files are never overwritten."""
    address, folder = git.url(str(told.get("url", ""))), str(told.get("folder", ""))
    place, made = _place(told["project"], folder)
    if os.path.lexists(os.path.join(place, ".git")):
        raise Refused("There is a repository in this folder already.")
    done = False
    try:
        revisions.make(place)
        with git.opened(told, changing=True) as here:
            _tell(here, address)
            print(f"Cloning {address}", flush=True)
            here.talk("fetch", "--progress", "--no-recurse-submodules", "--tags", "origin")
            branch = _default(here)
            if branch:
                _check_free(here, branch)
                here.git(
                    "checkout", "--quiet", "-B", branch, f"refs/remotes/origin/{branch}", "--no-track", seconds=1500
                )
                _tell(here, address, branch)
        done = True
    finally:
        if not done:
            shutil.rmtree(place if made else os.path.join(place, ".git"), ignore_errors=True)
    return {"branch": branch}


def _place(project: str, folder: str) -> tuple[str, bool]:
    """Where it goes, and whether that was made for it."""
    parts = places.parts_of(folder)
    if not parts:
        return places.folder(project, ""), False
    above = places.folder(project, places.wire(b"/".join(parts[:-1])))
    place = os.path.join(above, os.fsdecode(parts[-1]))
    try:
        os.mkdir(place)
    except FileExistsError:
        return places.folder(project, folder), False
    return place, True


def _default(here: git.Repository) -> str:
    """The branch that the other side works on; empty when there is none."""
    said = here.git("ls-remote", "--symref", "origin", "HEAD", seconds=120).decode(errors="replace")
    for line in said.splitlines():
        if line.startswith("ref: refs/heads/"):
            return line.split()[1].removeprefix("refs/heads/")
    names = here.text("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin").split()
    return next((name for name in ("main", "master", *names) if name in names), "")


def _check_free(here: git.Repository, branch: str) -> None:
    """Files that stand there already are not overwritten."""
    listed = here.git("ls-tree", "-r", "-z", "--name-only", f"refs/remotes/origin/{branch}").split(b"\0")
    place = os.fsencode(here.place)
    taken = [name for name in listed if name and os.path.lexists(os.path.join(place, name))]
    if taken:
        names = ", ".join(name.decode(errors="replace") for name in taken[:5])
        raise Refused(f"These files are there already, and are not overwritten: {names}. Clone into a new folder.")


def fetch(told: Told) -> Told:
    """What is new at the other side; no file changes."""
    with git.opened(told, changing=True) as here:
        _has_origin(here)
        here.talk("fetch", "--progress", "--no-recurse-submodules", "origin")
    return {}


def pull(told: Told) -> Told:
    """Go forward to what the other side has. Refused when both sides have something new, or a changed file is in the way."""
    with git.opened(told, changing=True) as here:
        branch = _has_origin(here)
        here.talk("fetch", "--progress", "--no-recurse-submodules", "origin")
        theirs = f"refs/remotes/origin/{branch}"
        if not here.text("rev-parse", "--verify", "--quiet", theirs):
            raise Refused(f"The other side has no branch {branch}.")
        if here.text("rev-parse", "--verify", "--quiet", "HEAD") and not _is_ancestor(here, "HEAD", theirs):
            if _is_ancestor(here, theirs, "HEAD"):
                print("Nothing new at the other side.", flush=True)
                return {}
            raise Refused(
                "Both sides have revisions that the other has not. AEN does not merge: do it in a terminal (git merge)."
            )
        here.git("merge", "--ff-only", "--quiet", "--no-verify", theirs, seconds=1500)
    return {}


def push(told: Told) -> Told:
    """Bring our revisions to the other side. Never by force."""
    with git.opened(told) as here:
        branch = _has_origin(here)
        if not here.text("rev-parse", "--verify", "--quiet", "HEAD"):
            raise Refused("There is no revision yet: commit first.")
        here.talk("push", "--progress", "--no-verify", "--recurse-submodules=no", "origin", f"refs/heads/{branch}")
        here.git("update-ref", f"refs/remotes/origin/{branch}", "HEAD")
    with git.opened(told, changing=True) as here:
        _tell(here, dict(here.settings)["remote.origin.url"], branch)
    return {}


def _is_ancestor(here: git.Repository, one: str, other: str) -> bool:
    try:
        here.git("merge-base", "--is-ancestor", one, other)
    except git.Failed:
        return False
    return True


def _has_origin(here: git.Repository) -> str:
    """The branch we are on. Refused: there is no remote, or we are on none."""
    if "remote.origin.url" not in dict(here.settings):
        raise Refused("No remote is told: write its address first.")
    branch = here.text("symbolic-ref", "--short", "HEAD")
    if not branch:
        raise Refused("The repository stands on a single revision, on no branch: check out a branch in a terminal.")
    return branch
