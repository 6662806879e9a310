"""Every page in a real browser: readable, labelled, inside a 380 px window, quiet in the console; live; by keyboard."""

from __future__ import annotations

import asyncio
import re
import struct
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from aen.model.session import Phase
from tests.browser.chromium import executable
from tests.browser.sample import Sample
from tests.browser.shots import PAGES, sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]
AUDIT = (Path(__file__).parent / "audit.js").read_text()


async def context_of(browser: Browser) -> BrowserContext:
    return await browser.new_context(
        viewport={"width": 1280, "height": 800},
        color_scheme="light",
        reduced_motion="reduce",
    )


LOOKS = [("light", 1280), ("dark", 1280), ("light", 380), ("dark", 380)]


async def badly_titled(page: Page) -> list[str]:
    """A browser's tab says what it is, most specific first: the open tab or section stands in it, nothing stands twice."""
    parts = (await page.title()).split(" · ")
    chosen = page.locator(".tabs [aria-current], .vtabs [aria-current]")
    named = [await one.evaluate("(a) => a.lastChild.textContent.trim()") for one in await chosen.all()]
    overview = page.locator(".tabs [aria-current=page]", has_text="Overview")
    wrong = [f"the title {parts} says something twice"] if len(set(parts)) < len(parts) or "" in parts else []
    if parts[-1] != "AEN":
        wrong.append(f"the title {parts} does not end with AEN")
    if await page.locator("nav[aria-label=Project]").count() and not await overview.count():
        wrong += [f"the title {parts} lacks {name}" for name in named if name not in parts]
    return wrong


async def test_every_page_is_readable_labelled_quiet_and_fits(made: Sample, browser: Browser) -> None:
    wrong: list[str] = []
    titles: dict[str, set[str]] = {}

    def watch(page: Page) -> None:
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(made.server.url) else wrong.append(asked.url))

    for person in dict.fromkeys(shot.person for shot in PAGES):
        context = await context_of(browser)
        page = await context.new_page()
        watch(page)
        if person:
            await sign_in(made, page, person)
        for shot in [shot for shot in PAGES if shot.person == person]:
            await page.goto(made.server.url + shot.path, wait_until="load")
            for theme, width in LOOKS:
                await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                await page.set_viewport_size({"width": width, "height": 800})
                wrong += [f"{shot.name}, {theme}, {width}: {text}" for text in await page.evaluate(AUDIT)]
            wrong += [f"{shot.name}: {text}" for text in await badly_titled(page)]
            titles.setdefault(await page.title(), set()).add(shot.path.partition("?")[0])
        await context.close()
    wrong += [f"{paths} are all called {title}" for title, paths in titles.items() if len(paths) > 1]
    expected = "status of 40"  # the pages of errors are answered with an error, and the console says so
    assert [text for text in wrong if expected not in text] == []


async def test_a_project_page_follows_what_happens(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    await page.goto(f"{made.server.url}/bob/microscopy")
    await expect(page.locator(".step[data-state=running]")).to_contain_text("Environment")
    await page.evaluate("window.notReloaded = true")
    await made.node.run(made.starting)
    await expect(page.locator("#head .state", has_text="Running")).to_be_visible()
    await expect(page.locator(".step")).to_have_count(0)
    assert await page.evaluate("window.notReloaded")


async def test_an_open_page_goes_to_the_login_when_its_person_signs_out_elsewhere(
    made: Sample, browser: Browser
) -> None:
    pages = [await (await context_of(browser)).new_page() for _ in range(2)]
    for page in pages:
        await sign_in(made, page, "alice")
    async with pages[0].expect_response("**/events"):
        await pages[0].goto(f"{made.server.url}/alice/scratch")  # nothing goes on there, so it asks for nothing
    await pages[1].goto(f"{made.server.url}/account/logins")
    await pages[1].get_by_role("button", name="Sign out everywhere").click()
    await pages[1].locator("dialog[open]").get_by_role("button", name="Sign out everywhere").click()
    await expect(pages[0]).to_have_url(re.compile(r"/login\?next="), timeout=15_000)


async def test_the_page_of_a_start_goes_to_the_app(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    gone: list[str] = []
    page.on("request", lambda asked: gone.append(asked.url) if asked.is_navigation_request() else None)
    await page.goto(f"{made.server.url}/bob/microscopy/open/jupyterlab")
    await expect(page.locator(".step")).to_have_count(5)
    await expect(page.get_by_role("link", name="Back to the project")).to_have_attribute("href", "/bob/microscopy")
    gateway = made.server.config.gateway.url
    async with page.expect_request(lambda asked: asked.url.startswith(gateway)) as going:
        await made.node.run(made.starting)
    assert (await going.value).url == f"{gateway}/bob/microscopy/jupyter/lab"


async def test_a_start_that_fails_says_why_and_starts_again(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    await page.goto(f"{made.server.url}/alice/scratch/open/jupyterlab")
    await expect(page.get_by_text("disk full")).to_be_visible()
    await expect(page.locator(".step[data-state=failed]")).to_have_count(1)
    made.node.hold = True
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".step[data-state=failed]")).to_have_count(0)
    sessions = await made.server.domain.sessions.of_project(await made.server.actor("alice"), "alice", "scratch")
    assert sessions[0].phase in (Phase.QUEUED, Phase.STARTING)


async def test_the_keyboard_is_enough(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await page.goto(f"{made.server.url}/login")
    await page.keyboard.type("alice")
    await page.keyboard.press("Tab")
    await page.keyboard.type("correct horse battery")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{made.server.url}/")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.locator("main").locator("a, button, input, summary").first).to_be_focused()  # past the bar
    menu = page.get_by_label("Your menu")
    await menu.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    await expect(menu).to_be_focused()


async def test_what_is_lost_is_asked_about_first(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    await page.goto(f"{made.server.url}/alice/genome")
    stop = page.locator("#actions").get_by_role("button", name="Stop")
    await stop.click()
    await expect(page.get_by_role("dialog")).to_contain_text("Unsaved work")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator("#head .state", has_text="Running")).to_be_visible()
    await stop.click()
    await page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    await expect(page.locator("#head .state", has_text="Stopped")).to_be_visible()


async def test_a_project_is_deleted_only_with_its_name_typed(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    await page.goto(f"{made.server.url}/alice/climate-atlas/settings/admin")
    button = page.get_by_role("button", name="Delete project")
    await expect(button).to_be_disabled()
    await page.get_by_label("Type climate-atlas to confirm").fill("climate-atlas")
    await button.click()
    await expect(page.get_by_role("heading", name="This project is deleted")).to_be_visible()
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_role("heading", name="This project is deleted")).to_have_count(0)
    await page.goto(f"{made.server.url}/alice/climate-atlas/settings/admin")
    await page.get_by_label("Type climate-atlas to confirm").fill("climate-atlas")
    await page.get_by_role("button", name="Delete project").click()
    await page.get_by_text("Delete it for good now").click()
    await page.get_by_label("Type climate-atlas to confirm").fill("climate-atlas")
    told = asyncio.Event()  # the page hears that the project is gone, while the way home is slow

    async def slow(route: Route) -> None:
        answer = await route.fetch(max_redirects=0)
        await asyncio.wait_for(told.wait(), 20)
        await route.fulfill(response=answer)

    page.on("requestfinished", lambda request: told.set() if request.url.endswith("/climate-atlas/events") else None)
    await page.route("**/alice/climate-atlas/settings/delete", slow)
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_text("is being deleted")).to_be_visible(timeout=20_000)


async def test_everybody_sees_when_a_node_is_ready(made: Sample, browser: Browser) -> None:
    """Events of nodes are told to administrators alone: the page of anybody else asks by itself."""
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "bob")
    await made.server.node("n-late", ready=False)
    # What the page asks once its stream of events is open.
    async with page.expect_event("requestfinished", lambda request: "x-aen-live" in request.headers):
        await page.goto(f"{made.server.url}/bob/microscopy/environments")
    strip = page.locator("#strips .strip", has_text="n-late is getting ready")
    await expect(strip).to_be_visible()
    await made.server.node("n-late")
    await expect(strip).to_have_count(0, timeout=20_000)


async def test_names_are_suggested_and_markdown_is_previewed(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    await page.goto(f"{made.server.url}/alice/genome/settings/team")
    await page.get_by_label("User name").press_sequentially("student1")
    await expect(page.locator("#people option").first).to_have_attribute("value", "student10")
    await page.goto(f"{made.server.url}/alice/genome/settings")
    await page.get_by_label("Description").fill("**bold** <script>window.bad = 1</script>")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("[data-pane] strong")).to_have_text("bold")
    assert await page.evaluate("window.bad") is None


async def test_pages_work_without_scripts(made: Sample, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_in(made, page, "alice")
    await page.goto(f"{made.server.url}/new")
    await page.get_by_label("Name", exact=True).fill("plain")
    await page.get_by_role("button", name="Create project").click()
    await expect(page.get_by_role("heading", name="alice/plain")).to_be_visible()
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#head .state")).to_have_text(re.compile("Starting|Running"))


async def test_the_theme_that_a_person_chose_wins(made: Sample, browser: Browser) -> None:
    page: Page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = await page.evaluate(ground)
    await page.goto(f"{made.server.url}/account")
    await page.get_by_label("Dark").check()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert await page.evaluate(ground) != before


async def test_a_picture_is_made_small_before_it_is_sent(made: Sample, browser: Browser) -> None:
    wide = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + 900 * 600 * 3, 0, 0, 54, 40, 900, 600, 1, 24, 0, 0, 0, 0, 0, 0)
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "bob")
    await page.goto(f"{made.server.url}/account")
    photo = {"name": "photo.bmp", "mimeType": "image/bmp", "buffer": wide + b"\x40\x80\xc0" * (900 * 600)}
    await page.locator("input[type=file]").set_input_files(photo)  # type: ignore[arg-type]
    shown = page.locator(".picture-row .avatar img")
    await expect(shown).to_be_visible()
    assert await shown.evaluate("async (img) => { await img.decode(); return [img.naturalWidth, img.naturalHeight]; }") == [
        256, 256]  # fmt: skip
    await page.get_by_role("button", name="Remove").click()
    await expect(shown).to_have_count(0)


async def test_people_are_called_alike_wherever_pages_speak_of_them(made: Sample, browser: Browser) -> None:
    page = await (await context_of(browser)).new_page()
    await sign_in(made, page, "alice")
    mark = await page.locator("header .avatar").inner_text()
    assert mark == "AK"
    for path, places in (
        ("/", [".side .feed"]),
        ("/alice/genome", ["#team", "#sessions", ".side"]),
        ("/alice/genome/activity", ["main"]),
        ("/alice/genome/compute", ["#sessions"]),
        ("/alice/genome/settings/team", ["#team"]),
        ("/alice/genome/settings/rights?file=nb/plan.ipynb", ["table"]),
        ("/alice/genome/published", ["#publications"]),
        ("/people", ["main"]),
        ("/search?q=bob&kind=people", ["main"]),
    ):
        await page.goto(made.server.url + path)
        for place in places:
            seen = page.locator(place)
            await expect(seen.filter(has_text="Bob Okafor").first).to_be_visible()
            marks = await seen.locator(".avatar").all_inner_texts()
            assert {mark for mark in marks if mark[0] in "AB"} <= {"AK", "BO"}, (path, place)
    await page.goto(f"{made.server.url}/alice/genome/settings/admin")
    await expect(page.get_by_label("New owner").locator("option").first).to_have_text("Bob Okafor (bob)")
