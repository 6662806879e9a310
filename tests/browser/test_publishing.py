"""Revisions, scheduled runs and publications in a real browser: each page used, and looked at in both themes and narrow."""

from __future__ import annotations

import os

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import executable
from tests.browser.test_story import picture, sign_in
from tests.integration.test_environments import started
from tests.integration.test_main_job import project_of
from tests.integration.test_revisions import folder_of, notebook, write
from tests.world import World

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]

_PICTURE = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00"
    b"\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)
_EVIL = (
    "<h1>Report</h1><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"
    '<a href="other.md">On</a><form action="/logout" method="post"><button>Out</button></form>'
)


async def look(page: Page, address: str, name: str) -> None:
    """Pictures in both themes and narrow; nothing is wider than the window."""
    for variant, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280), ("narrow", "dark", 380)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": width, "height": 820})
        await page.goto(address)
        await picture(page, f"{name}-{variant}")
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} px too wide at {width}"
    await page.set_viewport_size({"width": 1280, "height": 820})


async def test_revisions_runs_and_publications(evaluation: World, browser: Browser) -> None:
    owner = evaluation.add("author", admin=True)
    async with evaluation.client(owner) as client:
        slug = await project_of(client, owner, "paper")
        await started(client, slug)
    place, base = folder_of(evaluation, slug), f"{evaluation.server}/{slug}"
    write(place / "a.ipynb", notebook("x = 1", "print(x)"))
    write(place / "report.html", _EVIL)
    page = await sign_in(await browser.new_context(), evaluation, owner)

    await page.goto(f"{base}/revisions")
    await page.get_by_role("button", name="Keep revisions of this folder").click()
    await page.get_by_label("What changed, in a few words").fill("First words")
    await page.get_by_role("button", name="Commit as").click()
    await expect(page.get_by_role("link", name="First words")).to_be_visible()
    write(place / "a.ipynb", notebook("x = 2", "print(x)", "y = 3"))
    await look(page, f"{base}/revisions", "revisions")
    await page.get_by_role("link", name="What changed in a.ipynb").click()
    await expect(page.get_by_text("1 cell as before")).to_be_visible()
    await look(page, page.url, "revision")
    await page.goto(f"{base}/revisions")
    await page.get_by_role("button", name="Make a key").click()
    await expect(page.locator("#git-key")).to_contain_text("ssh-ed25519 ")

    await page.goto(f"{base}/runs")
    await page.get_by_label("Notebook", exact=True).fill("a.ipynb")
    await page.get_by_label("Name", exact=True).fill("morning")
    await page.get_by_role("button", name="Schedule it").click()
    await page.get_by_role("button", name="Run now").click()
    await expect(page.get_by_text("succeeded")).to_be_visible(timeout=120_000)
    await look(page, page.url, "run")
    await look(page, f"{base}/runs", "runs")

    write(place / "other.md", "# Other\n\n![dot](dot.png)\n")
    (place / "dot.png").write_bytes(_PICTURE)
    os.chown(place / "dot.png", place.stat().st_uid, place.stat().st_gid)
    await page.goto(f"{base}/published")
    await page.get_by_label("File or folder").fill("report.html")
    await page.get_by_label("Title").fill("The report")
    await page.get_by_label("Anyone who has the address").check()
    await page.get_by_role("button", name="Publish", exact=True).click()
    await expect(page.get_by_role("link", name="The report")).to_be_visible(timeout=60_000)
    await look(page, f"{base}/published", "published-list")
    await page.get_by_role("link", name="The report").click()
    await expect(page.get_by_role("heading", name="The report")).to_be_visible()
    address = page.url
    stranger = await (await browser.new_context()).new_page()
    await stranger.goto(address)
    inside = stranger.frame_locator("iframe.published")
    await expect(inside.get_by_role("heading", name="Report")).to_be_visible()
    assert await inside.get_by_role("button").count() == 0
    frame = stranger.frames[1]
    assert await frame.evaluate("window.origin") == "null"
    assert await frame.evaluate("document.title") != "ran"
    await look(stranger, address, "published")
    await page.goto(f"{base}/published")
    await page.get_by_role("button", name="Withdraw").click()
    await page.get_by_role("dialog").get_by_role("button").last.click()
    await expect(page.get_by_text("Nothing of this project is published.")).to_be_visible()
    answer = await stranger.goto(address)
    assert answer is not None
    assert "/login" in stranger.url or answer.status == 401
