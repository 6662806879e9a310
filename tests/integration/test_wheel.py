"""The wheel: built, installed into an empty environment, and run from there, with nothing of the checkout in reach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen import __version__
from tests.world import ROOT, World

UV = Path(sys.executable).parent / "uv"


def _run(*command: str | Path, **more: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env={**os.environ, "UV_LINK_MODE": "copy", **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory that every account can reach, as an installation's must be."""
    made = Path(tempfile.mkdtemp(prefix="aenw-wheel-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    """The wheel, built from the checkout by the build back end of the environment."""
    _run(UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder / "dist", ROOT)
    (made,) = (folder / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def program(folder: Path, wheel: Path) -> Path:
    """`aen` in an environment of its own: the locked packages and the wheel."""
    place = folder / "venv"
    _run(UV, "venv", "--python", Path(sys.executable).resolve(), place)
    lock: list[str | Path] = ["pip", "install", "--quiet", "--require-hashes", "-r", ROOT / "requirements.lock"]
    try:
        _run(UV, *lock, "--offline", VIRTUAL_ENV=str(place))  # uv's cache has them where ./dev has run
    except AssertionError:
        _run(UV, *lock, VIRTUAL_ENV=str(place))
    _run(UV, "pip", "install", "--quiet", "--no-deps", wheel, VIRTUAL_ENV=str(place))
    return place / "bin" / "aen"


def test_it_holds_every_file_that_comes_with_aen(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("templates", "static", "config"):
        files = [path.relative_to(ROOT).as_posix() for path in (ROOT / kind).rglob("*") if path.is_file()]
        assert files
        for name in files:
            assert f"aen/_files/{name}" in inside, name
    for name in ("aen.css", "parts.css", "words.js"):  # links in a checkout
        look = zipfile.ZipFile(wheel).read(f"aen/apps/user_side/aen_workbench/page/{name}")
        assert look == (ROOT / "static" / name).read_bytes()
    assert not [name for name in inside if name.startswith(("tests", "dev", ".")) or "__pycache__" in name]


def test_the_command_runs(program: Path) -> None:
    assert _run(program, "version") == f"aen {__version__}\n"
    assert _run(program.parent / "python", "-P", "-m", "aen", "version") == f"aen {__version__}\n"
    assert "fine" in _run(program, "config", "check")
    assert _run(program, "config", "sample") == (ROOT / "config/aen.yaml").read_text()


def test_it_serves_from_there(program: Path) -> None:
    with World(program=program) as world, urllib.request.urlopen(f"{world.server}/login", timeout=10) as answer:
        assert answer.status == 200
        assert "aen" in answer.read().decode().lower()
