"""Unpacking: an archive of a project, which may come from anybody, into a new project. It is checked as if it were hostile.

Owners, groups, special bits and ACLs of the archive count for nothing: files are made by who unpacks, and the project's default
ACLs give the team its rights. Links are made last and only where they stay inside; devices, pipes, hard links and sparse files
are refused, and so is whatever holds a path that leads outside.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tarfile
import zlib
from contextlib import suppress
from typing import IO, Any

from aen_contents import Refused, Told
from aen_contents.packing import FILES, METADATA
from aen_contents.streams import connection

_LARGEST_METADATA = 1 << 20
_LARGEST_HEADER = 1 << 20  # bytes of the extended header of one member: it is read as a whole
_LONGEST_PATH, _LONGEST_NAME, _DEEPEST = 4096, 255, 100
_SKIPPED = frozenset({"envs"})
_TROUBLE = 20
_MOST_PADDING = 1 << 20  # bytes after the last member
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Info(tarfile.TarInfo):
    """A header; one that would fill the memory, or stands for a sparse file, is refused before it is read."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _HEADERS and self.size > _LARGEST_HEADER:
            raise Refused("This archive holds a header that is far too long. It was not unpacked.")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise Refused("This archive holds a sparse file. It was not unpacked.")
        return super()._proc_member(archive)  # type: ignore[misc]


def unpack(told: Told) -> Told:
    """Read the archive from the socket into a folder beside, then move its content into the project."""
    project = told["project"]
    place = os.path.join(project, f".aen-import-{told['archive'][:12]}")
    shutil.rmtree(place, ignore_errors=True)
    os.mkdir(place, 0o770)
    unpacking = _Unpacking(place, int(told["most_bytes"]), int(told["most_files"]))
    try:
        with connection(told["socket"]) as received, received.makefile("rb", buffering=256 << 10) as source:
            metadata = unpacking.read(source)
        unpacking.make_links()
        _move(place, project)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        why = (
            "it is not packed by gzip"
            if isinstance(error, gzip.BadGzipFile)
            else str(error)[:200] or "it ends too early"
        )
        raise Refused(f"This is no whole archive of a project: {why}. Take one that AEN exported.") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return {**unpacking.report, "metadata": metadata}


class _Unpacking:
    def __init__(self, place: str, most_bytes: int, most_files: int) -> None:
        self._place, self._most_bytes, self._most_files = place, most_bytes, most_files
        self._links: list[tuple[str, str]] = []
        self._members = 0
        self.report: Told = {"files": 0, "bytes": 0, "skipped": 0, "notes": []}

    def read(self, source: IO[bytes]) -> Told:
        """All members; returns the metadata, which comes first."""
        metadata: Told | None = None
        packed = gzip.GzipFile(fileobj=source, mode="rb")  # unlike tarfile's own stream, it looks at the check sum
        with tarfile.open(fileobj=packed, mode="r|", tarinfo=_Info, errorlevel=2) as archive:
            for info in archive:
                self._members += 1
                if self._members > self._most_files:
                    raise Refused(f"This archive holds more than {self._most_files:,} files, which is the most.")
                if metadata is None:
                    metadata = _metadata(archive, info)
                else:
                    self._member(archive, info)
                archive.members = []  # type: ignore[attr-defined]  # else all of them stay in memory
        left = _MOST_PADDING
        while rest := packed.read(1 << 16):  # what follows the archive's end; the check sum is behind it
            left -= len(rest)
            if left < 0:
                raise Refused("This archive goes on after its end. It was not unpacked.")
        if metadata is None:
            raise Refused("This archive is empty.")
        return metadata

    def _member(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        parts = _parts(info.name)
        if not parts or parts[0] in _SKIPPED or parts[0].startswith(".aen-"):
            return
        path = os.path.join(self._place, *parts)
        if info.isdir():
            os.makedirs(path, 0o770, exist_ok=True)
        elif info.issym():
            self._links.append(("/".join(parts), info.linkname))
        elif info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse():
            self._file(archive, info, path)
        else:
            raise Refused(
                f"This archive holds {info.name[:200]!r}, which is no file, folder or link. It was not unpacked."
            )

    def _file(self, archive: tarfile.TarFile, info: tarfile.TarInfo, path: str) -> None:
        self.report["bytes"] += info.size
        if self.report["bytes"] > self._most_bytes:
            raise Refused(f"This archive unpacks to more than {self._most_bytes >> 20:,} MB, which is the most here.")
        os.makedirs(os.path.dirname(path), 0o770, exist_ok=True)
        with suppress(FileNotFoundError):  # a name that comes twice: the last one counts
            os.unlink(path)
        mode = 0o777 if info.mode & 0o100 else 0o666
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(fd, "wb") as file, _opened(archive, info) as content:
            shutil.copyfileobj(content, file, 1 << 20)
            if file.tell() != info.size:
                raise EOFError
        with suppress(OSError, OverflowError, ValueError):
            os.utime(path, (info.mtime, info.mtime))
        self.report["files"] += 1

    def make_links(self) -> None:
        """Those that stay inside; the others are left out, and named. Nothing is written any more that could go through one."""
        for name, target in self._links:
            path = os.path.join(self._place, name)
            if not _stays_inside(name, target) or not self._parent_is_real(name):
                self._skipped(name, "a link that leads out of the project")
            elif os.path.lexists(path):
                self._skipped(name, "there is something of that name already")
            else:
                os.makedirs(os.path.dirname(path), 0o770, exist_ok=True)
                os.symlink(target, path)

    def _parent_is_real(self, name: str) -> bool:
        """No link on the way to it: through one, `..` would lead elsewhere than its letters say."""
        path = self._place
        for part in name.split("/")[:-1]:
            path = os.path.join(path, part)
            if os.path.islink(path):
                return False
        return True

    def _skipped(self, name: str, why: str) -> None:
        self.report["skipped"] += 1
        if len(self.report["notes"]) < _TROUBLE:
            self.report["notes"].append(f"{name[:200]}: {why}")


def _metadata(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Told:
    if info.name != METADATA or not info.isreg() or info.size > _LARGEST_METADATA:
        raise Refused("This is no archive of a project: what AEN wrote about it does not come first.")
    try:
        with _opened(archive, info) as content:
            found = json.loads(content.read())
    except (ValueError, RecursionError):
        raise Refused("This is no archive of a project: what is written about it can't be read.") from None
    if not isinstance(found, dict) or found.get("format") != 1:
        raise Refused("This archive was written by a newer AEN, or by something else.")
    return found


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    if content is None:
        raise Refused(f"{info.name[:200]!r} can't be read.")
    return content


def _parts(name: str) -> tuple[str, ...]:
    """A member's path below the project; empty for the folder itself. Refused when it leads anywhere else."""
    parts = name.rstrip("/").split("/")
    wrong = (
        name.startswith("/")
        or len(name.encode(errors="surrogateescape")) > _LONGEST_PATH
        or len(parts) > _DEEPEST
        or any(part in ("", ".", "..") or "\0" in part for part in parts)
        or any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME for part in parts)
        or parts[0] != FILES
    )
    if wrong:
        raise Refused(f"This archive holds the path {name[:200]!r}, which no project has. It was not unpacked.")
    return tuple(parts[1:])


def _stays_inside(name: str, target: str) -> bool:
    """Whether a relative link stays below the project: it may climb at its beginning only, and not further than to the top."""
    if not target or target.startswith("/") or "\0" in target or len(target) > _LONGEST_PATH:
        return False
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    return climbs <= name.count("/") and ".." not in parts[climbs:]


def _move(place: str, project: str) -> None:
    """What was unpacked into the project; what a new project was made with (the skeleton) gives way to it."""
    for name in os.listdir(place):
        source, target = os.path.join(place, name), os.path.join(project, name)
        folder = os.path.isdir(source) and not os.path.islink(source)
        if folder and os.path.isdir(target) and not os.path.islink(target):
            _move(source, target)
        elif folder and os.path.lexists(target):
            os.unlink(target)
            os.rename(source, target)
        else:
            os.replace(source, target)
