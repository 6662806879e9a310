"""Links in a real browser: made on the project's page, opened by somebody without an account; JupyterLab leads back."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from tests.browser.chromium import executable
from tests.browser.test_story import LAB_MS, open_app, picture, sign_in
from tests.integration.test_main_job import opened, project_of
from tests.world import World

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]


async def test_a_link_is_made_opened_by_a_stranger_and_ended(evaluation: World, browser: Browser) -> None:
    owner = evaluation.add("linker", admin=True)
    async with evaluation.client(owner) as client:
        slug = await project_of(client, owner, "shelf")
        await opened(client, slug, "viewer")
    home = await browser.new_context()
    page = await sign_in(home, evaluation, owner)
    await page.goto(f"{evaluation.server}/{slug}/settings/links?file=public")
    await expect(page.get_by_label("File or folder")).to_have_value("public")
    await page.get_by_role("button", name="Make a link").click()
    address = await page.get_by_label("Link", exact=True).input_value()
    assert "/shared-" in address
    stranger = await (await browser.new_context()).new_page()
    answer = await stranger.goto(address)
    assert answer is not None
    assert answer.status == 200
    await expect(stranger.get_by_role("navigation")).to_contain_text("public")
    assert await stranger.evaluate("window.origin") == "null"  # sandboxed: no origin of anybody's
    await picture(stranger, "link-opened")
    for name, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280), ("narrow", "dark", 380)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": width, "height": 820})
        for tab in ("settings/links", "compute"):
            await page.goto(f"{evaluation.server}/{slug}/{tab}")
            await picture(page, f"{tab.rpartition('/')[2]}-{name}")
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{tab} is {wide} px too wide at {width}"
    await page.set_viewport_size({"width": 1280, "height": 820})
    await page.goto(f"{evaluation.server}/{slug}/settings/links")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="End", exact=True).click()
    confirm = page.get_by_role("dialog").get_by_role("button", name=re.compile("End|OK|Yes|Continue"))
    if await confirm.count():
        await confirm.first.click()
    await expect(page.get_by_text("Nothing of this project is shared by a link.")).to_be_visible()
    answer = await stranger.goto(address)
    assert answer is not None
    assert answer.status == 404


async def test_jupyterlab_leads_back_to_the_project(evaluation: World, browser: Browser) -> None:
    owner = evaluation.add("back", admin=True)
    async with evaluation.client(owner) as client:
        slug = await project_of(client, owner, "genome")
        await opened(client, slug)
    page = await sign_in(await browser.new_context(), evaluation, owner)
    await page.goto(f"{evaluation.server}/{slug}")
    for app in ("jupyterlab", "notebook"):
        lab = await open_app(page, app)
        link = lab.locator("#aen-home-link")
        await expect(link).to_be_visible(timeout=LAB_MS)
        await expect(link).to_have_attribute("href", f"{evaluation.server}/{slug}")
        await picture(lab, f"way-back-{app}")
        await lab.set_viewport_size({"width": 400, "height": 740})  # a phone
        await expect(link).to_be_in_viewport(ratio=0.9)
        await picture(lab, f"way-back-{app}-narrow")
        german = await lab.context.request.get(lab.url, headers={"Accept-Language": "de"})
        assert "Kernel laufen weiter." in await german.text()  # what AEN adds speaks the reader's language
        await lab.close()


async def test_the_language_of_the_account_is_that_of_the_apps_too(evaluation: World, browser: Browser) -> None:
    """Chosen while the Workbench is open: the next time it is loaded, it speaks it."""
    owner = evaluation.add("lena", admin=True)
    async with evaluation.client(owner) as client:
        slug = await project_of(client, owner, "words")
        await opened(client, slug, "workbench")
    page = await sign_in(await browser.new_context(), evaluation, owner)
    await page.goto(f"{evaluation.server}/{slug}")
    workbench = await open_app(page, "workbench")
    await expect(workbench.get_by_role("button", name="Upload", exact=True)).to_be_visible(timeout=LAB_MS)
    await page.goto(f"{evaluation.server}/account")
    await page.get_by_text("Deutsch", exact=True).click()
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await workbench.reload()
    await expect(workbench.get_by_role("button", name="Hochladen", exact=True)).to_be_visible(timeout=LAB_MS)
    await picture(workbench, "workbench-in-german")
