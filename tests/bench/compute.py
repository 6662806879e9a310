"""The compute node: permissions of 100,000 files in 10,000 directories against `setfacl -R` and a walk in C, side by side;
how soon the launcher answers meanwhile; what ran, found again; environments against `cp -al`, and uv in the same project.

Needs root (files of somebody else, as in a project), a C compiler and `setfacl`. Each way starts from a tree without
ACLs (first), then finds nothing to change (again). They run in turns, so that other load on the machine meets all of
them; the figure is the median.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from aen.acl.permissions import Grants, Kind, rules
from aen.acl.sharing import SharedWalk
from aen.acl.tree import Task
from aen.launchers import Account, ProjectRef
from aen.launchers.process import ProcessLauncher
from tests.bench.clones import clones
from tests.bench.row import Row
from tests.launching import app, as_user, place

OWNER = 61950
PEOPLE = {OWNER + number: True for number in range(1, 6)}
GRANTS = Grants(OWNER, OWNER, PEOPLE, group=True)
SOURCE = Path(__file__).with_name("walk.c")
ROUNDS = 5
_STARTS = 50
INODES = 110_110

Way = Callable[[Path], None]


async def measure() -> AsyncIterator[Row]:
    """All figures. Raises RuntimeError when this machine can't."""
    if os.geteuid() != 0 or shutil.which("setfacl") is None or shutil.which("cc") is None:
        raise RuntimeError("needs root, setfacl and a C compiler")
    with tempfile.TemporaryDirectory() as folder:
        for row in await asyncio.to_thread(_rows, Path(folder)):
            yield row
    for row in await _answers():
        yield row
    yield await _found_again()
    async for row in clones():
        yield row


async def _answers() -> list[Row]:
    """How soon the launcher answers while it walks a project of 110,000 inodes: starts, and signals (a stop's TERM)."""
    starts: list[float] = []
    signals: list[float] = []
    with place() as spot:
        async with spot.launcher() as launcher:
            ann = await launcher.ensure_account("aentann")
            project = ProjectRef("aentann", "big", {"aentann": "owner"})
            await launcher.prepare_project(project, str(spot.skeleton))
            fill = "for i in $(seq 100); do mkdir $i; (cd $i; seq 100 | xargs mkdir; for d in *; do echo $d; done"
            fill += " | while read d; do (cd $d; touch 0 1 2 3 4 5 6 7 8 9); done); done"
            as_user(ann, "sh", "-c", fill, cwd=str(spot.path(project)))
            while len(starts) < _STARTS:
                walking = asyncio.create_task(launcher.apply_permissions(project))
                await asyncio.sleep(0)
                while not walking.done() and len(starts) < _STARTS:
                    await _one(launcher, ann, len(starts), starts, signals)
                await walking
                project = replace(project, team={**project.team, f"aent{len(starts)}": "member"})
    found = [("start", starts), ("signal", signals)]
    return [
        Row(f"{name} during a walk, {part} of {_STARTS}", 1000 * value(times), "ms", None, "<= 50")
        for name, times in found
        for part, value in (("median", statistics.median), ("longest", max))
    ]


async def _found_again() -> Row:
    """A launcher killed with its apps running, until the next one has adopted every one of them."""
    with place() as spot:
        async with spot.launcher() as launcher:
            ann = await launcher.ensure_account("aentann")
            names = [f"{'b' * 14}{first}{second}" for first in "abcde" for second in "abcdefghij"]
            running = [await launcher.start(app(name, ann, "exec sleep 600")) for name in names]
        began = time.perf_counter()
        async with spot.launcher() as launcher:
            found = [await launcher.adopt(process) for process in running]
            seconds = time.perf_counter() - began
            for process in running:
                await launcher.stop(process, 1)
    if not all(found):
        raise RuntimeError("an app was not found again")
    return Row(f"{len(found)} apps found again by the next launcher", seconds, "s", None, "<= 10")


async def _one(launcher: ProcessLauncher, ann: Account, number: int, starts: list[float], signals: list[float]) -> None:
    """One app started and told to end (it dies of the TERM at once): both timed until what was asked for has happened."""
    began = time.perf_counter()
    process = await launcher.start(
        app(f"{'a' * 14}{chr(97 + number // 26)}{chr(97 + number % 26)}", ann, "exec sleep 60")
    )
    starts.append(time.perf_counter() - began)
    began = time.perf_counter()
    stopping = asyncio.create_task(launcher.stop(process, 5))
    await asyncio.shield(launcher.exited(process))
    signals.append(time.perf_counter() - began)
    await stopping


def _rows(folder: Path) -> list[Row]:
    program = folder / "walk"
    subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
    tree = folder / "tree"
    _make(tree)
    ways: dict[str, Way] = {"ours": _ours, "setfacl": _setfacl, "c": _in_c(program)}
    first: dict[str, list[float]] = {name: [] for name in ways}
    again: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            subprocess.run(["setfacl", "-R", "-b", tree], check=True)
            first[name].append(_speed(way, tree))
            again[name].append(_speed(way, tree))
    at_first = {name: statistics.median(speeds) for name, speeds in first.items()}
    later = {name: statistics.median(speeds) for name, speeds in again.items()}
    return [
        Row("first, against setfacl -R", at_first["ours"], "inodes/s", at_first["setfacl"], ">= 1.5"),
        Row("first, against C by one thread", at_first["ours"], "inodes/s", at_first["c"]),
        Row("nothing to change, against setfacl -R", later["ours"], "inodes/s", later["setfacl"], ">= 2.5"),
        Row("nothing to change, against C by one thread", later["ours"], "inodes/s", later["c"], ">= 0.9"),
    ]


def _make(tree: Path) -> None:
    """A hundred folders of a hundred directories of ten files, the owner's."""
    places = [f"a{first}/b{second}" for first in range(10) for second in range(10)]
    for part in places:
        for number in range(100):
            inner = tree / part / f"c{number}"
            inner.mkdir(parents=True)
            for file in range(10):
                (inner / f"f{file}.txt").touch()
    for folder, _, files in os.walk(tree):
        for name in (".", *files):
            os.chown(Path(folder, name), OWNER, OWNER)


def _speed(way: Way, tree: Path) -> float:
    began = time.perf_counter()
    way(tree)
    return INODES / (time.perf_counter() - began)


def _ours(tree: Path) -> None:
    """In a child, as the launcher does it."""
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
            report = SharedWalk(Task(GRANTS, frozenset({0}), may_chown=True)).run(fd)
            os._exit(0 if report.looked_at >= INODES and not report.notes else 1)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise RuntimeError("our walk did not reach everything")


def _setfacl(tree: Path) -> None:
    lines = ["u::rwX", "g::rwX", "o::X", "m::rwX", *(f"u:{uid}:rwX" for uid in (OWNER, *PEOPLE))]
    spec = ",".join([*lines, *(f"d:{line}" for line in lines)])
    subprocess.run(["setfacl", "-R", "-P", "-m", spec, tree], check=True)


def _in_c(program: Path) -> Way:
    wanted = rules(GRANTS)
    acls = [wanted[kind, False].access.hex() for kind in (Kind.DIRECTORY, Kind.FILE)]

    def walk(tree: Path) -> None:
        arguments = [str(program), str(tree), str(OWNER), str(OWNER), *acls]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    return walk
