"""AEN is restarted under an open JupyterLab, as an upgrade does it: kernel and terminal come back by themselves, in the same page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.apart import Apart
from tests.browser.chromium import executable
from tests.browser.test_story import LAB_MS, START_MS, picture, run_cell, sign_in
from tests.integration.test_main_job import project_of
from tests.program import Program
from tests.waiting import until
from tests.world import World

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]


@pytest.fixture(scope="module", params=["together", "apart"])
def place(request: pytest.FixtureRequest) -> Iterator[World]:
    """AEN in one process, and in three."""
    with (World if request.param == "together" else Apart)() as made:
        made.add("ada", admin=True)  # else the first visit is to the set-up
        yield made


async def test_jupyterlab_goes_on_after_restarts(place: World, browser: Browser) -> None:
    """Each program in turn, the last of its restarts a long one: the page is told, and no dialog stands in its way."""
    name = place.add("lena")
    async with place.client(name) as client:
        await project_of(client, name, "genome")
    lab = await sign_in(await browser.new_context(viewport={"width": 1280, "height": 860}), place, name)
    await lab.goto(f"{place.gateway}/{name}/genome/jupyter/lab")
    await lab.locator("#jp-main-dock-panel").wait_for(timeout=START_MS)
    await run_cell(lab, "kept = 42; print('before', kept)", "before 42")
    await lab.evaluate("window.sameTab = true")
    opened: list[str] = []
    lab.on("websocket", lambda socket: opened.append(socket.url))
    for role, program in place.programs.items():
        if role == "server":
            continue  # nothing of what is open leads through it
        opened.clear()
        await asyncio.to_thread(program.stop)
        await expect(_notes(lab).get_by_text("AEN can't be reached.")).to_be_visible(timeout=LAB_MS)
        await picture(lab, f"restart-{role}")
        await asyncio.to_thread(program.start)
        await _goes_on(lab, role)
        assert any("/channels" in url for url in opened), "the kernel's WebSocket was not opened anew"
    assert await lab.evaluate("window.sameTab"), "the page was loaded anew"


async def test_a_terminal_goes_on_after_a_restart(place: World, browser: Browser) -> None:
    name = place.add("tom")
    async with place.client(name) as client:
        await project_of(client, name, "genome")
    lab = await sign_in(await browser.new_context(viewport={"width": 1280, "height": 860}), place, name)
    await lab.goto(f"{place.gateway}/{name}/genome/jupyter/lab")
    await lab.locator("#jp-main-dock-panel").wait_for(timeout=START_MS)
    opened: list[str] = []
    lab.on("websocket", lambda socket: opened.append(socket.url))
    await lab.locator('.jp-LauncherCard[title="Start a new terminal session"]').click(timeout=LAB_MS)
    said = Path(place.folder, "projects", name, "genome", "said")
    await _type(lab, f"kept=before; cd {said.parent}; echo $kept > said", said, "before")
    opened.clear()
    gateway: Program = place.programs.get("gateway") or place.programs["all"]
    await asyncio.to_thread(gateway.stop)
    await asyncio.to_thread(gateway.start)

    async def again() -> bool:
        return any("/terminals/" in url for url in opened)

    await until(again, LAB_MS / 1000, "the terminal's WebSocket was not opened anew")
    await _type(lab, "echo $kept again > said", said, "before again")
    await expect(lab.locator(".jp-Dialog")).to_have_count(0)


async def _goes_on(lab: Page, after: str) -> None:
    """The same kernel answers a person who just types on."""
    await expect(_notes(lab).get_by_text("Connected again.")).to_be_visible(timeout=LAB_MS)
    await expect(lab.locator(".jp-Dialog")).to_have_count(0)
    await lab.locator(".jp-Notebook .jp-CodeCell .cm-content").last.click(timeout=LAB_MS)
    await lab.keyboard.type(f"print('after {after}', kept)")
    await lab.keyboard.press("Shift+Enter")
    await expect(lab.locator(".jp-OutputArea-output", has_text=f"after {after} 42").first).to_be_visible(timeout=LAB_MS)
    # Until now it said "Unknown": JupyterLab takes what a kernel does from messages of a person's own work only.
    await expect(lab.locator("#jp-bottom-panel, #jp-main-statusbar").get_by_text("| Idle")).to_be_visible(
        timeout=LAB_MS
    )


def _notes(lab: Page) -> Locator:
    """Where JupyterLab shows what it has to say."""
    return lab.locator("#aen-return")


async def _type(lab: Page, line: str, file: Path, written: str) -> None:
    """Type a line in the terminal, and see in the file that it was carried out."""
    await lab.locator(".jp-Terminal .xterm").last.click(timeout=LAB_MS)
    await lab.keyboard.type(line)
    await lab.keyboard.press("Enter")

    async def there() -> bool:
        return file.exists() and file.read_text().strip() == written

    await until(there, LAB_MS / 1000, line)
