"""Old root environments go when they are old and nothing runs in them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from aen.environments import old
from tests.waiting import until

DAY = 86400.0


def made(top: Path, name: str, days: float) -> Path:
    path = top / name
    (path / "bin").mkdir(parents=True)
    (path / "bin/python").symlink_to("/bin/sleep")
    (path / "data").write_bytes(b"x" * 8192)
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_old_ones_go_and_others_stay(tmp_path: Path) -> None:
    newest = made(tmp_path, "root-" + "1" * 12, 30)
    young = made(tmp_path, "root-" + "2" * 12, 6)
    gone = [made(tmp_path, "root-" + "3" * 12, 8), made(tmp_path, "conda-apps-" + "4" * 12, 8)]
    others = [made(tmp_path, name, 90) for name in ("root-mine", "somebody", ".building-root-0badf00d")]
    assert sorted(old.remove_old(tmp_path, [newest])) == sorted(gone)
    assert sorted(path for path in tmp_path.iterdir()) == sorted([newest, young, *others])
    assert old.remove_old(tmp_path / "nowhere", []) == []


async def test_what_a_session_runs_in_stays_until_it_ends(tmp_path: Path) -> None:
    path = made(tmp_path, "apps-" + "5" * 12, 30)
    with subprocess.Popen([path / "bin/python", "600"]) as process:

        async def named() -> bool:  # the kernel tells a program's arguments a moment after it began
            return Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(bytes(path))

        try:
            await until(named, 20, "the program's arguments")
            assert old.remove_old(tmp_path, []) == []
        finally:
            process.kill()
    assert old.remove_old(tmp_path, []) == [path]


def test_age_counts_from_the_last_day_it_was_the_newest(tmp_path: Path) -> None:
    path = made(tmp_path, "apps-" + "6" * 12, 30)
    old.note_use(path)
    assert old.remove_old(tmp_path, []) == []
    assert old.remove_old(tmp_path, [], now=time.time() + 8 * DAY) == [path]


def test_sizes_count_shared_files_once(tmp_path: Path) -> None:
    first, second = (made(tmp_path, f"apps-{digit * 12}", 0) for digit in "78")
    (second / "data").unlink()
    os.link(first / "data", second / "data")
    (_, one), (_, two) = old.sizes(tmp_path)
    assert one - two == 8192


def test_sizes_of_whatever_the_folder_is_called(tmp_path: Path) -> None:
    for name in (b"-rf", b"two\nlines", b"tab\tin it", "\u2028\x85".encode(), b"\xff"):
        top = tmp_path / os.fsdecode(name)
        path = made(top, "root-" + "9" * 12, 0)
        (top / ("apps-" + "9" * 12)).symlink_to("/usr/lib")
        sizes = dict(old.sizes(top))
        assert sizes[path] >= 8192
        assert sizes[top / ("apps-" + "9" * 12)] < 8192, "what a link leads to is not in it"


def test_sizes_that_take_too_long_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "root-" + "9" * 12, 0)
    slow = tmp_path / "du"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(old, "_DU_SECONDS", 1)
    assert old.sizes(tmp_path) == []
