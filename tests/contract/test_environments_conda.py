"""The conda back end against a channel of hand-made packages: roots, real hard links, prefixes, errors, and its clones."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from pathlib import Path

import pytest

from aen.apps.jupyter import USER_SIDE
from aen.config import Config
from aen.environments import USER_SIDE as ENVIRONMENTS_SIDE
from aen.environments.clone import Clone, Cloned, Plan
from aen.environments.conda import CondaBackend, create_arguments
from aen.environments.prefixes import Untrusted, patched
from aen.errors import Invalid, Unavailable
from tests.channel import PLACEHOLDER, SITE, channel


def backend(tmp_path: Path, *channels: str, **options: object) -> CondaBackend:
    config = Config.model_validate(
        {
            "data_dir": tmp_path / "data",
            "envs_dir": tmp_path / "envs",
            "environments": {"backend": "conda", "channels": list(channels), **options},
        }
    )
    return CondaBackend(config, {"apps": [USER_SIDE, ENVIRONMENTS_SIDE]})


def clone(source: Path, target: Path) -> Cloned:
    """As the launcher does it: beside, for nobody else."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(".beside")
    beside.mkdir()
    plan = Plan(str(source), str(target), None, frozenset({0, os.geteuid()}), link_writable=True)
    read, write = os.open(source, os.O_RDONLY), os.open(beside, os.O_RDONLY)
    try:
        done = Clone(plan).run(read, write)
    finally:
        os.close(read)
        os.close(write)
    beside.rename(target)
    return done


async def test_roots_are_built_once_and_open_to_all(tmp_path: Path) -> None:
    address = await channel(tmp_path / "channel")
    told: list[tuple[str, float]] = []
    both = (backend(tmp_path, address) for _ in range(2))
    one, other = await asyncio.gather(*(each.ensure_root("root", lambda *said: told.append(said)) for each in both))
    assert one == other  # built once, though two asked
    assert told[-1][1] == 1.0
    apps = await backend(tmp_path, address).ensure_root("apps", lambda *_: None)
    told.clear()
    assert await backend(tmp_path, address).ensure_root("root", lambda *said: told.append(said)) == one
    assert told == []
    for root in (one, apps):
        ran = subprocess.run([str(root.python), "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
        assert ran.stdout.strip() == str(root.path), ran.stderr
        for folder, _, files in os.walk(root.path):
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o755
            for file in files:
                status = os.lstat(os.path.join(folder, file))
                assert not stat.S_ISREG(status.st_mode) or status.st_mode & 0o666 == 0o444, file
    assert (apps.path / SITE / "aen_environments" / "by_conda.py").is_file()
    assert subprocess.run([str(apps.path / "tools" / "uv")], capture_output=True).stdout == b"uv\n"
    assert sorted(path.name for path in (tmp_path / "envs").iterdir() if path.is_dir()) == sorted(
        [one.path.name, apps.path.name]
    )


async def test_files_are_hard_links_and_name_the_place_where_they_stand(tmp_path: Path) -> None:
    address = await channel(tmp_path / "channel")
    made = backend(tmp_path, address, packages=["tool"])
    root = await made.ensure_root("root", lambda *_: None)
    cached = {path.stat().st_ino for path in (tmp_path / "data" / "cache" / "conda").rglob("*") if path.is_file()}
    large = root.path / "share/tool/large.bin"
    assert large.stat().st_ino in cached
    ran = subprocess.run([str(root.path / "bin/tool")], capture_output=True, text=True)
    assert ran.stdout.split() == ["2.0", str(root.path)], ran.stderr
    for path in root.path.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            assert b".building-" not in data, path
            assert PLACEHOLDER.encode() not in data or path.parent.name == "conda-meta", path

    target = tmp_path / "projects" / "a-project-with-quite-a-long-name" / "envs" / "default"
    done = clone(root.path, target)
    assert done.copied == 0
    assert done.linked + done.reflinked > 10
    if done.linked:
        assert (target / "share/tool/large.bin").stat().st_ino == large.stat().st_ino
    ran = subprocess.run([str(target / "bin/tool")], capture_output=True, text=True)
    assert ran.stdout.split() == ["2.0", str(target)], ran.stderr
    assert (target / "lib/tool.settings").read_text() == f"home={target}\n"
    old, new = (root.path / "lib/libtool.so").read_bytes(), (target / "lib/libtool.so").read_bytes()
    assert len(old) == len(new)
    assert f"{target}/share/tool:{target}/etc\0".encode() in new
    assert new.endswith(b"\0after\0" + bytes(range(256)) + b"\0end")
    assert new.index(b"\0after\0") == old.index(b"\0after\0")
    # The source kept its own.
    assert f"home={root.path}\n" == (root.path / "lib/tool.settings").read_text()


def test_a_prefix_longer_than_the_room_is_refused() -> None:
    data = b"\1/old/x\0\0\0\0\0end"
    assert patched(data, b"/old", b"/newer", 8) == b"\1/newer/x\0\0\0end"
    assert patched(data, b"/old", b"/n", 8) == b"\1/n/x\0\0\0\0\0\0\0end"
    with pytest.raises(Untrusted, match="too long"):
        patched(data, b"/old", b"/very/long", 8)


async def test_a_missing_channel_is_told(tmp_path: Path) -> None:
    missing = (tmp_path / "nowhere").as_uri()
    with pytest.raises(Unavailable, match="nowhere") as caught:
        await backend(tmp_path, missing).ensure_root("root", lambda *_: None)
    assert "channel could not be read" in caught.value.message
    assert [path for path in (tmp_path / "envs").iterdir() if path.is_dir()] == []


async def test_what_cannot_be_solved_is_told(tmp_path: Path) -> None:
    address = await channel(tmp_path / "channel")
    with pytest.raises(Unavailable, match="can't be had together") as caught:
        await backend(tmp_path, address, packages=["picky", "tool>=2"]).ensure_root("root", lambda *_: None)
    assert "tool" in caught.value.message
    with pytest.raises(Unavailable, match="no-such-package"):
        await backend(tmp_path, address, packages=["no-such-package"]).ensure_root("root", lambda *_: None)
    assert [path for path in (tmp_path / "envs").iterdir() if path.is_dir()] == []


async def test_what_is_missing_in_the_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"environments\.channels"):
        await backend(tmp_path).ensure_root("root", lambda *_: None)
    with pytest.raises(Unavailable, match=r"environments\.executable"):
        await backend(tmp_path, "c", executable=str(tmp_path / "no")).ensure_root("root", lambda *_: None)
    with pytest.raises(Invalid):
        await backend(tmp_path, "c").ensure_root("other", lambda *_: None)


async def test_a_killed_build_is_begun_anew(tmp_path: Path) -> None:
    address = await channel(tmp_path / "channel")
    made = await backend(tmp_path, address).ensure_root("root", lambda *_: None)
    left = made.path.with_name(".building-conda-root-0badf00d")
    left.mkdir()
    os.chmod(made.path, 0o755)
    (made.path / ".aen-complete").unlink()  # as an executable leaves it that was killed
    again = await backend(tmp_path, address).ensure_root("root", lambda *_: None)
    assert again == made
    assert (made.path / ".aen-complete").exists()
    assert not left.exists()


async def test_an_executable_is_called_as_conda_wants_it(tmp_path: Path) -> None:
    """A fake: only the form of the arguments is tested here, no conda, mamba or micromamba was to be had."""
    script = tmp_path / "micromamba"
    script.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.said"\n'
        'while [ "$1" != --prefix ]; do shift; done\n'
        'mkdir -p "$2/bin" "$2/conda-meta" && ln -s /usr/bin/python3 "$2/bin/python"\n'
    )
    script.chmod(0o755)
    made = backend(tmp_path, "file:///c1", "https://conda.example.org/c2", executable=str(script), packages=["tool"])
    root = await made.ensure_root("root", lambda *_: None)
    said = (tmp_path / "micromamba.said").read_text().split("\n")[:-1]
    assert said[:3] == ["create", "--yes", "--quiet"]
    assert (
        said
        == create_arguments(
            script, ["file:///c1", "https://conda.example.org/c2"], root.path, ["python", "ipykernel", "pip", "tool"]
        )[1:]
    )
    script.write_text("#!/bin/sh\necho PackagesNotFoundError: tool\nexit 1\n")
    with pytest.raises(Unavailable, match="micromamba said: PackagesNotFoundError"):
        await backend(tmp_path, "file:///other", executable=str(script)).ensure_root("root", lambda *_: None)
    assert [path.name for path in (tmp_path / "envs").iterdir() if path.is_dir()] == [root.path.name]
