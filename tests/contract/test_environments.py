"""What every environment back end must do; the venv back end with the real uv."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen import apps
from aen.config import Config
from aen.config.files import packaged
from aen.environments import USER_SIDE as ENVIRONMENTS_SIDE
from aen.environments import interpreter
from aen.environments.venv import VenvBackend
from aen.errors import Invalid, Unavailable
from tests.computing import envs


def backend(envs_dir: Path, tmp_path: Path, packages: list[str] | None = None) -> VenvBackend:
    config = Config.model_validate(
        {"data_dir": tmp_path / "data", "envs_dir": envs_dir, "environments": {"packages": packages or []}}
    )
    return VenvBackend(config, {"apps": [*apps.user_sides(), ENVIRONMENTS_SIDE]})


@pytest.fixture
def plain_umask() -> Iterator[None]:
    """The umask that the service account has."""
    before = os.umask(0o027)
    yield
    os.umask(before)


async def test_roots_are_built_once_and_found_again(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    made = [
        await backend(envs(), tmp_path).ensure_root(name, lambda *one: told.append(one)) for name in ("root", "apps")
    ]
    told.clear()
    again = [
        await backend(envs(), tmp_path).ensure_root(name, lambda *one: told.append(one)) for name in ("root", "apps")
    ]
    assert again == made
    assert told == []  # nothing was built


@pytest.mark.parametrize(
    ("name", "imports"),
    [
        ("root", "ipykernel, pip, numpy, pandas, matplotlib"),
        ("apps", "jupyterlab, notebook, aen_jupyter.identity, aen_workbench.handlers, aen_environments"),
    ],
)
async def test_root_holds_what_it_is_for(tmp_path: Path, name: str, imports: str) -> None:
    root = await backend(envs(), tmp_path).ensure_root(name, lambda *_: None)
    done = subprocess.run([str(root.python), "-I", "-c", f"import {imports}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_root_is_read_only_and_open_to_all(tmp_path: Path) -> None:
    for name in ("root", "apps"):
        root = await backend(envs(), tmp_path).ensure_root(name, lambda *_: None)
        assert interpreter.blocked_at(root.python) is None
        looked_at = 0
        for folder, _, files in os.walk(root.path):
            assert stat.S_IMODE(os.stat(folder).st_mode) & 0o057 == 0o055, folder
            for file in files:
                status = os.lstat(os.path.join(folder, file))
                if stat.S_ISREG(status.st_mode):
                    looked_at += 1
                    assert status.st_mode & 0o222 == 0, file
                    assert status.st_mode & 0o444 == 0o444, file
        assert looked_at > 1000


async def test_root_can_be_moved(tmp_path: Path) -> None:
    root = await backend(envs(), tmp_path).ensure_root("root", lambda *_: None)
    inside = [path for path in (root.path / "bin").iterdir() if path.is_file() and not path.is_symlink()]
    assert inside
    for path in inside:
        assert str(root.path).encode() not in path.read_bytes(), path


@pytest.mark.usefixtures("plain_umask")
async def test_own_packages_make_another_root(tmp_path: Path) -> None:
    envs_dir = tmp_path / "envs"
    told: list[float] = []
    both = (backend(envs_dir, tmp_path, ["tomli-w"]) for _ in range(2))
    made, other = await asyncio.gather(*(one.ensure_root("root", lambda _, part: told.append(part)) for one in both))
    assert made == other  # built once, though two asked
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert [path.name for path in envs_dir.iterdir() if path.is_dir()] == [made.path.name]
    assert stat.S_IMODE(envs_dir.stat().st_mode) == 0o755
    check = "import ipykernel, pip, tomli_w, importlib.util as u; assert not u.find_spec('pandas')"
    subprocess.run([str(made.python), "-I", "-c", check], check=True)
    plain = await backend(envs(), tmp_path).ensure_root("root", lambda *_: None)
    assert plain.version != made.version


async def test_unreachable_index_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://someone:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(Unavailable) as caught:
        await backend(tmp_path / "envs", tmp_path).ensure_root("root", lambda *_: None)
    assert "The default environment could not be built" in caught.value.message
    assert "secret" not in caught.value.message
    assert [path for path in (tmp_path / "envs").iterdir() if path.is_dir()] == []


async def test_what_a_killed_build_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "envs" / ".building-root-0badf00d"
    left.mkdir(parents=True)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(Unavailable):
        await backend(tmp_path / "envs", tmp_path).ensure_root("root", lambda *_: None)
    assert not left.exists()


async def test_envs_dir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="envs_dir"):
        await backend(tmp_path / "file" / "envs", tmp_path).ensure_root("root", lambda *_: None)
    with pytest.raises(Invalid):
        await backend(tmp_path / "envs", tmp_path).ensure_root("other", lambda *_: None)


def test_interpreter_in_a_private_home_is_not_for_everybody(tmp_path: Path) -> None:
    private = tmp_path / "home"
    (private / "bin").mkdir(parents=True)
    python = private / "bin" / "python3"
    python.touch(0o755)
    private.chmod(0o700)
    assert interpreter.blocked_at(python) is not None
    found = interpreter.find(for_everybody=True)
    assert interpreter.blocked_at(found.path) is None


@pytest.mark.parametrize("name", ["root", "apps"])
def test_locks_have_hashes_and_no_addresses(name: str) -> None:
    text = (packaged("config") / "environments" / f"{name}.txt").read_text()
    assert "://" not in text
    pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in pinned)
    assert text.count("--hash=sha256:") >= len(pinned)


async def test_only_our_own_code_is_made_anew_when_nothing_else_changed(tmp_path: Path) -> None:
    """An update of AEN must not install a hundred packages again."""
    ours = tmp_path / "aen_mine"
    ours.mkdir()
    (ours / "__init__.py").write_text("version = 1\n")
    (ours / "gone.py").write_text("")
    config = {"data_dir": tmp_path / "data", "envs_dir": tmp_path / "envs", "environments": {"packages": ["six"]}}

    async def build() -> Path:
        made = VenvBackend(Config.model_validate(config), {"root": [ours]})
        return (await made.ensure_root("root", lambda *_: None)).path

    def site(environment: Path) -> Path:
        return next((environment / "lib").glob("python3.*/site-packages"))

    before = await build()
    (ours / "__init__.py").write_text("version = 2\n")
    (ours / "gone.py").unlink()
    after = await build()
    assert after != before
    assert (site(after) / "six.py").stat().st_ino == (
        site(before) / "six.py"
    ).stat().st_ino  # taken over, not installed
    assert not (site(after) / "aen_mine" / "gone.py").exists()
    for environment, version in ((before, "1"), (after, "2")):
        command = [str(environment / "bin" / "python"), "-I", "-c", "import aen_mine, six; print(aen_mine.version)"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.strip() == version, done.stderr
