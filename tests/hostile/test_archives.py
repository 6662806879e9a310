"""Archives from anybody: nothing of a hostile one is left, nothing outside is touched, nothing fills the disk or the memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aen.contents import USER_SIDE

sys.path.insert(0, str(USER_SIDE.parent))
from aen_contents import Refused, packing, unpacking

METADATA = {"format": 1, "summary": "x"}
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"", **more: Any) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def link(name: str, target: str) -> Member:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def archive(*members: Member, metadata: Any = METADATA) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as made:
        for info, data in (member("aen-project.json", json.dumps(metadata).encode()), *members):
            made.addfile(info, io.BytesIO(data))
    return raw.getvalue()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project beside something that must stay as it is."""
    (tmp_path / "outside").write_text("untouched")
    made = tmp_path / "project"
    (made / "public").mkdir(parents=True)
    (made / "README.md").write_text("skeleton")
    return made


def unpack(project: Path, raw: bytes, *, most_bytes: int = 1 << 20, most_files: int = 1000) -> dict[str, Any]:
    """As the node does it: the archive comes over a socket."""
    path = project.parent / "socket"

    def send() -> None:
        with socket.socket(socket.AF_UNIX) as out:
            deadline = time.monotonic() + 20
            while not path.exists():
                assert time.monotonic() < deadline
            while True:
                try:
                    out.connect(str(path))
                    break
                except ConnectionRefusedError:
                    assert time.monotonic() < deadline
            try:
                out.sendall(raw)
            except (BrokenPipeError, ConnectionResetError):
                return

    sending = threading.Thread(target=send)
    sending.start()
    try:
        told = {
            "project": str(project),
            "archive": "a1",
            "socket": str(path),
            "most_bytes": most_bytes,
            "most_files": most_files,
        }
        done: dict[str, Any] = unpacking.unpack(told)
        return done
    finally:
        sending.join()


def nothing_happened(project: Path) -> None:
    assert sorted(os.listdir(project)) == ["README.md", "public"]
    assert (project / "README.md").read_text() == "skeleton"
    assert (project.parent / "outside").read_text() == "untouched"


def _bomb() -> bytes:
    return archive(member("files/zeros", bytes(2 << 20)))


def _long_header() -> bytes:
    return archive(member("files/a", pax_headers={"comment": "x" * (2 << 20)}))


def _sparse() -> bytes:
    return archive(member("files/a", type=tarfile.GNUTYPE_SPARSE))


def _many() -> bytes:
    return archive(*(member(f"files/{number}") for number in range(1001)))


REFUSED: dict[str, Callable[[], bytes]] = {
    "up": lambda: archive(member("files/../../outside", b"evil")),
    "absolute": lambda: archive(member("/outside", b"evil")),
    "elsewhere": lambda: archive(member("evil", b"evil")),
    "dot": lambda: archive(member("files/./a", b"evil")),
    "empty part": lambda: archive(member("files//a", b"evil")),
    "long name": lambda: archive(member("files/" + "x" * 300, b"evil")),
    "deep": lambda: archive(member("files/" + "d/" * 150 + "a", b"evil")),
    "device": lambda: archive(member("files/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "block device": lambda: archive(member("files/disk", type=tarfile.BLKTYPE, devmajor=8)),
    "pipe": lambda: archive(member("files/pipe", type=tarfile.FIFOTYPE)),
    "hard link": lambda: archive(member("files/a", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "bomb": _bomb,
    "header": _long_header,
    "sparse": _sparse,
    "many": _many,
    "no metadata": lambda: gzip.compress(b""),
    "other archive": lambda: archive(metadata={"format": 99}),
    "metadata no object": lambda: archive(metadata=[1]),
    "not gzip": lambda: b"PK\x03\x04" + bytes(1000),
    "empty": lambda: b"",
    "goes on": lambda: archive(member("files/a", b"1")) + gzip.compress(bytes(8 << 20)),
    "trailing": lambda: archive(member("files/a", b"1")) + b"more",
    "cut": lambda: archive(member("files/a", os.urandom(100_000)))[:50_000],
    "broken": lambda: archive(member("files/a", os.urandom(100_000)))[:-40] + bytes(40),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_of_a_hostile_archive_is_left(project: Path, name: str) -> None:
    with pytest.raises(Refused) as refused:
        unpack(project, REFUSED[name]())
    assert len(str(refused.value)) > 20
    nothing_happened(project)


@pytest.mark.parametrize(
    "links",
    [
        [("files/l", "/etc/passwd")],
        [("files/l", "../outside")],
        [("files/d/l", "../../outside")],
        [("files/l", "a/../../outside")],
        [("files/x/y/a", "../../z"), ("files/x/y/l", "a/../../outside")],
        [("files/x/y/p", "../../z"), ("files/x/y/p/l", "../../../outside")],
        [("files/l", "")],
    ],
)
def test_links_that_lead_out_are_left_out(project: Path, links: list[tuple[str, str]]) -> None:
    raw = archive(member("files/z", type=tarfile.DIRTYPE), *(link(*one) for one in links), member("files/a", b"1"))
    report = unpack(project, raw)
    assert report["skipped"] >= 1
    top = os.path.realpath(project)
    for folder, _, names in os.walk(project):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                assert os.path.realpath(path).startswith(top + "/"), path
    assert (project.parent / "outside").read_text() == "untouched"


def test_nothing_is_written_through_a_link(project: Path) -> None:
    raw = archive(link("files/d", ".."), member("files/d/outside", b"evil"), link("files/e", "d"))
    unpack(project, raw)
    assert (project.parent / "outside").read_text() == "untouched"
    assert (project / "d" / "outside").read_bytes() == b"evil"
    assert not (project / "d").is_symlink()


def test_owners_and_special_bits_count_for_nothing(project: Path) -> None:
    raw = archive(
        member("files/run", b"#!", mode=0o7777, uid=0, gid=0, uname="root"), member("files/plain", b"", mode=0)
    )
    unpack(project, raw)
    status = (project / "run").stat()
    assert status.st_mode & 0o7000 == 0
    assert status.st_mode & 0o100
    assert status.st_uid == os.geteuid()
    assert (project / "plain").stat().st_mode & 0o600 == 0o600


def test_the_skeleton_gives_way_and_environments_stay_out(project: Path) -> None:
    raw = archive(
        member("files/README.md", b"mine"),
        member("files/public/a", b"1"),
        member("files/envs/default/bin/python", b"evil"),
        member("files/twice", b"1"),
        member("files/twice", b"2"),
    )
    report = unpack(project, raw)
    assert (project / "README.md").read_bytes() == b"mine"
    assert (project / "public" / "a").read_bytes() == b"1"
    assert (project / "twice").read_bytes() == b"2"
    assert sorted(os.listdir(project)) == ["README.md", "public", "twice"]
    assert report["metadata"]["summary"] == "x"


def test_what_is_packed_comes_out_again(project: Path, tmp_path: Path) -> None:
    (project / "data").mkdir()
    (project / "data" / "größe.bin").write_bytes(os.urandom(700_000))
    (project / "envs").mkdir()
    (project / "envs" / "x").write_text("no")
    os.mkfifo(project / "pipe")
    os.symlink("data/größe.bin", project / "l")
    path, out = tmp_path / "pack", bytearray()

    def fetch() -> None:
        deadline = time.monotonic() + 20
        with socket.socket(socket.AF_UNIX) as come:
            while True:
                try:
                    come.connect(str(path))
                    break
                except OSError:
                    assert time.monotonic() < deadline
            while chunk := come.recv(1 << 16):
                out.extend(chunk)

    fetching = threading.Thread(target=fetch)
    fetching.start()
    report = packing.pack({"project": str(project), "socket": str(path), "metadata": METADATA})
    fetching.join()
    assert (report["files"], report["skipped"]) == (2, 1)
    assert report["notes"] == ["pipe: it is no file"]
    again = tmp_path / "again"
    again.mkdir()
    unpack(again, bytes(out))
    assert (again / "data" / "größe.bin").read_bytes() == (project / "data" / "größe.bin").read_bytes()
    assert os.readlink(again / "l") == "data/größe.bin"
    assert not (again / "envs").exists()
