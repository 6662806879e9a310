"""Packing: a project as one archive (tar, gzip): what AEN knows of it first, then its files as they can be read by who packs.

Environments are left out: what they consist of stands in the first member, and they are made anew where it is unpacked.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator

from aen_contents import Refused, Told
from aen_contents.streams import connection

METADATA, FILES = "aen-project.json", "files"
_SKIPPED = frozenset({"envs", ".trash", ".cache"})  # at the top of the project
_TROUBLE = 20  # paths that are named in the result


def pack(told: Told) -> Told:
    """Write the archive to the socket; files that can't be read are left out, and named."""
    report = {"files": 0, "bytes": 0, "skipped": 0, "notes": []}
    with connection(told["socket"]) as sent, sent.makefile("wb", buffering=256 << 10) as out:
        try:
            with (
                gzip.GzipFile(fileobj=out, mode="wb", compresslevel=3) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
            ):
                _metadata(archive, told["metadata"])
                for name, path in _everything(told["project"]):
                    _add(archive, name, path, report)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            raise Refused("Whoever fetched the archive is gone.") from None
    return report


def _metadata(archive: tarfile.TarFile, metadata: Told) -> None:
    raw = json.dumps(metadata, ensure_ascii=False).encode()
    info = tarfile.TarInfo(METADATA)
    info.size, info.mode = len(raw), 0o644
    archive.addfile(info, io.BytesIO(raw))


def _everything(root: str) -> Iterator[tuple[str, str]]:
    """Names in the archive and paths, folders before what is in them."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            names = sorted(os.listdir(os.path.join(root, folder)), reverse=True)
        except OSError:
            continue
        for name in names:
            below = f"{folder}/{name}" if folder else name
            if not folder and (name in _SKIPPED or name.startswith(".aen-")):
                continue
            yield f"{FILES}/{below}", os.path.join(root, below)
            if os.path.isdir(os.path.join(root, below)) and not os.path.islink(os.path.join(root, below)):
                waiting.append(below)


def _add(archive: tarfile.TarFile, name: str, path: str, report: Told) -> None:
    """One file, folder or link. A file that shrinks or grows meanwhile has the length it had at the beginning."""
    try:
        name.encode()
        status = os.lstat(path)
        info = tarfile.TarInfo(name)
        info.mtime, info.mode = max(0, int(status.st_mtime)), 0o755 if status.st_mode & 0o100 else 0o644
        if stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
            return
        if stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
            archive.addfile(info)
            return
        if not stat.S_ISREG(status.st_mode):
            _skipped(report, name, "it is no file")
            return
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except UnicodeEncodeError:
        _skipped(report, ascii(name), "its name is not valid text")
        return
    except OSError as error:
        _skipped(report, name, error.strerror or "it can't be read")
        return
    with open(fd, "rb") as file:
        info.size = os.fstat(fd).st_size
        archive.addfile(info, _Exactly(file, info.size))
    report["files"] += 1
    report["bytes"] += info.size


class _Exactly:
    """So many bytes of a file; zeros for what was cut off while we read."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        self._left -= wanted
        try:
            found = self._file.read(wanted)
        except OSError:
            found = b""
        return found.ljust(wanted, b"\0")


def _skipped(report: Told, name: str, why: str) -> None:
    report["skipped"] += 1
    if len(report["notes"]) < _TROUBLE:
        report["notes"].append(f"{name.removeprefix(FILES + '/')[:200]}: {why}")
