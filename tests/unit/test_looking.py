"""The tests' own watch over what is shared (tests/looking.py) sees who changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aen.model.user import User
from aen.roles.server.seen import Seen
from aen.store import Query
from aen.store.sqlite import SqliteStore


async def test_a_change_of_a_shared_document_is_seen(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "aen.db") as store:
        await store.insert("settings", {"id": "a", "values": []})
        (doc,) = (await store.find("settings", Query(shared=True))).items
        await store.find("settings", Query(shared=True))
        doc["values"].append("mine")
        with pytest.raises(AssertionError, match="shared"):
            await store.find("settings", Query(shared=True))


def test_a_change_of_a_shared_model_is_seen() -> None:
    seen, doc = Seen(), User(id="ada", incarnation="1", rev=1).model_dump(mode="json")
    user = seen.read(User, doc)
    user.starred.append("mine")
    with pytest.raises(AssertionError, match="shared"):
        seen.read(User, doc)
