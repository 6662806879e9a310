"""The Workbench in a real browser, two people: upload, an edit conflict, rights taken away and seen, the keyboard alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import ClientResponse, web
from playwright.async_api import Browser, Page, Request, Route, expect
from yarl import URL

from aen.languages import LANGUAGE, size
from tests import texts
from tests.browser.chromium import chromium, executable
from tests.workbench import ALICE, BOB, SITE, Bench, Stand, stand

pytestmark = [
    pytest.mark.browser,
    pytest.mark.root,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]
PICTURES = Path(__file__).resolve().parent.parent.parent / ".artifacts" / "workbench"
AUDIT = (Path(__file__).parent / "audit.js").read_text()
_OURS = {"host", "connection", "transfer-encoding", "content-length"}


@asynccontextmanager
async def gate(bench: Bench) -> AsyncIterator[str]:
    """The address of a Workbench behind what the gateway says of a login by cookie. The gateway itself has its own tests."""

    async def handle(request: web.Request) -> web.Response:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _OURS}
        headers |= bench.headers | {
            "X-AEN-Auth": "login",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": request.host,
        }
        url = URL(f"http://localhost{request.raw_path}", encoded=True)
        body = request.content if request.body_exists else None
        async with bench.http.request(request.method, url, headers=headers, data=body, auto_decompress=False) as answer:
            return web.Response(status=answer.status, headers=_passed_on(answer), body=await answer.read())

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{bench.prefix}"
    finally:
        await runner.cleanup()


def _passed_on(answer: ClientResponse) -> dict[str, str]:
    return {key: value for key, value in answer.headers.items() if key.lower() not in _OURS}


@asynccontextmanager
async def two(browser: Browser, made: Stand) -> AsyncIterator[tuple[Page, Page]]:
    """Alice's and bob's page, both open. A script error fails the test."""
    errors: list[str] = []
    async with made.bench(ALICE) as alice, made.bench(BOB) as bob, gate(alice) as mine, gate(bob) as theirs:
        pages = []
        for address in (mine, theirs):
            context = await browser.new_context(viewport={"width": 1200, "height": 800})
            page = await context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(address)
            await page.locator("tr[data-path]").first.wait_for()
            pages.append(page)
        try:
            yield pages[0], pages[1]
        finally:
            PICTURES.mkdir(parents=True, exist_ok=True)
            for name, page in zip(("alice", "bob"), pages, strict=True):
                await page.screenshot(path=PICTURES / f"end-{name}.png")
                await page.context.close()
    assert errors == []


async def test_two_people_at_work(tmp_path: Path) -> None:
    with stand() as made:
        made.put("README.md", "# Genome\n\none\ntwo\n")
        made.put("vault/plan.md", "plan")
        made.put("<img src=x onerror=alert(1)>.txt", "x")
        made.walk()
        async with chromium() as browser, two(browser, made) as (alice, bob):
            await _upload_is_seen_by_the_other(alice, bob, tmp_path)
            await _conflict_loses_nothing(alice, bob, made.project / "README.md")
            await _rights_taken_away_are_seen(alice, bob)
            await _keyboard_alone(alice, made.project)
            await _tabs_say_what_they_are(alice)
            await _what_comes_late_is_not_shown(alice)
            await _narrow_screen_shows_everything(alice)


async def _upload_is_seen_by_the_other(alice: Page, bob: Page, folder: Path) -> None:
    big = folder / f"{'long ' * 48}reads.bin"  # 249 bytes
    big.write_bytes(os.urandom(20 << 20))
    await alice.locator("#choose").set_input_files(big)
    await expect(alice.locator("#uploads .upload")).to_contain_text("reads.bin")
    await expect(alice.get_by_role("link", name="reads.bin")).to_be_visible(timeout=60_000)
    await expect(bob.get_by_role("link", name="reads.bin")).to_be_visible(timeout=20_000)  # without a reload


async def _conflict_loses_nothing(alice: Page, bob: Page, path: Path) -> None:
    for page in (alice, bob):
        await page.get_by_role("link", name="README.md").click()
        await page.locator("textarea").wait_for()
    await alice.locator("textarea").fill("# Genome\n\nalice's line\ntwo\n")
    await bob.locator("textarea").fill("# Genome\n\none\nbob's line\n")
    await bob.keyboard.press("Control+s")
    await expect(bob.get_by_text("Saved", exact=True)).to_be_visible()
    await alice.keyboard.press("Control+s")
    box = alice.get_by_role("dialog", name="Somebody else changed this file")
    await expect(box.locator("[data-whose=mine]")).to_contain_text("alice's line")
    await expect(box.locator("[data-whose=theirs]")).to_contain_text("bob's line")
    await expect(box.locator("[data-whose=mine] .only")).to_have_count(2)  # the changed line, and bob's line as it was
    assert path.read_text() == "# Genome\n\none\nbob's line\n"
    await box.get_by_role("button", name="Save mine over it").click()
    await expect(alice.get_by_text("Saved", exact=True)).to_be_visible()
    assert path.read_text() == "# Genome\n\nalice's line\ntwo\n"
    await expect(bob.locator("textarea")).to_have_value("# Genome\n\nalice's line\ntwo\n", timeout=20_000)
    await alice.get_by_role("link", name="Trash").click()
    await expect(alice.locator(".item", has_text="README.md")).to_contain_text(f"Replaced by {ALICE}")
    for page in (alice, bob):
        await page.goto(page.url.split("#")[0] + "#")
        await page.locator("tr[data-path]").first.wait_for()


async def _rights_taken_away_are_seen(alice: Page, bob: Page) -> None:
    await bob.get_by_role("link", name="vault", exact=True).click()
    await expect(bob.get_by_role("link", name="plan.md")).to_be_visible()
    await alice.get_by_label("What can be done with vault").click()
    await alice.get_by_role("button", name="Permissions…").click()
    box = alice.get_by_role("dialog")
    for what in ("see what is in it", "change what is in it", "enter it"):
        await box.get_by_label(f"{BOB} may {what}").uncheck()
    await expect(box.locator(".effect")).to_contain_text("→ nothing")
    await expect(box.locator(".effect")).to_contain_text("2 files and folders change")
    await box.get_by_role("button", name="Set permissions").click()
    await expect(bob.get_by_text("You have no right to do this here")).to_be_visible(timeout=20_000)  # by itself


async def _keyboard_alone(page: Page, project: Path) -> None:
    """Search, open a folder, make one, rename it, delete it, take that back: without a mouse."""
    await page.reload()
    await page.locator("tr[data-path]").first.wait_for()
    await page.keyboard.press("/")
    await page.keyboard.type("plan")
    await expect(page.locator(".files .sub")).to_have_text(" in vault")
    await page.locator("#find").fill("")
    await page.locator("summary", has_text="New").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.keyboard.type("results <b>")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="results <b>")).to_be_focused()
    await page.keyboard.press("F2")
    await page.keyboard.press("Control+a")
    await page.keyboard.type("results")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="results", exact=True)).to_be_focused()
    assert (project / "results").is_dir()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Delete")
    undo = page.get_by_role("button", name="Undo")
    await undo.focus()
    assert not (project / "results").exists()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="results", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 380])
async def test_every_view_can_be_read_and_reached(scheme: Literal["light", "dark"], width: int) -> None:
    """Names, headings, contrast, no sideways scrolling: the list, its menu, permissions, the editor, a conflict, the trash."""
    with stand() as made:
        made.put("README.md", "# Genome\n")
        made.put("data/x.csv", "1")
        made.put("bobs.txt", "x", owner=BOB)
        made.put("L" * 255, "x")
        (made.project / "link").symlink_to("README.md")
        made.walk()
        async with chromium() as browser, made.bench(ALICE) as alice, gate(alice) as address:
            context = await browser.new_context(
                viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
            )
            page = await context.new_page()
            await page.goto(address)
            await page.locator("tr[data-path]").first.wait_for()
            await page.get_by_label("Select README.md").check()
            await _looked_over(page, f"{scheme}-{width}-list")
            await page.locator("summary[aria-label='What can be done with README.md']").click()
            await _looked_over(page, f"{scheme}-{width}-menu")
            await page.get_by_role("button", name="Permissions…").click()
            await page.locator(".effect li").first.wait_for()
            await _looked_over(page, f"{scheme}-{width}-permissions")
            await page.keyboard.press("Escape")
            await page.get_by_role("link", name="README.md", exact=True).click()
            await page.locator("textarea").fill("mine")
            await _looked_over(page, f"{scheme}-{width}-editor")
            (made.project / "README.md").write_text("theirs")
            await page.keyboard.press("Control+s")
            await page.locator(".versions").wait_for()
            await _looked_over(page, f"{scheme}-{width}-conflict")
            await page.get_by_role("button", name="Save mine over it").click()
            await expect(page.get_by_text("Saved", exact=True)).to_be_visible()
            await page.get_by_role("link", name="Trash").click()
            await page.get_by_role("button", name="Restore README.md").wait_for()
            await _looked_over(page, f"{scheme}-{width}-trash")


async def test_in_german(tmp_path: Path) -> None:
    """On a narrow screen, where long words have little room. Nothing English is left anywhere."""
    english = [text for text, said in texts.of_apps("de").items() if said != text and text.count(" ") > 1]
    with stand() as made:
        made.put("README.md", "# Genome\n")
        made.put("notizen/plan.md", "plan")
        made.put("bobs.txt", "x", owner=BOB)
        made.walk()
        async with chromium() as browser, made.bench(ALICE) as alice, gate(alice) as address:
            context = await browser.new_context(
                viewport={"width": 380, "height": 800}, locale="de-DE", reduced_motion="reduce"
            )
            page = await context.new_page()

            async def look(name: str) -> None:
                await _looked_over(page, f"german-{name}")
                seen = await page.evaluate("document.body.innerText + document.querySelector('main').outerHTML")
                assert [text for text in english if text in seen] == [], name

            await page.goto(address)
            await _files_may_be_dropped(page)
            await _sizes_are_those_of_pages(page)
            await page.get_by_label("README.md auswählen").check()
            await look("list")
            await page.locator("summary[aria-label='Was man mit README.md tun kann']").click()
            await look("menu")
            await page.get_by_role("button", name="Rechte …").click()
            await expect(page.locator(".effect li").first).to_have_text("Nichts ändert sich.")
            await page.get_by_label(f"{BOB} darf ändern").uncheck()
            await expect(page.locator(".effect")).to_contain_text("Eine Datei oder ein Ordner ändert sich.")
            await look("permissions")
            await page.keyboard.press("Escape")
            await page.get_by_role("button", name="Verschieben …").click()
            await page.get_by_role("button", name="Hierher verschieben").wait_for()
            await look("move")
            await page.keyboard.press("Escape")
            await page.get_by_role("link", name="README.md", exact=True).click()
            await page.locator("textarea").fill("meins")
            await expect(page.get_by_text("Noch nicht gesichert")).to_be_visible()
            (made.project / "README.md").write_text("ihres")
            await page.keyboard.press("Control+s")
            await page.locator(".versions").wait_for()
            await look("conflict")
            await page.get_by_role("button", name="Meine darüber sichern").click()
            await expect(page.get_by_text("Gesichert", exact=True)).to_be_visible()
            await look("editor")
            await page.get_by_role("link", name="Papierkorb").click()
            await page.get_by_role("button", name="README.md zurückholen").wait_for()
            await look("trash")
            await page.goto(f"{address}#/nirgends")
            await expect(page.get_by_role("heading", name="Das lässt sich nicht öffnen")).to_be_visible()
            await look("trouble")


async def _files_may_be_dropped(page: Page) -> None:
    """What a browser calls files that are dragged is no text of ours, in no language."""
    await page.locator(".files tr").first.wait_for()
    over = """() => {
        const given = new DataTransfer();
        given.items.add(new File(["x"], "x.txt"));
        const event = new DragEvent("dragover", { dataTransfer: given, bubbles: true, cancelable: true });
        document.querySelector(".files").dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    assert await page.evaluate(over)


async def _sizes_are_those_of_pages(page: Page) -> None:
    numbers = [0, 1, 1023, 1024, 1280, 10_188, 10_189, 10_752, 1_048_063, 1_048_064, 1_572_864, 20 << 30, 5 << 50]
    said = await page.evaluate(
        "async (all) => { const { size } = await import('./static/dom.js'); return all.map(size); }", numbers
    )
    token = LANGUAGE.set("de")
    try:
        assert said == [size(number) for number in numbers]
    finally:
        LANGUAGE.reset(token)


async def _looked_over(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.mouse.move(0, 0)  # nothing is hovered over
    await page.screenshot(path=PICTURES / f"{name}.png")
    assert await page.evaluate(AUDIT) == [], name


async def _tabs_say_what_they_are(page: Page) -> None:
    """The browser's: what is shown first, then the app, then whose."""
    for address, title in (("#", ""), ("#trash", "Trash · ")):
        await page.goto(page.url.split("#")[0] + address)
        await expect(page).to_have_title(f"{title}Workbench · {ALICE}/genome · AEN")
    await page.goto(page.url.split("#")[0] + "#")
    await page.get_by_role("link", name="README.md").click()
    await expect(page).to_have_title(f"README.md · Workbench · {ALICE}/genome · AEN")


async def _what_comes_late_is_not_shown(page: Page) -> None:
    """A slow disk: what was asked for before comes after one has gone on."""
    base = page.url.split("#")[0]
    file = await page.evaluate("location.hash")
    for slow, address in (("trash?", "#trash"), ("text?", file)):
        asked, late, come = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def hold(route: Route, *, asked: asyncio.Event = asked, late: asyncio.Event = late) -> None:
            asked.set()
            await late.wait()
            await route.continue_()

        def finished(request: Request, *, slow: str = slow, come: asyncio.Event = come) -> None:
            if f"/{slow}" in request.url:
                come.set()

        await page.goto(f"{base}#")
        await expect(page.get_by_role("link", name="README.md")).to_be_visible()
        await page.route(f"**/{slow}*", hold)
        page.on("requestfinished", finished)
        await page.goto(f"{base}{address}")
        await asyncio.wait_for(asked.wait(), 20)
        await page.goto(f"{base}#")
        await expect(page).to_have_title(f"Workbench · {ALICE}/genome · AEN")
        late.set()
        await asyncio.wait_for(come.wait(), 20)
        await page.unroute(f"**/{slow}*", hold)
        page.remove_listener("requestfinished", finished)
        await expect(page.get_by_role("link", name="README.md")).to_be_visible()
        await page.evaluate("new Promise((done) => setTimeout(done, 0))")
        await expect(page.get_by_role("link", name="README.md")).to_be_visible()


async def _narrow_screen_shows_everything(page: Page) -> None:
    await page.set_viewport_size({"width": 380, "height": 740})
    await asyncio.sleep(0)
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 380
    back = page.get_by_role("link", name=f"{ALICE}/genome")
    await expect(back).to_have_attribute("href", f"{SITE}/{ALICE}/genome")
    assert await back.evaluate("(link) => link.checkVisibility() && link.getBoundingClientRect().width > 80")
    for name in ("Terminal", "Trash"):
        box = await page.get_by_role("link", name=name).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 380
