"""Pictures of every page, light and dark, wide and 380 px: `./dev shots` writes them to `.artifacts/shots/`.

`./dev shots home project` makes those whose names begin so; `./dev shots readme` makes docs/home.png anew.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page

from aen.errors import NotFound, TooMany
from aen.languages import LANGUAGE, LANGUAGES, SOURCE
from aen.messages import SessionView
from aen.model.session import Phase
from aen.web.static import Assets
from aen.web.templates import Templates
from tests.browser.chromium import chromium, executable
from tests.browser.sample import Sample, half_way, quiet_sample, sample
from tests.browser.shown import PUBLICATION, REVISION, SCHEDULE
from tests.served import PASSWORD, served

FOLDER = Path(__file__).resolve().parent.parent.parent / ".artifacts" / "shots"
README = FOLDER.parent.parent / "docs" / "home.png"
THEMES = ("light", "dark")
SIZES = (("wide", 1280, 820), ("narrow", 380, 760))


@dataclass(frozen=True)
class Shot:
    """One page. `person`: who looks; empty: nobody is signed in."""

    name: str
    path: str
    person: str = "alice"


PAGES = (
    Shot("login", "/login", ""),
    Shot("signup", "/signup", ""),
    Shot("home", "/"),
    Shot("home-team", "/?show=team"),
    Shot("home-empty", "/", "dmitri"),
    Shot("new-project", "/new"),
    Shot("project-running", "/alice/genome"),
    Shot("project-starting", "/bob/microscopy"),
    Shot("project-problem", "/alice/scratch"),
    Shot("project-viewer", "/alice/genome", "dmitri"),
    Shot("project-public", "/alice/climate-atlas", "student01"),
    Shot("project-activity", "/alice/genome/activity"),
    Shot("project-settings", "/alice/genome/settings"),
    Shot("project-team", "/alice/genome/settings/team"),
    Shot("project-admin", "/alice/genome/settings/admin"),
    Shot("project-info", "/alice/genome/settings/info"),
    Shot("project-environments", "/alice/genome/environments"),
    Shot("project-environment", "/alice/genome/environments/default"),
    Shot("project-revisions", "/alice/genome/revisions"),
    Shot("project-revision", f"/alice/genome/revisions/{REVISION}"),
    Shot("project-runs", "/alice/genome/runs"),
    Shot("project-run", f"/alice/genome/runs/{SCHEDULE}"),
    Shot("project-published", "/alice/genome/published"),
    Shot("published", f"/published/{PUBLICATION}", "bob"),
    Shot("project-dashboards", "/alice/genome/dashboards"),
    Shot("project-dashboards-none", "/alice/scratch/dashboards"),
    Shot("dashboards", "/dashboards", "student01"),
    Shot("project-deleted", "/alice/last-year"),
    Shot("project-long-name", "/alice/a-project-with-a-name-as-long-as-names-of-projects-may-be-here"),
    Shot("home-deleted", "/?show=deleted"),
    Shot("project-compute", "/alice/genome/compute"),
    Shot("project-permissions", "/alice/genome/settings/permissions"),
    Shot("project-rights", "/alice/genome/settings/rights?file=nb/plan.ipynb"),
    Shot("project-links", "/alice/genome/settings/links"),
    Shot("project-invite", "/alice/genome/settings/invite"),
    Shot("project-copy", "/alice/genome/archive"),
    Shot("import", "/import"),
    Shot("search", "/search?q=ge"),
    Shot("open-starting", "/bob/microscopy/open/jupyterlab"),
    Shot("open-problem", "/alice/scratch/open/jupyterlab"),
    Shot("account", "/account"),
    Shot("account-password", "/account/password"),
    Shot("account-second-factor", "/account/second-factor"),
    Shot("account-logins", "/account/logins"),
    Shot("account-tokens", "/account/tokens"),
    Shot("account-keys", "/account/keys"),
    Shot("account-delete", "/account/delete"),
    Shot("account-security", "/account/security"),
    Shot("people", "/people"),
    Shot("person", "/people/bob"),
    Shot("admin", "/admin"),
    Shot("admin-users", "/admin/users"),
    Shot("admin-user-new", "/admin/users/new"),
    Shot("admin-user", "/admin/users/bob"),
    Shot("admin-reset", "/admin/reset"),
    Shot("staff-report", "/admin/report", "carol"),
    Shot("staff-reset", "/admin/reset", "carol"),
    Shot("admin-invitations", "/admin/invitations"),
    Shot("admin-nodes", "/admin/nodes"),
    Shot("admin-sessions", "/admin/sessions"),
    Shot("admin-jobs", "/admin/jobs"),
    Shot("admin-security", "/admin/security"),
    Shot("admin-settings", "/admin/settings"),
    Shot("admin-report", "/admin/report?period=month"),
    Shot("admin-projects", "/admin/projects"),
    Shot("admin-node", "/admin/nodes/n1"),
    Shot("admin-exceptions", "/admin/exceptions"),
    Shot("admin-mail", "/admin/mail"),
    Shot("account-notifications", "/account/notifications"),
    Shot("signup-link", "/signup/link", ""),
    Shot("forgotten", "/forgotten", ""),
    Shot("search-none", "/search?q=zzzz"),
    Shot("search-empty", "/search"),
    Shot("admin-doctor", "/admin/doctor"),
    Shot("not-found", "/alice/nothing"),
    Shot("denied", "/admin", "bob"),
)


async def main(wanted: Sequence[str] = ()) -> None:
    """All pictures, or those whose names begin with one of `wanted`."""
    if executable() is None:
        sys.exit("There is no Chromium on this machine: install the package `chromium`, then run ./dev shots again.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    if "readme" in wanted:
        await _of_the_readme()
        return
    shots = [shot for shot in PAGES if not wanted or shot.name.startswith(tuple(wanted))]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as fresh:
        async with chromium() as browser, sample(Path(folder)) as made:
            for theme in THEMES:
                for size in SIZES:
                    await _all(browser, made, shots, theme, size)
            await _start_pages(browser, wanted)
        async with chromium() as browser, served(Path(fresh), set_up=False) as server:
            if not wanted or "setup" in wanted:
                await _picture(browser, f"{server.url}/setup", "setup")
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}")


async def _of_the_readme() -> None:
    """docs/home.png anew (`./dev shots readme`): home of somebody at work."""
    with tempfile.TemporaryDirectory() as folder:
        async with chromium() as browser, quiet_sample(Path(folder)) as made:
            context = await browser.new_context(viewport={"width": 1280, "height": 640}, color_scheme="light")
            page = await context.new_page()
            await sign_in(made, page, "alice")
            await page.mouse.move(0, 0)
            await page.screenshot(path=README)


async def _all(browser: Browser, made: Sample, shots: Sequence[Shot], theme: str, size: tuple[str, int, int]) -> None:
    word, width, height = size
    for person in dict.fromkeys(shot.person for shot in shots):
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        page = await context.new_page()
        if person:
            await sign_in(made, page, person)
        for shot in shots:
            if shot.person == person:
                await page.goto(made.server.url + shot.path, wait_until="load")
                await _save(page, f"{shot.name}-{theme}-{word}")
        await context.close()


async def sign_in(made: Sample, page: Page, person: str) -> None:
    if person.startswith("student"):
        actor = await made.server.actor("alice")
        await made.server.domain.accounts.set_password(actor, person, PASSWORD)
    await page.goto(f"{made.server.url}/login")
    await page.get_by_label("User name").fill(person)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{made.server.url}/")


async def _save(page: Page, name: str) -> None:
    wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    if wide:
        print(f"{name}: wider than the window")
    await page.screenshot(path=FOLDER / f"{name}.png", full_page=True)


async def _start_pages(browser: Browser, wanted: Sequence[str]) -> None:
    """The gateway's own pages, in each language; their styles stand in them, since there is no gateway here."""
    if wanted and "start" not in wanted:
        return
    for language in LANGUAGES:
        LANGUAGE.set(language)
        for name, html in _of_a_gateway():
            await _as_it_is(browser, html, name if language == SOURCE else f"{name}-{language}")
    LANGUAGE.set(SOURCE)


def _of_a_gateway() -> Iterator[tuple[str, str]]:
    """The start page in each phase, an app that can't be had, and somebody who was not let through."""
    for phase in (Phase.STOPPED, Phase.STARTING, Phase.PROBLEM):
        view = SessionView(session="s", phase=phase, title="JupyterLab", steps=half_way())
        if phase is Phase.PROBLEM:
            view.reason, view.log_tail = (
                "The environment could not be cloned: the disk is full.",
                "No space left on device",
            )
        yield f"start-{phase.lower()}", start_page(view)
    view = SessionView(session="s", phase=Phase.RUNNING, title="JupyterLab", log_tail="MemoryError: 12.0 GiB asked for")
    why = "The app did not begin to answer in time."
    there = {"here": "/alice/genome/jupyter/lab"}
    yield "start-trouble", start_page(view, "session/trouble.html", why=why, **there)
    for error in (
        TooMany("You have too many connections open. Close some tabs.", retry_after=5),
        NotFound("There is no project at this host name."),
    ):
        yield f"start-error-{error.status}", start_page(view, "error.html", error=error, status=error.status, **there)


async def _as_it_is(browser: Browser, html: str, name: str) -> None:
    for theme in THEMES:
        for word, width in (("", 900), ("-narrow", 380)):
            context = await browser.new_context(
                viewport={"width": width, "height": 700}, color_scheme="dark" if theme == "dark" else "light"
            )
            page = await context.new_page()
            await page.set_content(html)
            await _save(page, f"{name}-{theme}{word}")
            await context.close()


def start_page(view: SessionView, template: str = "session/start.html", **more: object) -> str:
    """A page of the gateway as it renders it, with its styles inside."""
    assets = Assets("/.aen/static/")
    context = {
        "owner": "alice",
        "project": "genome",
        "app_server": "jupyter",
        "app": "jupyterlab",
        "next": "/alice/genome/jupyter/lab",
        "view": view,
        "server_url": "http://aen",
        **more,
    }
    html = Templates(assets).render(template, context)
    folder = Path(__file__).resolve().parent.parent.parent / "static"
    styles = "".join((folder / name).read_text() for name in ("aen.css", "parts.css", "pages.css"))
    return html.replace("</head>", f"<style>{styles}</style></head>")


async def _picture(browser: Browser, url: str, name: str) -> None:
    for theme in THEMES:
        for word, width, height in SIZES:
            context = await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
            )
            page = await context.new_page()
            await page.goto(url)
            await _save(page, f"{name}-{theme}-{word}")
            await context.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
