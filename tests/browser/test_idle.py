"""Idle sessions with a real JupyterLab in a real browser: a busy kernel is never stopped, a forgotten tab keeps nothing alive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request, expect

from tests.browser.chromium import executable
from tests.browser.test_story import LAB_MS, START_MS, open_app, picture, run_cell, sign_in
from tests.waiting import until
from tests.world import World

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]

IDLE_SECONDS = 24.0
BUSY = "import time; began = time.time(); time.sleep(45); print('worked', round(time.time() - began) >= 45)"
IDLE = {"hours": IDLE_SECONDS / 3600, "warning_minutes": 10 / 60, "max_keep_hours": 1}


@pytest.fixture(scope="module")
def short() -> Iterator[World]:
    """A world whose sessions are stopped after 24 s without use."""
    with World(options={"compute": {"idle": IDLE}}) as made:
        yield made


async def test_a_busy_kernel_is_never_stopped_and_a_forgotten_tab_keeps_nothing_alive(
    short: World, browser: Browser
) -> None:
    short.add("boss", admin=True)  # without one, everything leads to the set-up
    ann = short.add("ann")
    page = await sign_in(await browser.new_context(viewport={"width": 1280, "height": 860}), short, ann)
    async with short.client(ann) as client:
        assert (await client.post("/api/v1/projects", {"name": "genome"})).status == 201
    await page.goto(f"{short.server}/{ann}/genome")
    await expect(page.locator("#strips .strip[data-kind=info]")).to_have_count(0, timeout=START_MS)
    lab = await open_app(page, "jupyterlab")
    await lab.wait_for_url(re.compile(r"/jupyter/lab"), timeout=START_MS)
    polls: list[str] = []
    lab.on("request", lambda request: polls.append(request.url) if _polls(request) else None)

    await run_cell(lab, BUSY, "worked True")  # nearly twice as long as an idle session may live
    assert await _phase(short, ann) == "RUNNING"

    polls.clear()  # from here on nobody touches the tab
    warning = page.locator("#now, #sessions, main").get_by_text("because nobody uses it").first
    await expect(warning).to_be_visible(timeout=LAB_MS)
    await picture(page, "idle-warning")

    async def stopped() -> bool:
        return await _phase(short, ann) == "STOPPED"

    await until(stopped, 90, "the forgotten session is stopped")
    assert polls  # the tab was at it all the time
    assert "without activity" in (await _session(short, ann))["reason"]
    await _the_tab_says_so(lab)


def _polls(request: Request) -> bool:
    return any(part in request.url for part in ("/api/kernels", "/api/sessions", "/api/terminals", "/api/kernelspecs"))


async def _session(world: World, person: str) -> dict[str, Any]:
    """The one session of the project, as the API tells."""
    async with world.client(person) as client:
        (found,) = (await client.get(f"/api/v1/projects/{person}/genome/sessions")).json["items"]
    return dict(found)


async def _phase(world: World, person: str) -> str:
    return str((await _session(world, person))["phase"])


async def _the_tab_says_so(lab: Page) -> None:
    """Loaded anew, the forgotten tab leads to what one can do, not to an error of the browser."""
    await lab.reload()
    await expect(lab.locator("body")).to_contain_text(re.compile("JupyterLab|genome"))
