"""Environments in a real browser: make one, watch the installer, install, run it in its kernel, compare and go back."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.chromium import executable
from tests.browser.test_story import START_MS, picture, sign_in
from tests.integration.test_environments import started
from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.world import World

pytestmark = [
    pytest.mark.browser,
    pytest.mark.root,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]

CHANGE_MS = 90_000


async def test_an_environment_from_a_lock_to_its_kernel_and_back(world: World, browser: Browser) -> None:
    world.add("ada", admin=True)  # else the first visit is to the set-up
    alice = world.add("alice")
    async with world.client(alice) as client:
        slug = await project_of(client, alice, "genome")
        await started(client, slug)
    context = await browser.new_context(viewport={"width": 1280, "height": 1000})
    page = await sign_in(context, world, alice)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"{world.server}/{slug}")
    await page.get_by_role("navigation", name="Project").get_by_role("link", name="Settings").click()
    await page.get_by_role("navigation", name="Settings").get_by_role("link", name="Environments").click()
    rows = page.locator("#environments .item")
    await expect(rows).to_have_count(1, timeout=START_MS)
    await expect(rows.first.get_by_text("Active")).to_be_visible()

    # From an environment.yml without ipykernel, by the name in it: seen live, not ready, and made ready by one click.
    await page.get_by_text("A file", exact=True).click()
    yml = b"name: locked\ndependencies:\n  - python\n  - pip:\n      - iniconfig==2.0.0\n      - tomli-w==1.1.0\n"
    await page.locator("#f-file").set_input_files({"name": "environment.yml", "mimeType": "text/plain", "buffer": yml})
    await picture(page, "environments-0-file")
    await page.get_by_role("button", name="Make it").click()
    row = page.locator("#environments .item", has_text="locked")
    await expect(row.get_by_text("Not ready: ipykernel missing")).to_be_visible(timeout=CHANGE_MS)
    await expect(page.locator("#change")).to_contain_text("done")
    await picture(page, "environments-1-not-ready")
    await row.get_by_role("button", name="Add the kernel").click()
    await expect(page.locator("#change #output")).to_contain_text("Resolved", timeout=CHANGE_MS)
    await picture(page, "environments-2-installing")
    await expect(row.get_by_text("Kernel ready")).to_be_visible(timeout=CHANGE_MS)

    # A package more; then the difference, and back.
    await row.get_by_role("link", name="locked").click()
    await page.get_by_label("Install or upgrade").fill("tomli-w==1.2.0, packaging")
    await page.get_by_role("button", name="Install").click()
    await expect(page.locator("#change")).to_contain_text("Installing in locked")
    await expect(page.locator("#change")).to_contain_text("done", timeout=CHANGE_MS)
    async with world.client(alice) as client, aiohttp.ClientSession() as http:
        session = await opened(client, slug)
        kernel = await Kernel.start(http, session["url"], bearer(world, alice), "locked")
        assert await kernel.run("import tomli_w, sys; print(sys.prefix.split('/')[-1])") == "locked\n"
    await page.locator("#environments").get_by_role("link", name="locked").click()
    await page.locator('a[href$="?number=1"]').click()
    await expect(page.locator("#difference")).to_contain_text("Going back to number 1")
    await expect(page.locator("#difference tr", has_text="tomli-w")).to_contain_text(re.compile(r"1\.2\.0\s*1\.1\.0"))
    await picture(page, "environments-3-difference")
    await page.get_by_role("button", name="Go back to number 1").click()
    await expect(page.locator("#change")).to_contain_text("Taking locked back")
    await expect(row.get_by_text("Not ready: ipykernel missing")).to_be_visible(timeout=CHANGE_MS)

    # What can't be solved is told with the installer's own words.
    await page.get_by_label("Name", exact=True).fill("never")
    await page.get_by_text("Packages", exact=True).first.click()
    await page.locator("#f-packages").fill("aent-there-is-no-such-package")
    await page.get_by_role("button", name="Make it").click()
    await expect(page.locator("#change #output")).to_contain_text("aent-there-is-no-such-package", timeout=CHANGE_MS)
    await expect(page.locator("#change")).to_contain_text("failed", timeout=CHANGE_MS)
    await expect(page.locator("#environments .item")).to_have_count(2)
    await picture(page, "environments-4-failed")

    await row.get_by_role("button", name="Make active").click()
    await expect(row.get_by_text("Active")).to_be_visible()
    await page.set_viewport_size({"width": 390, "height": 844})
    await picture(page, "environments-5-narrow")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert errors == []
