"""A disk that is really full (a small file system of its own): reasons are told, nothing answered is lost, room is enough to go on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aen.errors import Unavailable
from aen.store.sqlite import SqliteStore
from tests.contract.store_schema import SCHEMA
from tests.waiting import until
from tests.world import World

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a file system of its own")]


@contextmanager
def small_disk(place: Path, size: str, mode: str = "0755") -> Iterator[Path]:
    """A file system of that size, gone afterwards."""
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "aent", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets us mount nothing")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all the room that is left."""
    file = place / "filler"
    with file.open("ab", buffering=0) as out:
        for step in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    out.write(b"x" * step)
                except OSError:
                    break
    return file


async def test_the_store_on_a_full_disk(tmp_path: Path) -> None:
    """Reads go on; writes say why not; what was answered is there; with room, writes go on without a restart."""
    with small_disk(tmp_path / "disk", "6m") as disk:
        async with SqliteStore(disk / "aen.db", SCHEMA) as store:
            answered = []

            async def write(number: int) -> None:
                id = f"d{number}"
                await store.insert("things", {"id": id, "name": id, "tags": ["a"], "about": "x" * 2000, "size": number})
                answered.append(id)

            async def until_full() -> None:
                for number in range(5000):
                    await write(number)

            with pytest.raises(Unavailable, match="disk"):
                await until_full()
            fill(disk)
            for number in (6000, 6001):
                with pytest.raises(Unavailable, match="free space"):
                    await write(number)
            assert len(answered) > 100
            assert [id for id in answered if await store.get("things", id) is None] == []
            (disk / "filler").unlink()
            subprocess.run(["mount", "-o", "remount,size=12m", str(disk)], check=True)
            await write(7000)
        async with SqliteStore(disk / "aen.db", SCHEMA) as store:
            assert await store.check() == []
            assert [id for id in answered if await store.get("things", id) is None] == []
            assert await store.get("things", "d6000") is None


async def test_the_whole_program_on_a_full_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pages are shown, what can't be done says why, and with room again it can, all without a restart."""
    with World() as world:
        ann = world.add("ann")
        async with world.client(ann) as client:
            assert (await client.post("/api/v1/projects", {"name": "before"})).status == 201
        world.stop()
        data = Path(world.config["data_dir"])
        kept = data.with_name("kept")
        data.rename(kept)
        with small_disk(data, "24m", "0750") as disk:
            subprocess.run(["cp", "-a", f"{kept}/.", str(disk)], check=True)
            world.start()
            filler = fill(disk)
            async with world.client(ann) as client:
                assert (await client.get("/api/v1/projects")).status == 200

                async def refused() -> str | None:
                    answer = await client.post("/api/v1/projects", {"name": f"p{os.urandom(4).hex()}"})
                    return answer.text if answer.status == 503 else None

                text = await until(refused, 60, "nothing more can be written")
                assert "disk" in text
                assert (await client.get(f"/api/v1/projects/{ann}/before")).status == 200
                filler.unlink()

                async def goes_on() -> bool:
                    return (await client.post("/api/v1/projects", {"name": "after"})).status in (201, 409)

                await until(goes_on, 30, "it goes on")
                assert (await client.get(f"/api/v1/projects/{ann}/after")).status == 200
            assert world.stop() == 0
        data.rmdir()
        kept.rename(data)
        world.start()
