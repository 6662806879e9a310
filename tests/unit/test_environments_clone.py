"""The clone of a big environment: by two processes the same as by one, and an error in either ends it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aen.environments import clone as module
from aen.environments.clone import Clone, Cloned, Plan
from aen.environments.prefixes import Untrusted


def big(top: Path) -> Path:
    """An environment of 30 packages with 60 files each, links and a script that names its place."""
    source = top / "source"
    for package in range(30):
        folder = source / f"lib/python3.11/site-packages/p{package}/inner"
        folder.mkdir(parents=True)
        for number in range(60):
            (folder / f"{number}.py").write_text(f"{package} {number}\n")
            (folder / f"{number}.py").chmod(0o444)
        (folder / "link").symlink_to(source / "bin")
    (source / "bin").mkdir()
    (source / "bin/tool").write_text(f"#!{source}/bin/python\n")
    return source


def cloned(source: Path, target: Path, *, processes: int = 2, alone: int = 100, trusted: int | None = None) -> Cloned:
    target.mkdir()
    plan = Plan(str(source), str(target), None, frozenset({os.geteuid() if trusted is None else trusted}), True)
    read, write = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target))
    try:
        return Clone(plan, alone=alone, processes=processes).run(read, write)
    finally:
        os.close(read)
        os.close(write)


def listing(top: Path) -> dict[str, str]:
    found = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            told = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "directory"
            found[str(path.relative_to(top))] = told.replace(str(top), "TOP")
    return found


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    source = big(tmp_path)
    one = cloned(source, tmp_path / "one", processes=1)
    two = cloned(source, tmp_path / "two")
    assert one == two
    assert one.linked + one.reflinked == 1800
    assert (one.rewritten, one.symlinks) == (1, 30)
    assert listing(tmp_path / "one") == listing(tmp_path / "two") == listing(source)


@pytest.mark.parametrize("package", range(0, 30, 7))
def test_an_error_in_either_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: int) -> None:
    """The disk is full at one place; whichever process gets there."""
    source = big(tmp_path)
    place = f"lib/python3.11/site-packages/p{package}/inner/"
    plain = Clone._one

    def full(self: Clone, read: int, write: int, entry: os.DirEntry[str], where: str) -> None:
        if where == place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(self, read, write, entry, where)

    monkeypatch.setattr(module.Clone, "_one", full)
    with pytest.raises(OSError, match="No space left"):
        cloned(source, tmp_path / "target")


def test_what_a_stranger_owns_is_refused(tmp_path: Path) -> None:
    source = big(tmp_path)
    with pytest.raises(Untrusted, match="belongs to uid"):
        cloned(source, tmp_path / "one", trusted=os.geteuid() + 1)
    if os.geteuid() == 0:
        os.chown(source / "lib/python3.11/site-packages/p29/inner/7.py", 61999, 61999)
        with pytest.raises(Untrusted, match="belongs to uid 61999"):
            cloned(source, tmp_path / "two")
