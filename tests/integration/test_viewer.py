"""The Viewer as it runs for a person: files shown, nothing of them acts, nothing outside or hidden is shown."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from aen.messages import SessionReport, StopSession
from aen.model import now
from tests.computing import MATE, OWNER, Box, base, box, headers, start, through
from tests.launching import Place, place

pytestmark = pytest.mark.root

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()
EVIL = (
    "<script>steal()</script><img src=x onerror=steal()><iframe src='//evil.example'></iframe>"
    "<a href='javascript:steal()'>go</a><form action='//evil.example'><input name=a></form>"
    "<style>@import '//evil.example'</style><svg onload=steal()></svg><b>bold</b>"
)


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with place("managed") as made:
        yield made


@dataclass
class Page:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Seen:
    """A running Viewer, and the project it shows."""

    running: Box
    report: SessionReport
    http: aiohttp.ClientSession
    project: Path

    async def get(self, path: str, user: str = OWNER, **more: str) -> Page:
        """The answer at an address below the prefix, which is sent as it stands here."""
        from yarl import URL

        address = URL(base(server="viewer") + path, encoded=True)
        given = headers(self.report, user, **more)
        async with self.http.get(address, headers=given, allow_redirects=False) as answer:
            return Page(answer.status, dict(answer.headers), await answer.read())

    def write(self, name: str, data: str | bytes) -> Path:
        """A file of the owner in the project."""
        path = self.project / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        path.chmod(0o644)
        return path


@pytest.fixture
async def viewer(here: Place) -> AsyncIterator[Seen]:
    async with box(here) as running:
        await running.ready()
        report = await running.started(start(server="viewer", generation=now()))
        async with through(report) as http:
            seen = Seen(running, report, http, Path(here.policy.project_root, OWNER, "genome"))
            yield seen
        await running.ask(StopSession(session=report.session))
        for left in ("shown", "secret.txt", "away", "closed.txt"):
            path = seen.project / left
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def harmless(page: Page) -> None:
    """Assert that nothing in it can act, and that the browser is told to let nothing act."""
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    for tag in re.findall(r"<[a-zA-Z/!][^>]*>", page.text):
        assert not re.match(r"<(script|iframe|object|embed|form|input|svg|base|link)\b", tag, re.I), tag
        assert not re.search(r"\son[a-z]+\s*=", re.sub(r'"[^"]*"', '""', tag), re.I), tag
        assert not re.search(r"javascript:", tag, re.I), tag


def notebook(*cells: dict[str, object]) -> str:
    kernel = {"language_info": {"name": "python"}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": list(cells)})


def cell(kind: str, source: str, **more: object) -> dict[str, object]:
    code = {"outputs": [], "execution_count": 7} if kind == "code" else {}
    return {"cell_type": kind, "id": "c1", "metadata": {}, "source": source, **code, **more}


def output(**data: str) -> dict[str, object]:
    return {"output_type": "display_data", "metadata": {}, "data": {k.replace("_", "/"): v for k, v in data.items()}}


async def test_it_speaks_the_readers_language(viewer: Seen) -> None:
    """Of their account, which the gateway tells; else of their browser. Errors too, and amounts."""
    viewer.write("shown/reads.txt", b"a" * 3400)
    german, english = {"Accept-Language": "de"}, {"Accept-Language": "de", "X-AEN-Language": "en"}
    for given, words in ((german, ("Geändert", "3,3 KB", "Das lässt sich nicht zeigen", "Es ist nicht mehr da.")),
                         (english, ("Changed", "3.3 KB", "This can&#x27;t be shown", "It is not there any more."))):  # fmt: skip
        folder, gone = await viewer.get("shown/", **given), await viewer.get("shown/nothing", **given)
        assert [word in folder.text for word in words[:2]] == [True, True]
        assert [word in gone.text for word in words[2:]] == [True, True]
        assert f'<html lang="{"de" if given is german else "en"}">' in folder.text
        harmless(folder)


async def test_folders(viewer: Seen) -> None:
    viewer.write("shown/a <b>&.txt", "x")
    viewer.write("shown/README.md", f"# About\n\nThis *is* [it](other.md).\n\n{EVIL}")
    viewer.write("shown/.hidden", "x")
    (viewer.project / "shown" / "deeper").mkdir()
    (viewer.project / "shown" / "way-out").symlink_to("/etc/passwd")
    top = await viewer.get("")
    assert (top.status, top.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert 'href="./shown/"' in top.text
    assert ".git" not in top.text
    harmless(top)
    moved = await viewer.get("shown")
    assert (moved.status, moved.headers["Location"]) == (301, f"/{OWNER}/genome/viewer/shown/")
    page = await viewer.get("shown/")
    assert page.status == 200
    harmless(page)
    assert 'href="./a%20%3Cb%3E%26.txt"' in page.text
    assert "a &lt;b&gt;&amp;.txt" in page.text
    assert 'href="./deeper/"' in page.text
    assert "<em>is</em>" in page.text
    assert 'href="other.md"' in page.text
    for hidden in (".hidden", "way-out"):
        assert hidden not in page.text


async def test_a_notebook_is_shown_and_nothing_in_it_acts(viewer: Seen) -> None:
    attached = {"p.png": {"image/png": PIXEL}}
    book = notebook(
        cell("markdown", f"# Title\n\n![p](attachment:p.png)\n\n{EVIL}", attachments=attached),
        cell(
            "code",
            "def f(): return '<script>'",
            outputs=[
                {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\x1b[0m <script>steal()</script>\n"},
                output(text_html=f"<table><tr><td>cell</td></tr></table>{EVIL}", text_plain="no"),
                output(image_png=PIXEL),
                output(**{"image_svg+xml": "<svg onload=steal()></svg>", "text_plain": "a drawing"}),
                output(image_png='"><script>steal()</script>', text_plain="no picture"),
                output(application_javascript="steal()"),
                {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["<script>steal()</script>"]},
            ],
        ),
        cell("raw", EVIL),
    )
    viewer.write("shown/b.ipynb", book)
    page = await viewer.get("shown/b.ipynb")
    assert page.status == 200
    harmless(page)
    text = page.text
    assert re.search(r"<h1[^>]*>Title", text)
    assert "<b>bold</b>" in text
    assert "@import" not in text.partition('<pre class="raw"')[0]
    assert f'src="data:image/png;base64,{PIXEL}"' in text
    assert text.count("data:image/png") == 2  # the attachment, and the output
    assert re.search(r"<td>cell</td>", text)
    assert "[7]" in text
    assert "a drawing" in text
    assert "no picture" in text
    assert "&lt;script&gt;steal()" in text
    assert re.search(r'<span class="k">def</span>', text)
    broken = viewer.write("shown/c.ipynb", '{"cells": [')
    page = await viewer.get(f"shown/{broken.name}")
    assert "no notebook" in page.text
    harmless(page)


async def test_files_and_raw(viewer: Seen) -> None:
    viewer.write("shown/code.py", "import os  # <b>\n")
    page = await viewer.get("shown/code.py")
    harmless(page)
    assert "&lt;b&gt;" in page.text
    viewer.write("shown/page.html", EVIL)
    harmless(await viewer.get("shown/page.html"))
    raw = await viewer.get("shown/page.html?raw=1")
    assert raw.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert raw.text == EVIL
    viewer.write("shown/data.bin", b"\0\1\2" * 100)
    assert "be shown as text" in (await viewer.get("shown/data.bin")).text
    raw = await viewer.get("shown/data.bin?raw=1")
    assert raw.body == b"\0\1\2" * 100
    assert raw.headers["Content-Disposition"].startswith("attachment")
    viewer.write("shown/p.png", base64.b64decode(PIXEL))
    assert 'src="./p.png?raw=1"' in (await viewer.get("shown/p.png")).text
    assert (await viewer.get("shown/p.png", **{"Sec-Fetch-Dest": "image"})).headers["Content-Type"] == "image/png"
    viewer.write("shown/p.svg", "<svg onload=steal()></svg>")
    drawing = await viewer.get("shown/p.svg?raw=1")
    assert drawing.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    viewer.write("shown/caf\u00e9.txt", "caf\u00e9".encode("latin-1"))
    assert "caf\u00e9" in (await viewer.get("shown/caf%C3%A9.txt")).text
    (viewer.project / "shown" / os.fsdecode(b"odd\xff\n")).write_text("odd")
    assert "odd" in (await viewer.get("shown/odd%FF%0A")).text


async def test_it_says_what_it_is_and_leads_back(viewer: Seen) -> None:
    """The browser's tab names the thing first and nothing twice; each page, also of an error, leads to the project's."""
    viewer.write("shown/a&b.txt", "x")
    slug = f"{OWNER}/genome"
    for path, title in (
        ("", f"Viewer · {slug} · AEN"),
        ("shown/", f"shown · Viewer · {slug} · AEN"),
        ("shown/a%26b.txt", f"a&amp;b.txt · Viewer · {slug} · AEN"),
        ("shown/nothing", f"Viewer · {slug} · AEN"),
    ):
        page = await viewer.get(path)
        assert f"<title>{title}</title>" in page.text
        back = re.search(r'<a class="back" href="([^"]+)"[^>]*>([^<]+)</a>', page.text)
        assert back is not None, path
        assert (back[1], back[2]) == (f"http://site.example:8080/{slug}", f"‹ {slug}")


async def test_what_is_not_shown(viewer: Seen) -> None:
    viewer.write("secret.txt", "mine").chmod(0o600)
    (viewer.project / "secret.txt").rename(viewer.project / "closed.txt")
    os.chown(viewer.project / "closed.txt", 0, 0)
    (viewer.project / "closed.txt").chmod(0o600)
    (viewer.project / "away").symlink_to("/etc")
    (viewer.project / "shown").mkdir()
    (viewer.project / "shown" / "link").symlink_to("/etc/passwd")
    os.mkfifo(viewer.project / "shown" / "pipe")
    for path, status in (
        ("nothing", 404),
        ("nothing/at/all", 404),
        (".git/config", 404),
        ("shown/.hidden", 404),
        ("away/passwd", 409),
        ("away", 404),
        ("shown/link", 404),
        ("shown/link?raw=1", 404),
        ("shown/pipe", 404),
        ("closed.txt", 403),
        ("closed.txt?raw=1", 403),
        ("..%2f..%2fetc/passwd", 400),
        ("shown/%2e%2e/x", 400),
        ("shown/%00", 400),
        ("closed.txt/", 404),
    ):
        page = await viewer.get(path)
        assert page.status == status, path
        assert page.headers["Content-Type"].startswith("text/html"), path
        assert "root:" not in page.text
        harmless(page)


async def test_who_is_let_in_and_what_counts(viewer: Seen) -> None:
    assert (await viewer.get("", user=MATE)).status == 403
    assert (await viewer.get("", **{"X-AEN-App-Token": "wrong"})).status == 401
    async with viewer.http.post(base(server="viewer"), headers=headers(viewer.report)) as answer:
        assert answer.status == 405
    before = json.loads((await viewer.get(".aen/ready")).text)["last_activity"]
    assert json.loads((await viewer.get(".aen/ready")).text)["last_activity"] == before  # being asked is no use
    assert (await viewer.get("")).status == 200
    assert json.loads((await viewer.get(".aen/ready")).text)["last_activity"] > before
    await viewer.running.role.activity.ask()
    assert viewer.running.role.sessions.running()[0].activity_source == "a page that was opened"
