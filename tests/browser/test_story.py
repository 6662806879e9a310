"""The whole story in a real browser: first visit, administrator, project, teammate, JupyterLab, a cell run for real, its output."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.chromium import chromium, executable
from tests.served import PASSWORD
from tests.world import World

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]

PICTURES = Path(__file__).resolve().parent.parent.parent / ".artifacts" / "story"
START_MS = 240_000  # the very first start also makes the root environment
LAB_MS = 90_000  # JupyterLab itself loads slowly on a busy machine


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made
        PICTURES.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(page for context in made.contexts for page in context.pages):
            await page.screenshot(path=PICTURES / f"end-{number}.png")  # what everybody saw last: helps when it failed


async def picture(page: Page, name: str) -> None:
    """Keep what the page shows now."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png")


async def sign_in(context: BrowserContext, world: World, name: str) -> Page:
    """A page of that person, signed in by the form."""
    page = await context.new_page()
    await page.goto(f"{world.server}/login")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    return page


async def open_app(page: Page, app: str) -> Page:
    """Press an app's button and return the tab that opens."""
    async with page.context.expect_page() as opened:
        await page.locator(f'button[data-focus="app-{app}"]').click()
    return await opened.value


async def run_cell(lab: Page, code: str, output: str) -> None:
    """Make a notebook from JupyterLab's launcher, run one cell, and see what it printed."""
    await lab.locator("#jp-main-dock-panel").wait_for(timeout=LAB_MS)
    await lab.locator('.jp-LauncherCard[data-category="Notebook"]').first.click(timeout=LAB_MS)
    cell = lab.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    await expect(lab.locator("#jp-bottom-panel, #jp-main-statusbar").get_by_text("| Idle")).to_be_visible(
        timeout=LAB_MS
    )
    await cell.click(timeout=LAB_MS)
    await lab.keyboard.type(code)
    await lab.keyboard.press("Shift+Enter")
    await expect(lab.locator(".jp-OutputArea-output", has_text=output).first).to_be_visible(timeout=LAB_MS)


async def test_from_the_first_visit_to_the_output_of_a_cell(world: World, browser: Browser) -> None:
    alice, bob, eve = world.person("alice"), world.person("bob"), world.person("eve")
    context = await browser.new_context(viewport={"width": 1280, "height": 860})
    page = await context.new_page()

    await page.goto(world.server)
    await expect(page.get_by_role("heading", name="Welcome to AEN")).to_be_visible()
    await page.get_by_label("Set-up code").fill(world.setup_code)
    await page.get_by_label("User name").fill(alice)
    await page.get_by_label("Password").fill(PASSWORD)
    await picture(page, "1-first-visit")
    await page.get_by_role("button", name="Create the administrator").click()
    await expect(page.get_by_role("heading", name="Your first project")).to_be_visible()
    await picture(page, "2-home-empty")
    world.add("bob")
    world.add("eve")

    await page.get_by_role("link", name="New project").last.click()
    await page.get_by_label("Name", exact=True).fill("genome")
    await page.get_by_label("Summary").fill("Variant calling")
    await page.get_by_role("button", name="Create project").click()
    await page.wait_for_url(f"{world.server}/{alice}/genome")
    await picture(page, "3-project")

    await page.get_by_role("navigation", name="Project").get_by_role("link", name="Settings").click()
    await page.get_by_role("navigation", name="Settings").get_by_role("link", name="Team").click()
    await page.get_by_label("User name").fill(bob)
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator("#team").get_by_role("link", name=bob)).to_be_visible()
    await picture(page, "4-team")

    await page.goto(f"{world.server}/{alice}/genome")
    await expect(page.locator("#strips .strip[data-kind=info]")).to_have_count(0, timeout=START_MS)  # the node is ready
    lab = await open_app(page, "jupyterlab")
    await expect(page.locator(".step").first).to_be_visible(timeout=20_000)
    await picture(page, "5-steps")
    await lab.wait_for_url(re.compile(rf"^{re.escape(world.gateway)}/{alice}/genome/jupyter/lab"), timeout=START_MS)
    await run_cell(lab, "print('the answer:', 6 * 7)", "the answer: 42")
    await picture(lab, "6-output")

    await expect(page.locator("#head .state", has_text="Running")).to_be_visible()
    await picture(page, "7-running")
    notebook = await open_app(page, "notebook")
    await notebook.wait_for_url(re.compile(rf"^{re.escape(world.gateway)}/{alice}/genome/jupyter/tree"), timeout=LAB_MS)
    terminal = await open_app(page, "terminal")
    await terminal.wait_for_url(re.compile(r"/jupyter/(lab/)?terminals/"), timeout=LAB_MS)
    await terminal.locator(".xterm, .jp-Terminal").first.wait_for(timeout=LAB_MS)
    await picture(terminal, "8-terminal")

    theirs = await browser.new_context(viewport={"width": 1280, "height": 860})
    second = await sign_in(theirs, world, bob)
    await second.goto(f"{world.gateway}/{alice}/genome/jupyter/lab")  # the same address: their own session
    await second.locator("#jp-main-dock-panel").wait_for(timeout=START_MS)
    await run_cell(second, "import getpass; print('I am', getpass.getuser())", f"I am {_account(world, bob)}")
    await picture(second, "9-second-person")
    await page.reload()
    await expect(page.locator("#sessions .item")).to_have_count(2)

    stranger = await sign_in(await browser.new_context(), world, eve)
    await stranger.goto(f"{world.server}/{alice}/genome")
    await expect(stranger.get_by_role("heading", name="Not found")).to_be_visible()
    await picture(stranger, "10-stranger")

    await page.locator("#actions").get_by_role("button", name="Stop").click()
    await page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    await expect(page.locator("#head .state", has_text="Stopped")).to_be_visible(timeout=60_000)
    await expect(page.locator("#sessions .item")).to_have_count(0)
    await picture(page, "11-stopped")


def _account(world: World, name: str) -> str:
    """Whose account runs that person's apps: their own as root, the one of AEN in evaluation mode."""
    return name if world.managed else world.runner.name
