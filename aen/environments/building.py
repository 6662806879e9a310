"""Building root environments: what all back ends do alike. One builder at a time, our own code in, read-only in the end."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aen.errors import Unavailable

ROOTS = ("root", "apps")
_BASE = ".aen-base"  # what an environment was installed from, our own packages aside


@asynccontextmanager
async def alone(lock: Path) -> AsyncIterator[None]:
    """One builder at a time on this machine; given back by the kernel when a builder dies."""
    with open(lock, "a") as file:  # noqa: ASYNC230  an empty local file
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)  # flock has nothing to wait on without a thread of its own
        yield


def make_top(path: Path) -> None:
    """The folder of root environments, which we can write to. Raises Unavailable."""
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


def digest_of(additions: Sequence[Path]) -> bytes:
    """Changes whenever a file of our own packages changes."""
    digest = hashlib.sha256()
    for package in additions:
        for file in sorted(package.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    return digest.digest()


def reuse(top: Path, name: str, base: str, additions: Sequence[Path], staging: Path) -> bool:
    """Take over an environment that was installed from the same `base`, when only our own packages changed since.

    By hard links: both are read-only for good. False: there is none, or it can't be linked; then it is installed.
    """
    found = next((one for one in sorted(top.glob(f"{name}-*")) if _base_of(one) == base), None)
    if not additions or found is None:
        return False
    try:
        shutil.copytree(found, staging, symlinks=True, copy_function=os.link)
    except (OSError, shutil.Error):
        remove(staging)
        return False
    site = next((staging / "lib").glob("python3.*/site-packages"))
    for ours in (staging / _BASE).read_text().split()[1:]:
        remove(site / ours)
    remove(staging / "tools")
    (staging / _BASE).unlink()
    return True


def note_base(environment: Path, base: str, additions: Sequence[Path]) -> None:
    """Keep what an environment was installed from, and the names of our own packages in it."""
    (environment / _BASE).write_text("\n".join([base, *(path.name for path in additions)]) + "\n")


def _base_of(environment: Path) -> str:
    try:
        return (environment / _BASE).read_text().split("\n", 1)[0]
    except OSError:
        return ""


def add(environment: Path, python: Path, additions: Sequence[Path]) -> None:
    """Copy our own packages into its site-packages, compiled: users can't write the result there later."""
    if not additions:
        return
    site = next((environment / "lib").glob("python3.*/site-packages"))
    for package in additions:
        shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        compile_ours = [str(python), "-I", "-m", "compileall", "-q", str(site / package.name)]
        subprocess.run(compile_ours, check=False, timeout=60)


def offer_uv(environment: Path) -> None:
    """uv by itself in a folder that may stand on everybody's PATH: the app servers' own programs are not for that."""
    (environment / "tools").mkdir()
    (environment / "tools" / "uv").symlink_to("../bin/uv")


def read_only_tree(environment: Path) -> None:
    """Nobody writes to it any more, and everybody reads it: a clone may hard-link these files."""
    for folder, _, files in os.walk(environment):
        os.chmod(folder, 0o755)  # noqa: S103  everybody runs it
        for file in files:
            _read_only(os.path.join(folder, file))


def remove(path: Path) -> None:
    """Remove a folder with all in it. Fine when it is gone."""
    shutil.rmtree(path, ignore_errors=True)


def _read_only(path: str) -> None:
    mode = os.lstat(path).st_mode
    if stat.S_ISREG(mode):
        os.chmod(path, 0o555 if mode & stat.S_IXUSR else 0o444)
