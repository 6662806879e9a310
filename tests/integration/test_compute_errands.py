"""Errands at a compute node: an id is begun once, one of a key at a time, what fails says why, what is unknown is not found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aen.errors import Conflict, NotFound, TooMany
from aen.messages import AskErrand, ErrandAnswer, PrepareProject, ReadErrand, StartErrand, StopErrand
from aen.model.errand import ErrandReport
from aen.model.project import ProjectState
from tests.computing import MATE, OWNER, Box, box, project
from tests.launching import Place, place
from tests.waiting import until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    """A place for a compute role."""
    with place("managed") as made:
        yield made


async def prepared(running: Box) -> None:
    """The project is there."""
    await running.ready()
    await running.ask(PrepareProject(project=project()))

    async def there() -> bool:
        return any(one.state is ProjectState.RUNNING for one in running.projects)

    await until(there, 60, "the project is prepared")


async def ended(running: Box, id: str) -> ErrandReport:
    """How it ended."""

    async def look() -> ErrandReport | None:
        found = await running.ask(ReadErrand(errand=id))
        assert isinstance(found, ErrandReport)
        return found if found.state != "running" else None

    return await until(look, 60, f"{id} ended")


async def test_begun_once_and_one_of_a_key(here: Place) -> None:
    async with box(here) as running:
        await prepared(running)
        begin = StartErrand(errand="first", key="k", project=project(), user=OWNER, verb="revisions.begin")
        await running.ask(begin)
        again = begin.model_copy(update={"id": "another-message"})
        report = await running.ask(again)
        assert isinstance(report, ErrandReport)
        with pytest.raises(TooMany):
            await running.ask(begin.model_copy(update={"id": "third-message", "errand": "second"}))
        done = await ended(running, "first")
        assert (done.state, done.result["repository"]) == ("done", True)
        await running.ask(begin.model_copy(update={"id": "fourth-message"}))  # known: it does not begin again
        assert (await ended(running, "first")).ended == done.ended
        await running.ask(begin.model_copy(update={"id": "fifth-message", "errand": "third"}))
        failed = await ended(running, "third")
        assert (failed.state, "already" in failed.reason) == ("failed", True)
        with pytest.raises(NotFound):
            await running.ask(ReadErrand(errand="unheard"))
        stopped = await running.ask(StopErrand(errand="first"))
        assert isinstance(stopped, ErrandReport)
        assert stopped.state == "done"


async def test_asked_as_a_mate_and_refused_with_its_reason(here: Place) -> None:
    async with box(here) as running:
        await prepared(running)
        answer = await running.ask(AskErrand(project=project(), user=MATE, verb="revisions.key", told={"make": True}))
        assert isinstance(answer, ErrandAnswer)
        assert answer.result["public"].startswith("ssh-ed25519 ")
        with pytest.raises(Conflict, match="Say in a few words"):
            await running.ask(AskErrand(project=project(), user=MATE, verb="revisions.commit"))
