"""Every page by axe-core (WCAG 2.2 AA and its best practices), in both themes and in German; and up to 4k wide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from aen.roles.server.account.accounts import UserPatch
from tests.browser.chromium import executable
from tests.browser.sample import Sample
from tests.browser.shots import PAGES, sign_in
from tests.served import ROOT

AXE = Path(__file__).resolve().parents[2] / ".dev" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="there is no Chromium on this machine"),
]
needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not installed: ./dev test does it where there is npm"
)
LOOK = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.flatMap((found) =>
  found.nodes.map((node) => `${found.id}: ${node.target.join(" ")}: ${(node.failureSummary || "").split("\\n")[1] || ""}`))"""
WIDE = """() => {
  const wrong = [];
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) wrong.push(`wider than the window: ${page.scrollWidth} of ${page.clientWidth}`);
  for (const text of document.querySelectorAll("main p, main .prose li")) {
    const letter = parseFloat(getComputedStyle(text).fontSize) * 0.5;
    if (text.checkVisibility() && text.textContent.length > 120 && text.clientWidth > 110 * letter) {
      wrong.push(`a line of ${Math.round(text.clientWidth / letter)} letters: ${text.textContent.trim().slice(0, 50)}`);
    }
  }
  return wrong;
}"""


async def pages(made: Sample, browser: Browser, **options: object) -> AsyncIterator[tuple[str, Page]]:
    """Every page that we have pictures of, opened as its person."""
    for person in dict.fromkeys(shot.person for shot in PAGES):
        context = await browser.new_context(reduced_motion="reduce", **options)  # type: ignore[arg-type]
        page = await context.new_page()
        if person:
            await sign_in(made, page, person)
        for shot in PAGES:
            if shot.person == person:
                await page.goto(made.server.url + shot.path, wait_until="load")
                yield shot.name, page
        await context.close()


@needs_axe
async def test_axe_finds_nothing_on_any_page_in_either_theme(made: Sample, browser: Browser) -> None:
    wrong: list[str] = []
    script = AXE.read_text()
    # The script is the test's, not the page's: the policy that keeps other scripts out is looked at elsewhere.
    async for name, page in pages(made, browser, bypass_csp=True):
        await page.evaluate(script)
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            wrong += [f"{name}, {theme}: {text}" for text in await page.evaluate(LOOK)]
    assert not wrong, "\n".join(wrong)


async def test_pages_fit_a_4k_screen_with_lines_that_can_be_read(made: Sample, browser: Browser) -> None:
    wrong: list[str] = []
    async for name, page in pages(made, browser, viewport={"width": 3840, "height": 2160}):
        wrong += [f"{name}: {text}" for text in await page.evaluate(WIDE)]
    assert not wrong, "\n".join(wrong)


async def test_pages_speak_german_and_fit_a_narrow_window(made: Sample, browser: Browser) -> None:
    """In German words are longer: nothing is wider than 380 px, and what is English on the way is in the catalog."""
    for person in {shot.person for shot in PAGES if shot.person}:
        await made.server.domain.accounts.update(ROOT, person, UserPatch(language="de"))
    wrong: list[str] = []
    async for name, page in pages(made, browser, viewport={"width": 380, "height": 760}, locale="en-GB"):
        if await page.locator("body[data-words='']").count() == 0:
            assert await page.evaluate("document.documentElement.lang") == "de", name
        wrong += [f"{name}: {text}" for text in await page.evaluate(WIDE) if text.startswith("wider")]
    assert not wrong, "\n".join(wrong)
