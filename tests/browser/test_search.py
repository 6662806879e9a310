"""Search, copy, export and import in a real browser: by keyboard alone, and files that go out and come in again."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import executable
from tests.browser.sample import Sample
from tests.browser.shots import sign_in
from tests.browser.test_story import sign_in as signed_in
from tests.waiting import until
from tests.world import World

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]
AUDIT = (Path(__file__).parent / "audit.js").read_text()


async def page_of(made: Sample, browser: Browser, person: str) -> Page:
    page = await (await browser.new_context(reduced_motion="reduce")).new_page()
    await sign_in(made, page, person)
    await page.goto(made.server.url)
    await expect(page.locator("[data-search][data-ready]")).to_have_count(1)
    return page


async def test_a_project_is_found_and_opened_by_keyboard_alone(made: Sample, browser: Browser) -> None:
    page = await page_of(made, browser, "alice")
    await page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Search projects")
    await expect(box).to_be_focused()
    await page.keyboard.type("gen")
    await expect(page.get_by_role("option", name="alice/genome")).to_be_visible()
    await expect(box).to_have_attribute("aria-expanded", "true")
    assert await page.evaluate(AUDIT) == []
    await page.keyboard.press("ArrowDown")
    chosen = page.locator('[role=option][aria-selected="true"]')
    await expect(chosen).to_contain_text("alice/genome")
    assert await box.get_attribute("aria-activedescendant") == await chosen.get_attribute("id")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("listbox")).to_be_hidden()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option", name="alice/genome")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{made.server.url}/alice/genome")


async def test_results_are_kept_and_a_stranger_finds_nothing(made: Sample, browser: Browser) -> None:
    page = await page_of(made, browser, "alice")
    await page.keyboard.press("/")
    await page.keyboard.type("genome")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/search"))
    await expect(page.get_by_role("link", name="alice / genome")).to_be_visible()
    await page.get_by_role("button", name="Keep on my home page").click()
    await page.goto(made.server.url)
    await page.get_by_role("link", name="genome", exact=True).click()
    await expect(page).to_have_url(re.compile("/search"))

    stranger = await page_of(made, browser, "student01")
    await stranger.goto(f"{made.server.url}/search?q=genome")
    await expect(stranger.get_by_role("heading", name="Nothing found")).to_be_visible()


async def test_markdown_is_looked_at_before_it_is_saved(made: Sample, browser: Browser) -> None:
    page = await page_of(made, browser, "alice")
    await page.goto(f"{made.server.url}/alice/genome/settings")
    await page.get_by_label("Description").fill("# Aims\n\n* one <script>alert(1)</script>")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("[data-pane] h1, [data-pane] h2", has_text="Aims")).to_be_visible()
    await expect(page.locator("[data-pane] script")).to_have_count(0)


async def test_a_project_is_copied_exported_and_imported(world: World, browser: Browser, tmp_path: Path) -> None:
    world.add("boss", admin=True)  # else the first page is the set-up
    owner = world.add("archive")
    context = await browser.new_context(accept_downloads=True)
    page = await signed_in(context, world, owner)
    await page.goto(f"{world.server}/new")
    await page.get_by_label("Name").fill("first")
    await page.get_by_role("button", name="Create").click()
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#head .state", has_text="Running")).to_be_visible(timeout=240_000)
    folder = Path(world.config["compute"]["project_root"]) / owner
    as_them = ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--init-groups"] if world.managed else []
    subprocess.run([*as_them, "tee", str(folder / "first" / "notes.md")], input=b"narwhal", check=True)

    await page.goto(f"{world.server}/{owner}/first/archive")
    await page.get_by_role("button", name="Copy", exact=True).click()
    await expect(page).to_have_url(f"{world.server}/{owner}/first-copy/archive")
    await expect(page.get_by_text("Made from a copy.", exact=True)).to_be_visible(timeout=240_000)
    assert (folder / "first-copy" / "notes.md").read_bytes() == b"narwhal"

    await page.goto(f"{world.server}/{owner}/first/archive")
    async with page.expect_download() as going:
        await page.get_by_role("link", name="Download the archive").click()
    saved = tmp_path / "first.aen.tar.gz"
    await (await going.value).save_as(saved)

    await page.goto(f"{world.server}/import")
    await page.get_by_label("Archive").set_input_files(saved)
    await expect(page.get_by_label("Name")).to_have_value("first")
    await page.get_by_role("button", name="Import").click()
    await expect(page.get_by_role("alert")).to_contain_text("already have a project named first")
    await page.get_by_label("Name").fill("again")
    await page.get_by_role("button", name="Import").click()
    await expect(page).to_have_url(f"{world.server}/{owner}/again/archive", timeout=30_000)
    await expect(page.get_by_text("Made from an archive.", exact=True)).to_be_visible(timeout=240_000)

    async def there() -> bool:
        return (folder / "again" / "notes.md").read_bytes() == b"narwhal"

    await until(there, 5, "the files are there")

    exported = world.aen("project", "export", f"{owner}/first", "--to", str(tmp_path / "cli.tar.gz"))
    assert exported.returncode == 0, exported.stderr
    imported = world.aen("project", "import", str(tmp_path / "cli.tar.gz"), f"{owner}/by-command")
    assert imported.returncode == 0, imported.stderr
    assert (folder / "by-command" / "notes.md").read_bytes() == b"narwhal"
