"""A session on the project's page: why it is alive, what it takes, the warning before it stops, and the button that keeps it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from aen.model import now
from aen.model.project import Visibility
from aen.model.session import Idle, Phase, Session, Use
from aen.roles.server.pages.project.session_words import why
from aen.roles.server.project.projects import NewProject
from tests.fakenode import FakeNode
from tests.served import Client, Served, served
from tests.waiting import until
from tests.world import PROGRAM


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Served, FakeNode]]:
    async with served(tmp_path) as made, FakeNode(made.role.context.bus) as node:
        yield made, node


async def shown(alice: Client, *words: str) -> str:
    """The page, once it holds these words."""

    async def look() -> str | None:
        text = (await alice.get("/alice/genome")).text
        return text if all(word in text for word in words) else None

    return await until(look, 10, f"the page says {words}")


async def test_warned_and_kept(server: tuple[Served, FakeNode]) -> None:
    made, node = server
    alice = await made.browser("alice")
    await made.domain.projects.create(await made.actor("alice"), NewProject(name="genome"))
    session = await made.domain.sessions.open(await made.actor("alice"), "alice", "genome", "jupyterlab")
    await shown(alice, "Started")
    unseen = Session.model_validate({**session.model_dump(), "phase": "RUNNING", "since": now() - 600_000})
    assert "so it goes on until somebody stops it" in why(unseen)
    told = {"hours": 2.0, "most_keep_hours": 72.0}
    for cpu in (0, 50):
        use = Use(cpu=cpu, memory=300 << 20, memory_limit=4 << 30, processes=3, at=now() + cpu)
        idle = Idle(stops_at=now() + 600_000, warned=True, **told)
        node.sessions[session.id] = node.sessions[session.id].model_copy(
            update={"idle": idle, "use": use, "activity": now() - 6_600_000, "activity_source": "terminal 1"}
        )
        await shown(alice, f"CPU {cpu} %, 300 MB of 4.0 GB, 3 processes")
    text = await shown(alice, "It stops at", "because nobody uses it", "(terminal 1)", "<polyline")
    assert '<option value="72">' in text
    assert "no longer than others" not in text

    path = f"/alice/genome/sessions/{session.id}/keep"
    form = replace(alice, csrf="")
    for wrong in ("", "many", "-1", "1e9", "nan", "73"):
        answer = await form.post(path, data={"csrf": alice.csrf, "hours": wrong})
        assert answer.status == 400, wrong
    answer = await form.post(path, data={"csrf": alice.csrf, "hours": "4"})
    assert (answer.status, answer.headers["Location"]) == (303, "/alice/genome")
    text = await shown(alice, "It is kept until", "no longer than others")
    assert "because nobody uses it" not in text
    view = (await alice.get(f"/api/v1/sessions/{session.id}")).json
    assert abs(view["idle"]["keep_until"] - now() - 4 * 3_600_000) < 60_000
    assert (await alice.post(f"/api/v1/sessions/{session.id}/keep", {"hours": 0})).json["idle"]["keep_until"] == 0
    assert (await alice.post(f"/api/v1/sessions/{session.id}/keep", {"hours": "long"})).status == 400
    activity = (await alice.get("/alice/genome/activity")).text
    assert "asked to keep a session" in activity


async def test_where_its_files_lie_is_told_to_the_team(server: tuple[Served, FakeNode]) -> None:
    made, _ = server
    alice, eve = await made.browser("alice"), await made.browser("eve")
    new = NewProject(name="genome", visibility=Visibility.PUBLIC)
    await made.domain.projects.create(await made.actor("alice"), new)
    assert "…/alice/genome" in (await alice.get("/alice/genome/settings/info")).text  # no node is chosen yet
    await made.domain.sessions.open(await made.actor("alice"), "alice", "genome", "jupyterlab")
    await shown(alice, "Started")
    for page, text in (
        ("settings/info", "/srv/projects/alice/genome<"),
        ("compute", "/srv/projects/alice/genome/envs/default<"),
    ):
        assert text in (await alice.get(f"/alice/genome/{page}")).text
    assert "/srv/projects" not in (await eve.get("/alice/genome/settings/info")).text


async def test_three_apps_of_one_session_are_shown_as_one(server: tuple[Served, FakeNode]) -> None:
    """Whichever was opened last, lists call it by one name; cards say that they lead to it; stopping it says what ends."""
    made, _ = server
    alice, root = await made.browser("alice"), await made.browser("boss", admin=True)
    actor = await made.actor("alice")
    await made.domain.projects.create(actor, NewProject(name="genome"))
    one = "JupyterLab, Notebook, and Terminal"
    for app in ("jupyterlab", "terminal"):
        session = await made.domain.sessions.open(actor, "alice", "genome", app)
        text = await shown(alice, f"Jupyter is running: {one} share this one session.", f"{one} share this session and")
        assert (session.app, made.domain.sessions.view(session)["title"]) == (app, "Jupyter")
        cards = dict(re.findall(r'class="app-name">([^<]+)<span class="state" data-state="RUNNING">([^<]+)', text))
        assert cards == {"JupyterLab": "Open", "Notebook": "Open", "Terminal": "Open"}
        assert re.findall(r'class="item-title">([^<]+)</span>\s*<span class="state" data-state="RUNNING"', text) == [
            "Jupyter"
        ]
        assert re.findall(r'class="item-title">([^<]+)</a>\s*<span class="state"', (await alice.get("/")).text) == [
            "Jupyter"
        ]
        assert '<td data-label="App">Jupyter</td>' in (await root.get("/admin/sessions")).text
        assert '<span class="tag">Jupyter</span>' in (await root.get("/admin/users/alice")).text
    await made.domain.sessions.open(actor, "alice", "genome", "workbench")
    await shown(alice, '"app-name">Workbench<span class="state" data-state="RUNNING">Running<')
    await made.domain.sessions.stop(actor, session.id)
    entries, _ = await made.domain.activity.of_project(actor, "alice", "genome", 10, "")
    assert [entry.detail for entry in entries if entry.act == "session.stopped"] == ["Jupyter"]


async def test_what_runs_is_listed_and_stopped_by_commands(server: tuple[Served, FakeNode], tmp_path: Path) -> None:
    made, _ = server
    file = tmp_path / "aen.yaml"
    file.write_text(f"data_dir: {made.config.data_dir}\nrun_dir: {made.config.run_dir}\n")

    async def aen(*arguments: str) -> tuple[int, str, str]:
        command = [str(PROGRAM), "session", *arguments, "-c", str(file)]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout, done.stderr

    assert await aen("list") == (0, "Nothing runs.\n", "")
    await made.browser("alice")
    actor = await made.actor("alice")
    await made.domain.projects.create(actor, NewProject(name="genome"))
    for app in ("terminal", "workbench"):
        session = await made.domain.sessions.open(actor, "alice", "genome", app)
        await until(lambda: _running(made, session.id), 10, f"{app} runs")  # noqa: B023
    code, listed, _ = await aen("list", "--json")
    found = {one["title"]: one["id"] for one in json.loads(listed)}
    assert (code, sorted(found)) == (0, ["Jupyter", "Workbench"])
    for wrong, words in (((), "Say which"), (("nosuch",), "Nothing runs by the id"), (("--all",), "add --yes")):
        code, _, said = await aen("stop", *wrong)
        assert (code, words in said) == (2, True), said
    assert await aen("stop", found["Jupyter"], "--yes") == (0, "Jupyter of alice in alice/genome\nStopped.\n", "")
    assert (await aen("stop", "--all", "--yes"))[0] == 0
    assert await aen("list") == (0, "Nothing runs.\n", "")


async def _running(made: Served, id: str) -> bool:
    doc = await made.domain.store.get("sessions", id)
    return doc is not None and doc["phase"] == Phase.RUNNING
