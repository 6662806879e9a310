"""A name that is given again: whoever has it now is shown nothing of who had it before."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen import names
from aen.errors import NotFound
from aen.model import new_id
from aen.model.job import Job, JobState
from aen.model.publication import Publication, Version
from aen.model.session import Phase, Session
from aen.roles.server.account.accounts import NewUser
from aen.roles.server.project.projects import NewProject
from tests.served import PASSWORD, ROOT, Served, served

BEFORE = "told-of-who-was-before"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server where a first bob left traces of every kind."""
    async with served(tmp_path) as made:
        await made.node()
        await made.person("alice")
        bob, domain = await made.script("bob"), made.domain
        hers = await domain.projects.create(await made.actor("alice"), NewProject(name="hers"))
        assert (await bob.post("/api/v1/searches", {"q": BEFORE})).status == 201
        job = Job(
            id=new_id(), kind="project.copy", state=JobState.FAILED, message=BEFORE, created_by="bob", active=False
        )
        await domain.store.insert("jobs", job.model_dump(mode="json"))
        session = Session(
            id=names.session_id(hers.id, "bob", "jupyter"),
            project=hers.id,
            slug=hers.slug,
            owner="alice",
            name="hers",
            app_server="jupyter",
            app="jupyterlab",
            user="bob",
            started_by="bob",
            datacenter="main",
            node="n1",
            phase=Phase.PROBLEM,
            reason=BEFORE,
            log_tail=BEFORE,
        )
        await domain.store.insert("sessions", session.model_dump(mode="json"))
        await domain.activity.record(await made.actor("bob"), "password.wrong", "bob", detail=BEFORE, security=True)
        yield made


async def seen(server: Served) -> set[str]:
    """Where bob, as he is now, is told of what was."""
    browser, script = await server.browser("bob"), await server.script("bob")
    pages = ("/", "/search", "/account", "/account/security", "/account/logins")
    calls = ("/api/v1/searches", "/api/v1/sessions", "/api/v1/jobs")
    told = {path: await browser.get(path) for path in pages} | {path: await script.get(path) for path in calls}
    assert {answer.status for answer in told.values()} == {200}
    return {path for path, answer in told.items() if BEFORE in answer.text}


async def test_who_has_a_name_now_sees_nothing_of_who_had_it(server: Served) -> None:
    domain = server.domain
    mine = {"/", "/search", "/account/security", "/api/v1/searches", "/api/v1/sessions", "/api/v1/jobs"}
    assert await seen(server) == mine
    (session,) = await domain.sessions.of_user(await server.actor("bob"), "bob")
    ((job,), _) = await domain.jobs.list(await server.actor("bob"), kind="project.copy")
    await domain.accounts.remove(ROOT, "bob")
    assert await domain.store.count("searches") == 0
    assert await seen(server) == set()
    bob = await server.actor("bob")
    for look in (domain.sessions.get(bob, session.id), domain.jobs.get(bob, job.id), domain.jobs.cancel(bob, job.id)):
        with pytest.raises(NotFound):
            await look
    assert [one.id for one in await domain.sessions.of_user(ROOT, "bob")] == [session.id], "administrators see all"


async def test_others_are_not_told_that_who_has_a_name_now_did_what_was_done_before(server: Served) -> None:
    domain, alice = server.domain, await server.actor("alice")
    hers = await domain.projects.get(alice, "alice", "hers")
    published = Publication(id=new_id(), project=hers.id, user="bob", path="x.ipynb", title=BEFORE, state="ready")
    published.versions.append(Version(number=1, user="bob"))
    await domain.store.insert("publications", published.model_dump(mode="json"))
    await domain.activity.record(await server.actor("bob"), "project.tagged", project=hers.id)
    await domain.accounts.remove(ROOT, "bob")
    await domain.accounts.create(ROOT, NewUser(name="bob", full_name="Roberta Roe", password=PASSWORD))
    await domain.activity.record(await server.actor("bob"), "project.starred", project=hers.id)
    browser = await server.browser("alice")
    told = (await browser.get("/alice/hers/activity")).text
    assert [name for name in re.findall(r"<strong>([^<]+)</strong>", told) if name not in ("alice", "You")] == [
        "Roberta Roe",
        "bob",
    ]
    assert "Roberta Roe" in (person := (await browser.get("/people/bob")).text)
    assert BEFORE not in person
