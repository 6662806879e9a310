"""Looking: in the tests' own process, whoever changes what is shared and only to be looked at is found."""

from __future__ import annotations

import json
from collections.abc import Hashable

from aen.doorkeeper import Doorkeeper
from aen.model import Document
from aen.roles.server.seen import D, Seen
from aen.store import Doc
from aen.store.sqlite_answers import Answer, Answers

_keep, _get, _read = Answers.keep, Answers.get, Seen.read
_MOST = 500  # answers that are watched at a time
_kept: dict[int, tuple[Answer, str]] = {}


knows = Doorkeeper.knows  # as it is in the real program


def watch() -> None:
    """From now on; and all that may be kept is, at once. Costs a little of each look, so it is for tests alone."""
    Doorkeeper.knows = lambda self, key: True  # type: ignore[method-assign]
    Answers.keep, Answers.get, Seen.read = _noted, _checked, _as_stored  # type: ignore[method-assign]


def _noted(self: Answers, collection: str, question: Hashable, answer: Answer, size: int, moment: int) -> None:
    _keep(self, collection, question, answer, size, moment)
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[id(answer)] = answer, _text(answer)


def _checked(self: Answers, collection: str, question: Hashable) -> Answer | None:
    answer = _get(self, collection, question)
    before = _kept.get(id(answer))
    if before is not None and answer is before[0]:
        assert _text(before[0]) == before[1], f"somebody changed a document of {collection} that is shared"
    return answer


def _as_stored(self: Seen, kind: type[D], doc: Doc) -> D:
    model: D = _read(self, kind, doc)
    assert _dumped(model) == _dumped(kind.model_validate(doc)), f"somebody changed a {kind.__name__} that is shared"
    return model


def _dumped(model: Document) -> str:
    return model.model_dump_json()


def _text(answer: Answer) -> str:
    return "" if isinstance(answer, int) else json.dumps(answer.items)
