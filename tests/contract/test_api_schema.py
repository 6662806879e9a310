"""The API keeps its own description: schemathesis makes questions from it, good and bad; no 500s, no answers of another form."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.core.failures import FailureGroup

from aen.roles.server.project.projects import NewProject
from tests.fakenode import FakeNode
from tests.served import Served, served

LONGEST = 500  # letters of a query: an address over 8 KB is cut off by HTTP itself, before the API
EXAMPLES = 6  # for each operation and mode; bounded, and the same ones every time
#: Streams never end; a join is not a question of people; the password of who asks must stay.
LEFT_OUT = re.compile(r"_events$|^post_join$|^put_users_user_password$|^post_users_user_sign_out$|^delete_logins_id$")
KNOWN = {
    "owner": "alice",
    "name": "genome",
    "user": "bob",
    "datacenter": "main",
    "node": "n1",
    "environment": "default",
}


def no_fault_of_ours(context: Any, response: Any, case: Any) -> None:
    """503 and 504 are what people are told when the node that has the files answers nothing: the stand-in node."""
    assert response.status_code != 500, f"500: {response.text[:300]}"


ASKED = [no_fault_of_ours, checks.response_schema_conformance, checks.content_type_conformance]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running, FakeNode(running.role.context.bus):
        await running.person("alice", admin=True)
        await running.person("bob")
        alice = await running.actor("alice")
        await running.domain.projects.create(alice, NewProject(name="genome"))
        yield running


def ask_all(server: Served, secret: str, description: dict[str, Any]) -> list[str]:
    """What is wrong, for every operation."""
    schema = schemathesis.openapi.from_dict(description)
    schema.config.base_url = server.url
    wrong: dict[str, None] = {}
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr] # an operation that can't be read fails here
        if LEFT_OUT.search(operation.definition.raw["operationId"]):
            continue
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            for text in ask(operation, mode, server.url, secret):
                wrong[text] = None
    return list(wrong)


def ask(operation: Any, mode: Any, url: str, secret: str) -> list[str]:
    wrong: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        if case.method != "DELETE":  # asked of what is there, not of random names
            case.path_parameters = {key: KNOWN.get(key, value) for key, value in (case.path_parameters or {}).items()}
        assume(sum(len(str(value)) for value in (case.query or {}).values()) < LONGEST)
        answer = case.call(base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=30)
        try:
            case.validate_response(answer, checks=ASKED)
        except FailureGroup as group:
            wrong.extend(
                f"{case.method} {operation.path}: {answer.status_code}: {each}"[:700] for each in group.exceptions
            )

    with contextlib.suppress(Unsatisfiable):  # where nothing can be given, nothing can be given wrongly
        one()
    return wrong


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
@pytest.mark.parametrize("person", ["alice", "bob"])
async def test_answers_are_as_described(server: Served, person: str) -> None:
    """alice is the administrator; bob is nobody in her project."""
    asker = await server.script(person)
    description = (await asker.ask("GET", "/api/v1/openapi.json")).json
    wrong = await asyncio.to_thread(ask_all, server, asker.token, description)
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
