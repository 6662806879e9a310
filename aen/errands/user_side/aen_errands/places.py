"""Places: files and folders of a project, opened step by step so that no link leads out of it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from urllib.parse import quote_from_bytes, unquote_to_bytes

from aen_errands import Refused

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def wire(path: bytes) -> str:
    """A path as it travels: percent-encoded, whatever bytes it holds."""
    return quote_from_bytes(path, safe="/")


def parts_of(path: str) -> list[bytes]:
    """The parts of a percent-encoded path below the project. Refused: `..`, empty parts, hidden ones."""
    raw = unquote_to_bytes(path).strip(b"/")
    if not raw:
        return []
    parts = raw.split(b"/")
    if b"\0" in raw or any(not part or part.startswith(b".") for part in parts):
        raise Refused(f"{path[:200]!r} is no path that can be used here: no '..', and no hidden files.")
    return parts


def folder(project: str, path: str) -> str:
    """A folder of the project. Refused when it is none, or a link."""
    fd = os.open(project, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    parts = parts_of(path)
    try:
        for part in parts:
            try:
                inner = os.open(part, _FOLDER, dir_fd=fd)
            except OSError:
                raise Refused(f"There is no folder {path[:200]} in this project (links are not followed).") from None
            os.close(fd)
            fd = inner
    finally:
        os.close(fd)
    return os.fsdecode(b"/".join([os.fsencode(project), *parts]))


def read(project: str, path: str, most: int) -> bytes:
    """A file of the project. Refused: none, a link, larger than `most` bytes."""
    parts = parts_of(path)
    if not parts:
        raise Refused("Say which file.")
    above = os.open(folder(project, wire(b"/".join(parts[:-1]))), _FOLDER)
    try:
        fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=above)
    except OSError:
        raise Refused(f"There is no file {path[:200]} in this project that can be read.") from None
    finally:
        os.close(above)
    return _whole(fd, path, most)


def _whole(fd: int, path: str, most: int) -> bytes:
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{path[:200]} is no file.")
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused(f"{path[:200]} is too large for this: {most >> 20} MB are the most.")
    return data


def put(folder_path: str, name: str, data: bytes, age: int = 0) -> None:
    """Write a file whole or not at all, and never through a link that stands there; `age`: its time, in ns."""
    beside = os.path.join(folder_path, f".aen-{os.getpid()}-{name}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with open(fd, "wb") as file:
            file.write(data)
        if age:
            os.utime(beside, ns=(age, age))
        os.replace(beside, os.path.join(folder_path, name))
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
