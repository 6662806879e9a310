"""Building root environments: what all back ends do alike. One builder at a time, our own code in, read-only in the end."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from aen.environments import Progress, RootEnvironment
from aen.errors import AenError, Unavailable

log = structlog.get_logger(__name__)

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


Install = Callable[[Path, Progress], Awaitable[None]]  # into the place given, or where the environment is to stand
Finish = Callable[[Path], None]  # our own code in; `read_only_tree` follows


@dataclass(frozen=True)
class Site:
    """What a back end brings to a build. `prefix` begins the names of its staging places and its lock."""

    top: Path
    prefix: str
    advice: str  # what to look at when a build fails
    install: Install
    finish: Finish


async def ensure(site: Site, made: RootEnvironment, there: Callable[[], bool], progress: Progress) -> RootEnvironment:
    """The root environment, built when `there` is false: by one builder, beside, then renamed. Raises Unavailable."""
    if there():
        return made
    make_top(site.top)
    async with alone(site.top / f".lock-{site.prefix}{made.name}"):
        if not there():  # nobody built it while we waited
            await _build(site, made, progress)
    return made


async def _build(site: Site, made: RootEnvironment, progress: Progress) -> None:
    title = "the default environment" if made.name == "root" else "the environment of the apps"
    log.info("building a root environment", name=made.name, path=str(made.path))
    sweep(site, made)
    staging = made.path.with_name(f".building-{site.prefix}{made.name}-{secrets.token_hex(4)}")

    def note(text: str, part: float) -> None:
        progress(f"Building {title} (once): {text}", part)

    try:
        note("preparing", 0.02)
        await site.install(staging, note)
        place = staging if staging.exists() else made.path  # an executable builds where it is to stand
        await asyncio.to_thread(site.finish, place)
        await asyncio.to_thread(read_only_tree, place)
        if place is staging:
            os.rename(staging, made.path)
    except AenError as error:
        why = error.message.rstrip(".")
        raise Unavailable(
            f"{title[0].upper()}{title[1:]} could not be built: {why}. AEN tries again every minute{site.advice}."
        ) from error
    except OSError as error:
        raise Unavailable(
            f"{title[0].upper()}{title[1:]} could not be built in {site.top} (envs_dir): {_why(error)}."
        ) from error
    finally:
        if staging.exists():
            await asyncio.to_thread(remove, staging)
    note("done", 1.0)
    log.info("built a root environment", name=made.name, path=str(made.path))


def _why(error: OSError) -> str:
    """What went wrong, in words. A copy of a whole folder (shutil.Error) tells of each file, in a list: the first says enough."""
    if error.strerror or not error.args or not isinstance(error.args[0], list):
        return error.strerror or str(error) or type(error).__name__
    failed = error.args[0]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{failed[0][-1]}{more}" if failed else type(error).__name__


def sweep(site: Site, made: RootEnvironment) -> None:
    """Remove what a build that was cut short left behind. The lock is held: nobody else builds."""
    for left in [*site.top.glob(f".building-{site.prefix}{made.name}-*"), made.path]:
        remove(left)


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
    for programs in ("tools", "front"):
        remove(staging / programs)
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


def offer_tools(environment: Path) -> None:
    """Programs for everybody's PATH, in folders by themselves: the app servers' own are not for that.

    `tools` comes last there (uv), `front` before the machine's own: our git, which runs theirs.
    """
    for folder in ("tools", "front"):
        (environment / folder).mkdir()
    (environment / "tools" / "uv").symlink_to("../bin/uv")
    for ours in environment.glob("lib/python3.*/site-packages/aen_jupyter/git.sh"):
        shutil.copyfile(ours, environment / "front" / "git")
        (environment / "front" / "git").chmod(0o755)


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
