"""A process that writes with 20 writers is killed with -9 again and again: nothing that was answered is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from aen.store import Doc
from aen.store.sqlite import SqliteStore
from tests.contract.store_schema import SCHEMA
from tests.faults.store_writer import deleted

ROUNDS = 6
ANSWERS = 1_500  # in each round, before the kill

ROOT = Path(__file__).parents[2]


async def test_no_answered_write_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "aen.db"
    told: dict[str, int | None] = {}  # the last answer for each document
    answers = 0
    for round in range(ROUNDS):
        lines = _killed(path, round)
        answers += len(lines)
        told.update((id, size) for id, size in map(json.loads, lines))
        async with SqliteStore(path, SCHEMA) as store:
            assert await store.check() == []
            lost = [id for id in told if not _kept(id, await store.get("things", id), told[id])]
            assert lost == [], f"{len(lost)} of {answers} answered writes are lost"
    assert answers >= ROUNDS * ANSWERS


def _killed(path: Path, round: int) -> list[str]:
    """What the child said before it was killed in the midst of writing (whole lines only)."""
    command = [sys.executable, "-m", "tests.faults.store_writer", str(path), str(round)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        lines = [child.stdout.readline() for _ in range(ANSWERS)]
        child.kill()
        lines += child.stdout.readlines()
        assert child.wait(20) == -9
    return [line for line in lines if line.endswith("\n")]


def _kept(id: str, doc: Doc | None, size: int | None) -> bool:
    """Whether what is stored is what was answered, or (unanswered) the step after it."""
    if size is None:
        return doc is None
    if doc is None:
        return size == 1 and deleted(id)  # the deletion was under way
    return doc["size"] in (size, 1) and doc["rev"] == doc["size"] + 1
