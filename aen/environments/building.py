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
