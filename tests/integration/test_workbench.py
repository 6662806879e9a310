"""The Workbench's program over its socket, as real accounts: browsing, changing, trash, downloads, who is let in."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from tests.workbench import ALICE, BOB, ORIGIN, VERA, Bench, Stand, wire

pytestmark = pytest.mark.root


# ── who is let in ───────────────────────────────────────────────────────────────────────────────────


async def test_only_the_person_through_the_gateway(alice: Bench) -> None:
    right = alice.headers
    for headers, status in (
        ({}, 401),
        (right | {"X-AEN-App-Token": "x" * 22}, 401),
        (right | {"X-AEN-User": BOB}, 403),
        ({"X-AEN-User": ALICE}, 401),
        (right, 200),
    ):
        for address in ("", "api/about", "static/workbench.js", "api/ready"):
            answer = await alice.ask("GET", address, headers=headers)
            assert answer.status == status, (headers, address)
    assert (await alice.ask("GET", "../../../etc/passwd")).status in (401, 404)


async def test_browsers_must_mean_what_they_change(alice: Bench) -> None:
    page = (await alice.ask("GET", "")).body.decode()
    xsrf = page.split('name="xsrf" content="')[1].split('"')[0]
    scheme, _, host = ORIGIN.partition("://")
    cookie = alice.headers | {"X-AEN-Auth": "login", "X-Forwarded-Proto": scheme, "X-Forwarded-Host": host}
    body = {"folder": wire(alice.project), "name": "meant", "kind": "folder"}
    for more, status in (
        ({}, 403),
        ({"Origin": ORIGIN}, 403),
        ({"Origin": ORIGIN, "X-XSRF-Token": "guessed"}, 403),
        ({"X-XSRF-Token": xsrf}, 403),
        ({"Origin": "http://evil.example", "X-XSRF-Token": xsrf}, 403),
        ({"Origin": ORIGIN + ".evil.example", "X-XSRF-Token": xsrf}, 403),
        ({"Origin": "null", "X-XSRF-Token": xsrf}, 403),
        ({"Origin": ORIGIN, "X-XSRF-Token": xsrf}, 200),
    ):
        answer = await alice.ask("POST", "api/make", headers=cookie | more, json=body)
        assert answer.status == status, more


async def test_page_runs_only_its_own_scripts(alice: Bench) -> None:
    answer = await alice.ask("GET", "")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "language", "words"),
    [
        ({}, "en", "It is not there any more."),
        ({"Accept-Language": "de-CH,en;q=0.5"}, "de", "Es ist nicht mehr da."),
        ({"X-AEN-Language": "en", "Accept-Language": "de"}, "en", "It is not there any more."),
        ({"X-AEN-Language": "de"}, "de", "Es ist nicht mehr da."),
    ],
)
async def test_it_speaks_the_readers_language(
    here: Stand, alice: Bench, headers: dict[str, str], language: str, words: str
) -> None:
    """The page, what its scripts say, errors with and without fields; amounts as they are written there."""
    page = (await alice.ask("GET", "", extra=headers)).body.decode()
    assert f'<html lang="{language}">' in page
    assert ("Zu den Dateien springen" in page, "Skip to the files" in page) == (language == "de", language == "en")
    assert ("{name} auswählen" in page) == (language == "de")
    gone = await alice.ask("GET", "api/folder", params={"path": wire(here.project / "nowhere")}, extra=headers)
    assert gone.json["message"].startswith(words)
    here.put("heavy.txt").write_bytes(b"a" * (3 << 20))
    heavy = await alice.ask("GET", "api/text", params={"path": wire(here.project / "heavy.txt")}, extra=headers)
    assert ("3,0 MB" in heavy.json["message"], "3.0 MB" in heavy.json["message"]) == (
        language == "de",
        language == "en",
    )
    assert heavy.json["error"] == "too-large"


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────


async def test_listing_says_what_things_are(here: Stand, alice: Bench) -> None:
    here.put("look/a.txt", "12345")
    here.put("look/sub/b.txt")
    (here.project / "look/link").symlink_to("/etc/shadow")
    os.mkfifo(here.project / "look/pipe")
    rows = {row["name"]: row for row in await alice.rows(here.project / "look")}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "sub": "folder",
        "a.txt": "file",
        "link": "link",
        "pipe": "other",
    }
    assert (rows["a.txt"]["size"], rows["a.txt"]["owner"], rows["a.txt"]["mine"]) == (5, ALICE, True)
    assert rows["link"]["target"] == "/etc/shadow"


HOSTILE = [
    b"new\nline",
    b"<script>alert(1)",
    b"not-\xff\xfe-text",
    b"x" * 255,
    "right\u202eleft".encode(),
    b"-rf",
    b"$(touch x)`y`",
    b"tab\there \x1b[31mred",
    "Ünïcode 🧬".encode(),
    b"%2e%2e%2f",
    b"a?b#c&d=e",
    b"..hidden..",
    b"back\\slash",
]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
async def test_any_name_goes_round(here: Stand, alice: Bench, name: bytes) -> None:
    folder = here.project / "names"
    if not folder.exists():
        here.put("names/first")
    made = await alice.post("make", folder=folder, name=wire(name), kind="file")
    assert made.status == 200, made.body
    rows = await alice.rows(folder, hidden="1")
    row = next(row for row in rows if row["path"] == made.json["path"])
    assert not any(ord(sign) < 0x20 or sign in "\u202e\x1b" for sign in row["name"])
    path = os.fsencode(folder) + b"/" + name
    assert os.path.exists(path)
    text = await alice.get("text", path)
    assert (
        await alice.ask(
            "PUT", "api/text", params={"path": wire(path)}, data=b"hi", extra={"If-Match": text.json["etag"]}
        )
    ).status == 200
    answer = await alice.get("file", path)
    assert (answer.status, answer.body) == (200, b"hi")
    assert "\n" not in answer.headers["Content-Disposition"]
    found = await alice.get("zip", path)
    assert zipfile.ZipFile(io.BytesIO(found.body)).testzip() is None
    deleted = await alice.post("delete", path=path)
    assert deleted.status == 200
    assert (await alice.post("trash/restore", **deleted.json)).status == 200
    assert os.path.exists(path)


@pytest.mark.parametrize("path", ["", "x", "/a/../b", "/a/./b", "/a%00b", "/%2e%2e/etc", "/" + "y" * 5000])
async def test_paths_that_are_none(alice: Bench, path: str) -> None:
    assert (await alice.ask("GET", "api/folder", params={"path": path})).status == 400


@pytest.mark.parametrize("name", ["", ".", "..", "a%2Fb", "%00", "y" * 256, ".trash", ".aen-upload-1"])
async def test_names_that_nothing_may_have(alice: Bench, name: str) -> None:
    answer = await alice.post("make", folder=alice.project, name=name, kind="file")
    assert answer.status == 400, answer.body
    assert answer.json["message"]


async def test_links_lead_nowhere_by_themselves(here: Stand, alice: Bench) -> None:
    """A link that somebody of the team plants must not lead alice's Workbench into her own home."""
    (alice.home / "private").mkdir(exist_ok=True)
    (alice.home / "private" / "key").write_text("secret")
    os.chown(alice.home / "private" / "key", here.people[ALICE].pw_uid, -1)
    trap = here.project / "trap"
    trap.symlink_to(alice.home / "private")
    for address in ("folder", "search", "access"):
        assert (await alice.get(address, trap / "key", q="k")).status in (404, 409)
    for address in ("file", "picture", "text", "zip"):
        answer = await alice.get(address, trap / "key")
        assert answer.status in (404, 409), address
        assert b"secret" not in answer.body
    assert (await alice.post("delete", path=trap / "key")).status in (404, 409)
    assert (await alice.post("make", folder=trap, name="x", kind="file")).status in (404, 409)
    assert (alice.home / "private" / "key").exists()
    resolved = await alice.get("resolve", trap)
    assert resolved.json["path"] == wire(alice.home / "private")
    assert await alice.names(alice.home / "private") == ["key"]


async def test_the_kernel_decides(here: Stand, alice: Bench) -> None:
    here.put("closed/plan.txt", "for members")
    here.walk()
    async with here.bench(VERA) as vera:
        assert (await vera.get("text", here.project / "closed/plan.txt")).json["writable"] is False
        for address, body in (
            ("make", {"folder": here.project, "name": "x", "kind": "file"}),
            ("delete", {"path": here.project / "closed/plan.txt"}),
            ("rename", {"path": here.project / "closed/plan.txt", "name": "y"}),
        ):
            answer = await vera.post(address, **body)
            assert answer.status == 403
            assert "no right" in answer.json["message"]
        assert (await vera.get("folder", alice.home)).status in (403, 200)
        assert (await vera.get("file", Path("/etc/shadow"))).status == 403
        assert (await vera.get("folder", here.project)).json["writable"] is False


async def test_rows_come_in_the_order_that_is_asked_for(here: Stand, alice: Bench) -> None:
    top = here.project / "rows"
    for place, size, at in (("b.txt", 3, 30), ("A.txt", 5, 10), ("c.txt", 1, 20), ("z/x", 1, 1), ("y/x", 1, 1)):
        path = here.put(f"rows/{place}", "x" * size)
        os.utime(path, (at, at))
    (top / "gone").symlink_to("nowhere")

    async def names(**query: str) -> list[str]:
        return [row["name"] for row in await alice.rows(top, **query)]

    assert await names() == ["y", "z", "A.txt", "b.txt", "c.txt", "gone"]
    assert await names(desc="1") == ["z", "y", "gone", "c.txt", "b.txt", "A.txt"]
    assert (await names(sort="size"))[2:] == ["gone", "c.txt", "b.txt", "A.txt"]
    assert (await names(sort="size", desc="1"))[2:5] == ["A.txt", "b.txt", "c.txt"]
    assert (await names(sort="modified"))[2:5] == ["A.txt", "c.txt", "b.txt"]
    for place, owner in (("b.txt", VERA), ("c.txt", BOB)):
        os.chown(top / place, here.people[owner].pw_uid, -1)
    assert [name for name in await names(sort="owner") if name.endswith("txt")] == ["A.txt", "c.txt", "b.txt"]


async def test_of_a_huge_folder_the_first_rows_are_shown(here: Stand, alice: Bench) -> None:
    top = here.put("huge/zz/x").parent.parent
    for number in range(2100):
        (top / f"f{number:04d}").touch()
    for query, last in ({}, "f1998"), ({"sort": "size"}, ""), ({"desc": "1"}, "f0101"):
        found = (await alice.get("folder", top, **query)).json
        assert (found["total"], len(found["rows"]), found["rows"][0]["name"]) == (2101, 2000, "zz")
        assert not last or found["rows"][-1]["name"] == last


async def test_search_finds_as_one_types(here: Stand, alice: Bench) -> None:
    here.put("deep/er/Genome Results.CSV")
    here.put("envs/default/genome.py")
    (here.project / "deep" / "loop").symlink_to(here.project)
    for words in ("gen", "results genome", "csv RES"):
        found = (await alice.get("search", here.project, q=words)).json
        assert [row["name"] for row in found["rows"]] == ["Genome Results.CSV"], words
        assert found["complete"] is True
    assert found["rows"][0]["folder"] == "deep/er"


# ── changing ────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_replaced_without_a_word(here: Stand, alice: Bench) -> None:
    here.put("same/a", "mine")
    here.put("same/b", "other")
    here.put("same/sub/a", "deeper")
    for address, body in (
        ("make", {"folder": here.project / "same", "name": "a", "kind": "file"}),
        ("make", {"folder": here.project / "same", "name": "sub", "kind": "folder"}),
        ("rename", {"path": here.project / "same/a", "name": "b"}),
        ("rename", {"path": here.project / "same/a", "name": "sub"}),
        ("move", {"path": here.project / "same/a", "folder": here.project / "same/sub"}),
    ):
        answer = await alice.post(address, **body)
        assert (answer.status, answer.json["error"]) == (409, "exists"), address
    assert (here.project / "same/b").read_text() == "other"
    assert (here.project / "same/sub/a").read_text() == "deeper"


async def test_move_copy_and_a_folder_never_into_itself(here: Stand, alice: Bench) -> None:
    here.put("tree/x/one", "1")
    here.put("tree/x/deep/two", "2")
    (here.project / "tree/x/link").symlink_to("one")
    top = here.project / "tree"
    copied = await alice.post("copy", path=top / "x", folder=top)
    assert copied.json["path"] == wire(top / "x (copy)")
    assert (top / "x (copy)/deep/two").read_text() == "2"
    assert os.readlink(top / "x (copy)/link") == "one"
    for verb in ("move", "copy"):
        assert (await alice.post(verb, path=top / "x", folder=top / "x/deep")).status == 409
    assert (await alice.post("move", path=top / "x", folder=top / "x (copy)")).status == 200
    assert sorted(os.listdir(top)) == ["x (copy)"]
    moved_home = await alice.post("copy", path=top / "x (copy)", folder=alice.home)
    assert (alice.home / "x (copy)/x/one").exists(), moved_home.body


async def test_trash_there_and_back(here: Stand, alice: Bench, bob: Bench) -> None:
    path = here.put("bin/notes.md", "text")
    here.walk()
    gone = (await bob.post("delete", path=path)).json
    assert not path.exists()
    assert ".trash" not in await alice.names(here.project)
    row = next(
        row for row in (await alice.get("trash", root=wire(here.project))).json["rows"] if row["entry"] == gone["entry"]
    )
    assert (row["name"], row["by"], row["path"]) == ("notes.md", BOB, wire(path))
    path.write_text("a new one of that name")
    back = await alice.post("trash/restore", **gone)
    assert back.json["path"] == wire(here.project / "bin/notes (restored).md")
    assert (here.project / "bin/notes (restored).md").read_text() == "text"
    folder = (await alice.post("delete", path=here.project / "bin")).json
    assert (await alice.post("trash/restore", **folder)).status == 200
    last = (await alice.post("delete", path=path)).json
    emptied = await alice.post("trash/empty", root=here.project, entry=last["entry"])
    assert emptied.json["left"] == 0
    assert (await alice.post("trash/restore", **last)).status == 404
    for entry in ("..", "../x", "1/../../bin", "", "x"):
        assert (await alice.post("trash/restore", root=wire(here.project), entry=entry)).status == 404
    assert (here.project / "bin/notes (restored).md").exists()


async def test_the_trash_gets_rid_of_what_lies_deeper_than_descriptors_reach(here: Stand, alice: Bench) -> None:
    here.put("bomb/" + "d/" * 450 + "end", "x")
    here.put("bomb/d/beside", "x")
    gone = (await alice.post("delete", path=here.project / "bomb")).json
    emptied = await alice.post("trash/empty", root=here.project, entry=gone["entry"])
    assert (emptied.status, emptied.json["left"]) == (200, 0)
    assert emptied.json["removed"] >= 453
    assert gone["entry"] not in os.listdir(here.project / ".trash")


async def test_trash_outside_is_told_and_for_good_only(here: Stand, alice: Bench) -> None:
    outside = here.top / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "x").write_text("x")
    os.chown(outside, here.people[ALICE].pw_uid, -1)
    answer = await alice.post("delete", path=outside / "x")
    assert (answer.status, answer.json["error"]) == (409, "no-trash")
    assert (await alice.post("delete", path=outside / "x", forever=True)).status == 200
    assert not (outside / "x").exists()
    assert (await alice.post("delete", path=here.project)).status == 400
    assert (await alice.post("delete", path=here.project, forever=True)).status == 400


# ── downloads ───────────────────────────────────────────────────────────────────────────────────────


async def test_download_never_runs_in_the_browser(here: Stand, alice: Bench) -> None:
    path = here.put("down/page.html", "<script>alert(1)</script>" * 100)
    answer = await alice.get("file", path)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    part = await alice.ask("GET", "api/file", params={"path": wire(path)}, extra={"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, b"pt>al")
    assert part.headers["Content-Range"] == "bytes 5-9/2500"


async def test_pictures_by_their_first_bytes(here: Stand, alice: Bench) -> None:
    png = here.put("down/a.txt", b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    html = here.put("down/b.png", "<html><script>alert(1)</script>")
    svg = here.put("down/c.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    assert (await alice.get("picture", png)).headers["Content-Type"] == "image/png"
    assert (await alice.get("picture", html)).status == 415
    drawing = await alice.get("picture", svg)
    assert "sandbox; default-src 'none'" in drawing.headers["Content-Security-Policy"]


async def test_zip_holds_what_one_may_read_and_no_links(here: Stand, alice: Bench) -> None:
    here.put("pack/a.txt", "a" * 100_000)
    here.put("pack/sub/b.txt", "b")
    locked = here.put("pack/sub/locked.txt", "c")
    locked.chmod(0)
    os.chown(locked, 0, 0)
    (here.project / "pack/shadow").symlink_to("/etc/shadow")
    (here.project / "pack/etc").symlink_to("/etc")
    os.mkfifo(here.project / "pack/pipe")
    answer = await alice.get("zip", here.project / "pack")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as made:
        assert made.testzip() is None
        assert sorted(made.namelist()) == ["LEFT OUT.txt", "pack/", "pack/a.txt", "pack/sub/", "pack/sub/b.txt"]
        assert made.read("pack/a.txt") == b"a" * 100_000
        left = made.read("LEFT OUT.txt").decode()
    for name in ("pack/shadow", "pack/etc", "pack/pipe", "pack/sub/locked.txt"):
        assert name in left
    assert (await alice.get("zip", here.project / "nothing")).status == 404


async def test_zip_is_cut_off_with_its_reader(here: Stand, alice: Bench) -> None:
    """Who goes away in the middle leaves no thread behind that holds the next one up."""
    path = here.put("big/random", os.urandom(8 << 20))
    for _ in range(12):  # more than there are threads
        async with alice.http.get(
            f"http://localhost{alice.prefix}api/zip", params={"path": wire(path)}, headers=alice.headers
        ) as answer:
            await answer.content.read(1000)
            answer.close()
    assert (await alice.get("zip", here.project / "down")).status == 200


async def test_modes_are_plain(here: Stand, alice: Bench) -> None:
    """What the Workbench makes in the project is shared by the project's default ACL, not by its own idea."""
    here.walk()
    await alice.post("make", folder=here.project, name="shared.txt", kind="file")
    async with here.bench(BOB) as other:
        assert (await other.get("text", here.project / "shared.txt")).json["writable"] is True
    assert stat.S_IMODE((here.project / "shared.txt").stat().st_mode) & 0o007 == 0
