"""The Workbench's uploads, editor and permissions, as real accounts: breaks, several writers, conflicts, full disks."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.waiting import until
from tests.workbench import ALICE, BOB, VERA, Answer, Bench, Stand, wire

pytestmark = pytest.mark.root


@pytest.fixture
async def bounded(here: Stand) -> AsyncIterator[Bench]:
    """A Workbench of its own, whose project may grow by 1,000 bytes only."""
    async with here.bench(ALICE) as made:
        assert (await made.ask("GET", "api/ready", extra={"X-AEN-Room": "1000"})).status == 200
        yield made


class Upload:
    """One upload of one person, step by step."""

    def __init__(self, bench: Bench, folder: Path, name: str, data: bytes, key: str = "k") -> None:
        self.bench, self.data = bench, data
        self.query = {"folder": wire(folder), "name": wire(os.fsencode(name)), "size": str(len(data)), "key": key}

    async def begin(self) -> Answer:
        return await self.bench.ask("GET", "api/upload", params=self.query)

    async def piece(self, start: int, end: int, offset: int | None = None) -> Answer:
        query = self.query | {"offset": str(start if offset is None else offset)}
        return await self.bench.ask("PUT", "api/upload", params=query, data=io.BytesIO(self.data[start:end]))

    async def finish(self, taken: str = "") -> Answer:
        return await self.bench.ask("POST", "api/upload", params=self.query | {"taken": taken})


def partials(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".aen-upload-")]


# ── uploads ─────────────────────────────────────────────────────────────────────────────────────────


async def test_upload_in_pieces_appears_when_whole(here: Stand, alice: Bench) -> None:
    here.put("up/x")
    folder, data = here.project / "up", os.urandom(3_000_000)
    one = Upload(alice, folder, "data.bin", data)
    assert (await one.begin()).json == {"offset": 0, "taken": ""}
    assert (await one.piece(0, 1_000_000)).json == {"offset": 1_000_000}
    early = await one.finish()
    assert (early.status, early.json["offset"]) == (409, 1_000_000)
    wrong = await one.piece(2_000_000, 3_000_000)
    assert (wrong.status, wrong.json["error"], wrong.json["offset"]) == (409, "offset", 1_000_000)
    assert "data.bin" not in await alice.names(folder)
    assert (await one.piece(1_000_000, 3_000_000)).json == {"offset": 3_000_000}
    assert (await one.finish()).json["path"] == wire(folder / "data.bin")
    assert (folder / "data.bin").read_bytes() == data
    assert partials(folder) == []
    assert (folder / "data.bin").stat().st_mode & 0o007 == 0


async def test_upload_that_breaks_off_goes_on_where_it_stopped(here: Stand, alice: Bench) -> None:
    here.put("broken/x")
    folder, data = here.project / "broken", os.urandom(4_000_000)
    one = Upload(alice, folder, "data.bin", data)
    stuck = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield data[:1_500_000]
        await stuck.wait()

    query = one.query | {"offset": "0"}
    sending = asyncio.create_task(alice.ask("PUT", "api/upload", params=query, data=half()))

    async def arrived() -> bool:
        found = partials(folder)
        return bool(found) and (folder / found[0]).stat().st_size > 1_000_000

    await until(arrived, 10, "half of it is here")
    sending.cancel()
    await asyncio.wait([sending])
    offset = (await one.begin()).json["offset"]
    assert 1_000_000 < offset <= 1_500_000
    assert (await alice.get("folder", folder)).json["partial"] == {"count": 1, "bytes": offset}

    async def free() -> Answer | None:  # the broken request is still being let go
        answer = await one.piece(offset, len(data))
        return answer if answer.status == 200 else None

    await until(free, 10, "the rest is taken")
    assert (await one.finish()).status == 200
    assert (folder / "data.bin").read_bytes() == data


async def test_upload_outlives_the_workbench(here: Stand) -> None:
    here.put("killed/x")
    folder, data = here.project / "killed", b"0123456789" * 100_000
    async with here.bench(ALICE) as first:
        await Upload(first, folder, "d", data).piece(0, 400_000)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
    async with here.bench(ALICE) as second:
        again = Upload(second, folder, "d", data)
        assert (await again.begin()).json["offset"] == 400_000
        await again.piece(400_000, len(data))
        assert (await again.finish()).status == 200
    assert (folder / "d").read_bytes() == data


async def test_two_writers_of_one_name_never_mix(here: Stand, alice: Bench, bob: Bench) -> None:
    here.put("two/x")
    here.walk()
    folder, size = here.project / "two", 2_000_000
    writers = [Upload(alice, folder, "same.bin", b"a" * size), Upload(bob, folder, "same.bin", b"b" * size)]
    for start in range(0, size, 500_000):
        answers = await asyncio.gather(*(one.piece(start, start + 500_000) for one in writers))
        assert [answer.status for answer in answers] == [200, 200]
    first, second = await asyncio.gather(*(one.finish() for one in writers))
    assert sorted([first.status, second.status]) == [200, 409]
    slower = writers[0] if first.status == 409 else writers[1]
    assert (await slower.finish("both")).status == 200
    contents = {(folder / name).read_bytes() for name in os.listdir(folder) if name.startswith("same")}
    assert contents == {b"a" * size, b"b" * size}


async def test_two_tabs_of_one_person_never_mix(here: Stand, alice: Bench) -> None:
    here.put("tabs/x")
    folder, data = here.project / "tabs", os.urandom(4_000_000)
    tabs = [Upload(alice, folder, "t.bin", data), Upload(alice, folder, "t.bin", data)]
    answers = await asyncio.gather(*(tab.piece(0, len(data)) for tab in tabs))
    assert sorted(answer.status for answer in answers) == [200, 409]
    assert (await tabs[0].finish()).status == 200
    assert (folder / "t.bin").read_bytes() == data


async def test_replacing_keeps_the_old_one_in_the_trash(here: Stand, alice: Bench) -> None:
    path = here.put("over/report.csv", "old")
    one = Upload(alice, path.parent, path.name, b"new")
    assert (await one.begin()).json["taken"] == "file"
    await one.piece(0, 3)
    assert (await one.finish()).status == 409
    assert path.read_text() == "old"
    assert (await one.finish("replace")).status == 200
    assert path.read_text() == "new"
    rows = (await alice.get("trash", root=wire(here.project))).json["rows"]
    assert wire(path) in [row["path"] for row in rows]


async def test_more_than_was_told_is_refused(here: Stand, alice: Bench) -> None:
    here.put("more/x")
    one = Upload(alice, here.project / "more", "m", b"12345")
    query = one.query | {"offset": "0"}
    answer = await alice.ask("PUT", "api/upload", params=query, data=b"1234567890")
    assert (answer.status, answer.json["error"]) == (409, "size")
    empty = Upload(alice, here.project / "more", "empty", b"")
    assert (await empty.finish()).status == 200
    assert (here.project / "more/empty").stat().st_size == 0
    await alice.ask("DELETE", "api/upload", params=one.query)
    assert partials(here.project / "more") == []


async def test_a_planted_partial_is_not_written_to(here: Stand, alice: Bench, bob: Bench) -> None:
    """Bob may write to the folder: he must not get alice's upload into a file of his, or into hers elsewhere."""
    here.put("plant/x")
    here.walk()
    folder = here.project / "plant"
    one = Upload(alice, folder, "p", b"secret!")
    await one.piece(0, 3)
    name = partials(folder)[0]
    private = alice.home / "private.txt"
    private.write_text("mine")
    os.chown(private, here.people[ALICE].pw_uid, -1)
    for plant in (
        lambda: (folder / name).symlink_to(private),
        lambda: os.mkfifo(folder / name),
        lambda: (folder / name).write_text("sec"),
    ):
        (folder / name).unlink()
        plant()
        os.chown(folder / name, here.people[BOB].pw_uid, -1, follow_symlinks=False)
        answer = await one.piece(3, 7)
        assert answer.status in (403, 409), answer.body
    assert private.read_text() == "mine"


async def test_no_more_than_the_project_may_take(here: Stand, bounded: Bench) -> None:
    here.put("bounded/x")
    folder = here.project / "bounded"
    answer = await Upload(bounded, folder, "large", bytes(1_001)).begin()
    assert (answer.status, answer.json["error"]) == (507, "no-room")
    assert "1000 bytes more" in answer.json["message"]
    fits = Upload(bounded, folder, "fits", bytes(1_000))
    assert (await fits.begin()).status == 200
    assert (await fits.piece(0, 1_000)).status == 200
    assert (await fits.finish()).status == 200
    again = {"path": wire(folder / "fits"), "folder": wire(folder)}
    assert (await bounded.ask("POST", "api/copy", json=again)).status == 507
    forged = {"X-AEN-Room": "99999999", "X-Forwarded-For": "192.0.2.1"}  # only the node itself says how much
    assert (await bounded.ask("GET", "api/ready", extra=forged)).status == 200
    assert (await Upload(bounded, folder, "more", b"x").begin()).status == 507
    assert (await Upload(bounded, bounded.home, "mine", bytes(5_000)).begin()).status == 200
    assert (await bounded.ask("GET", "api/ready")).status == 200  # the bound is gone
    assert (await Upload(bounded, folder, "more", b"x").begin()).status == 200


# ── full disks ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small(here: Stand) -> Iterator[Path]:
    """A disk of 20 MB inside the project."""
    place = here.put("small/x").parent / "disk"
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    os.chown(place, here.people[ALICE].pw_uid, here.people[ALICE].pw_gid)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(folder: Path, left: int) -> None:
    """Leave that many bytes."""
    room = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        file.write(b"\0" * (room.f_bavail * room.f_frsize - left))


async def test_no_room_is_told_before_anything_is_sent(alice: Bench, small: Path) -> None:
    answer = await Upload(alice, small, "big", b"0" * 30_000_000).begin()
    assert (answer.status, answer.json["error"]) == (507, "disk-full")
    assert "29 MB" in answer.json["message"]


async def test_full_disk_loses_no_text(here: Stand, alice: Bench, small: Path) -> None:
    text = small / "notes.md"
    text.write_text("before\n" * 10)
    os.chown(text, here.people[ALICE].pw_uid, -1)
    fill(small, 0)
    read = (await alice.get("text", text)).json
    answer = await alice.ask(
        "PUT", "api/text", params={"path": wire(text)}, data=b"x" * 1_000_000, extra={"If-Match": read["etag"]}
    )
    assert (answer.status, answer.json["error"]) == (507, "disk-full")
    assert "disk is full" in answer.json["message"]
    assert text.read_text() == "before\n" * 10
    piece = await Upload(alice, small, "u", b"0" * 100_000).piece(0, 100_000)
    assert (piece.status, piece.json["error"]) == (507, "disk-full")
    assert (await alice.post("copy", path=text, folder=small)).status == 507
    assert (await alice.names(small)) == ["filler", "notes.md"]


async def test_another_disk_has_no_trash_but_moves_work(here: Stand, alice: Bench, small: Path) -> None:
    (small / "x").write_text("x")
    os.chown(small / "x", here.people[ALICE].pw_uid, -1)
    answer = await alice.post("delete", path=small / "x")
    assert (answer.status, answer.json["error"]) == (409, "no-trash")
    assert (await alice.post("move", path=small / "x", folder=here.project)).status == 200
    assert (here.project / "x").read_text() == "x"
    assert not (small / "x").exists()


# ── texts ───────────────────────────────────────────────────────────────────────────────────────────


async def save(bench: Bench, path: Path, text: str, etag: str, **query: str) -> Answer:
    return await bench.ask(
        "PUT", "api/text", params={"path": wire(path)} | query, data=text.encode(), extra={"If-Match": f'"{etag}"'}
    )


async def test_a_conflict_shows_both_and_loses_neither(here: Stand, alice: Bench, bob: Bench) -> None:
    path = here.put("text/notes.md", "start\n")
    here.walk()
    mine, theirs = (await alice.get("text", path)).json, (await bob.get("text", path)).json
    assert mine["etag"] == theirs["etag"]
    assert (await save(bob, path, "bob's\n", theirs["etag"])).status == 200
    refused = await save(alice, path, "alice's\n", mine["etag"])
    assert (refused.status, refused.json["error"], refused.json["text"]) == (412, "changed", "bob's\n")
    assert path.read_text() == "bob's\n"
    assert (await save(alice, path, "alice's\n", refused.json["etag"], keep="1")).status == 200
    assert path.read_text() == "alice's\n"
    row = next(r for r in (await alice.get("trash", root=wire(here.project))).json["rows"] if r["path"] == wire(path))
    assert row["replaced"] is True
    back = await alice.post("trash/restore", root=wire(here.project), entry=row["entry"])
    assert (here.project / "text/notes (restored).md").read_text() == "bob's\n", back.body


async def test_of_many_saves_at_once_one_wins(here: Stand, alice: Bench, bob: Bench) -> None:
    path = here.put("text/race.md", "0")
    here.walk()
    for _ in range(10):
        etag = (await alice.get("text", path)).json["etag"]
        texts = [f"{bench.user} {number} {etag}" for number in range(4) for bench in (alice, bob)]
        answers = await asyncio.gather(*(save((alice, bob)[n % 2], path, text, etag) for n, text in enumerate(texts)))
        assert sorted(answer.status for answer in answers) == [200] + [412] * 7
        winner = next(n for n, answer in enumerate(answers) if answer.status == 200)
        assert path.read_text() == texts[winner]


async def test_saving_keeps_owner_rights_and_other_names(here: Stand, alice: Bench, bob: Bench) -> None:
    path = here.put("text/run.sh", "#!/bin/sh\n")
    path.chmod(0o755)
    os.link(path, path.with_name("same.sh"))
    here.walk()
    before = path.stat()
    etag = (await bob.get("text", path)).json["etag"]
    assert (await save(bob, path, "#!/bin/sh\necho\n", etag)).status == 200
    after = path.stat()
    assert (after.st_ino, after.st_uid, after.st_mode) == (before.st_ino, before.st_uid, before.st_mode)
    assert path.with_name("same.sh").read_text() == "#!/bin/sh\necho\n"


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        (b"a\0b", 415, "binary"),
        (b"\xff\xfe\xfa", 415, "binary"),
        (b"x" * (2 << 20), 200, ""),
        (b"x" * ((2 << 20) + 1), 413, "too-large"),
    ],
)
async def test_what_is_no_text_is_not_opened(here: Stand, alice: Bench, data: bytes, status: int, error: str) -> None:
    answer = await alice.get("text", here.put("text/odd", data))
    assert (answer.status, answer.json.get("error", "")) == (status, error)


async def test_saving_what_went_away_or_without_a_version(here: Stand, alice: Bench) -> None:
    path = here.put("text/gone.md", "x")
    etag = (await alice.get("text", path)).json["etag"]
    no_version = await alice.ask("PUT", "api/text", params={"path": wire(path)}, data=b"y")
    assert no_version.status == 428
    path.unlink()
    answer = await save(alice, path, "y", etag)
    assert (answer.status, answer.json["error"]) == (404, "gone")
    assert not path.exists()


async def test_a_change_of_somebody_else_is_told_of(here: Stand, alice: Bench, bob: Bench) -> None:
    path = here.put("text/told.md", "1")
    here.walk()
    read = (await alice.get("text", path)).json
    assert "etag" not in (await alice.get("text/stamp", path, known=str(read["modified"]))).json
    await save(bob, path, "2", read["etag"])
    assert (await alice.get("text/stamp", path, known="0")).json["etag"] != read["etag"]


# ── permissions ─────────────────────────────────────────────────────────────────────────────────────


async def set_access(bench: Bench, path: Path, dry: bool = False, **asked: Any) -> Answer:
    query = {"path": wire(path)} | ({"dry": "1"} if dry else {})
    return await bench.ask("POST", "api/access", params=query, json=asked)


async def test_taken_rights_are_gone_at_once_and_stay_gone(here: Stand, alice: Bench, bob: Bench) -> None:
    path = here.put("rights/plan.md", "plan")
    here.walk()
    assert (await bob.get("text", path)).json["writable"] is True
    assert (await set_access(alice, path, rights={BOB: "r"})).json == {"changed": 1, "theirs": {}}
    assert (await bob.get("text", path)).json["writable"] is False
    await set_access(alice, path, rights={BOB: ""})
    denied = await bob.get("text", path)
    assert (denied.status, denied.json["error"]) == (403, "denied")
    assert here.walk().changed == 0
    assert (await bob.get("text", path)).status == 403
    seen = {person["name"]: person for person in (await alice.get("access", path)).json["people"]}
    assert (seen[BOB]["set"], seen[VERA]["set"], seen[ALICE]["set"]) == ("", "r", "rw")
    await set_access(alice, path, rights={BOB: "rwx", VERA: "rwx"})
    assert here.walk().changed == 0
    assert (await bob.get("text", path)).json["writable"] is True
    async with here.bench(VERA) as vera:
        assert (await vera.get("text", path)).json["writable"] is False  # a role can't be widened here


async def test_a_closed_folder_with_its_contents(here: Stand, alice: Bench, bob: Bench) -> None:
    here.put("vault/a.md", "a")
    here.put("vault/deep/b.md", "b")
    mine = here.put("vault/bobs.md", "c", owner=BOB)
    here.walk()
    vault = here.project / "vault"
    preview = (await set_access(alice, vault, dry=True, rights={BOB: "", VERA: "rx"}, closed=True, contents=True)).json
    assert preview == {"changed": 4, "theirs": {BOB: 1}}
    assert (await bob.get("folder", vault)).status == 200  # nothing was done yet
    done = (await set_access(alice, vault, rights={BOB: "", VERA: "rx"}, closed=True, contents=True)).json
    assert done == preview
    assert (await bob.get("folder", vault)).status == 403
    assert here.walk().changed == 0
    made = await alice.post("make", folder=vault, name="later.md", kind="file")
    seen = {person["name"]: person for person in (await alice.get("access", vault / "later.md")).json["people"]}
    assert made.status == 200
    assert (seen[BOB]["set"], seen[BOB]["blocked"], seen[VERA]["set"]) == ("", "vault", "r")
    here.walk()
    assert here.walk().changed == 0
    refused = await set_access(alice, mine, rights={BOB: ""})
    assert (refused.status, refused.json["error"]) == (403, "owner")
    assert f"{BOB} can change it here, maintainers on the project's page" in refused.json["message"]


async def test_the_trash_opens_no_closed_folder(here: Stand, alice: Bench, bob: Bench) -> None:
    path = here.put("shut/deep/plan.md", "secret plan")
    here.walk()
    await set_access(alice, here.project / "shut", rights={BOB: ""})
    assert (await bob.get("text", path)).status == 403
    gone = (await alice.post("delete", path=path)).json
    inside = here.project / ".trash" / gone["entry"] / "plan.md"
    assert inside.read_text() == "secret plan"
    here.walk()
    assert (await bob.get("text", inside)).status == 403
    shown = [row["path"] for row in (await bob.get("trash", root=wire(here.project))).json["rows"]]
    assert wire(path) not in shown
    assert (await bob.post("trash/restore", **gone)).status == 403
    assert (await alice.post("trash/restore", **gone)).status == 200


async def test_replacing_a_closed_file_opens_nothing(here: Stand, alice: Bench, bob: Bench) -> None:
    """Neither the new version, nor the old one in the trash, nor what an editor kept there."""
    path = here.put("shut/salaries.csv", "old")
    here.walk()
    await set_access(alice, path, rights={BOB: "", VERA: ""})
    one = Upload(alice, path.parent, path.name, b"new")
    await one.piece(0, 3)
    assert (await one.finish("replace")).status == 200
    etag = (await alice.get("text", path)).json["etag"]
    assert (await save(alice, path, "newer", etag, keep="1")).status == 200
    here.walk()
    assert path.read_text() == "newer"
    assert (await bob.get("text", path)).status == 403
    kept = [entry / path.name for entry in (here.project / ".trash").iterdir() if (entry / path.name).exists()]
    assert sorted(one.read_text() for one in kept) == ["new", "old"]
    for one_kept in kept:
        assert (await bob.get("text", one_kept)).status == 403
    assert (
        len(
            [
                row
                for row in (await alice.get("trash", root=wire(here.project))).json["rows"]
                if row["name"] == path.name
            ]
        )
        == 2
    )


@pytest.mark.parametrize(
    "info",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"path": 5, "by": {}, "at": "x"}',
        '{"path": "/etc", "by": "b", "at": Infinity}',
        "[" * 60000,
    ],
)
async def test_what_somebody_writes_into_the_trash_harms_nobody(here: Stand, alice: Bench, info: str) -> None:
    path = here.put("told/x.txt", "x")
    gone = (await alice.post("delete", path=path)).json
    (here.project / ".trash" / gone["entry"] / ".aen-trash-info").write_text(info)
    assert (await alice.get("trash", root=wire(here.project))).status == 200
    assert (await alice.post("trash/restore", **gone)).status in (400, 409)
    assert (await alice.post("trash/empty", root=here.project, entry=gone["entry"])).json["left"] == 0


async def test_owner_keeps_everything_and_strangers_are_named(here: Stand, alice: Bench, bob: Bench) -> None:
    mine = here.put("rights/bobs.md", "b", owner=BOB)
    here.walk()
    assert (await set_access(bob, mine, rights={ALICE: "", VERA: ""}, closed=True)).status == 200
    assert (await alice.get("text", mine)).json["writable"] is True
    stranger = await set_access(bob, mine, rights={"root": "r"})
    assert (stranger.status, stranger.json["error"]) == (409, "stranger")
    assert (await set_access(bob, here.project, rights={VERA: ""})).status == 409
    for bad in ({"rights": "x"}, {"rights": {BOB: 7}}, {"rights": {BOB: "rwxs"}}):
        assert (await set_access(alice, mine, **bad)).status == 400
    assert (await alice.get("access", alice.home)).status == 409
    assert (await alice.get("access", Path("/etc/passwd"))).status == 409


async def test_a_program_can_be_run_by_whom_the_owner_lets(here: Stand, alice: Bench) -> None:
    path = here.put("rights/tool.sh", "#!/bin/sh\n")
    here.walk()
    assert (await set_access(alice, path, rights={BOB: "r"}, runs=True)).status == 200
    assert path.stat().st_mode & 0o100
    here.walk()
    seen = {person["name"]: person["set"] for person in (await alice.get("access", path)).json["people"]}
    assert (seen[ALICE], seen[BOB], seen[VERA]) == ("rwx", "r", "rx")
    assert (await set_access(alice, path, rights={}, runs=False)).status == 200
    assert path.stat().st_mode & 0o111 == 0


async def test_where_the_team_is_a_group_it_is_said(here: Stand, alice: Bench) -> None:
    path = here.put("rights/grouped.md", "x")
    here.walk(replace(here.task, grants=replace(here.task.grants, groups=(71000, 71001))))
    try:
        assert (await alice.get("access", path)).json["by_group"] is True
        refused = await set_access(alice, path, rights={})
        assert (refused.status, refused.json["error"]) == (409, "group")
    finally:
        here.walk()
    assert (await alice.get("access", path)).json["by_group"] is False


async def test_links_are_not_followed_when_contents_change(here: Stand, alice: Bench) -> None:
    here.put("linked/a.md")
    target = alice.home / "diary.txt"
    target.write_text("dear diary")
    os.chown(target, here.people[ALICE].pw_uid, -1)
    (here.project / "linked/diary").symlink_to(target)
    here.walk()
    assert (await set_access(alice, here.project / "linked", rights={BOB: "rx"}, contents=True)).status == 200
    assert "system.posix_acl_access" not in os.listxattr(target)


async def test_activity_is_what_people_do(here: Stand, alice: Bench) -> None:
    before = (await alice.get("ready")).json["last_activity"]
    await alice.ask("GET", "api/folder", params={"path": wire(here.project)}, extra={"X-Workbench-Alone": "1"})
    assert (await alice.get("ready")).json["last_activity"] == before
    await alice.rows(here.project)
    assert (await alice.get("ready")).json["last_activity"] > before


async def test_client_that_is_no_http_is_survived(alice: Bench) -> None:
    reader, writer = await asyncio.open_unix_connection(str(alice.socket))
    writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
    await reader.read(1000)
    writer.close()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(alice.socket))) as http:
        answer = await http.get(f"http://localhost{alice.prefix}api/ready", headers=alice.headers)
        assert answer.status == 200
        await answer.read()
