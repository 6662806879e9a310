"""Snapshot: routes, revocations and keys on the gateway's disk, so that after a restart it needs nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from aen.model.route import Route
from aen.roles.gateway.admission import Since

log = structlog.get_logger(__name__)
VERSION = 1


@dataclass
class Snapshot:
    """What a gateway knows that it could only learn from the server."""

    version: int = VERSION
    routes: list[Route] = field(default_factory=list)
    latest: int = 0  # number of the newest revocation that is in here
    logins: dict[str, int] = field(default_factory=dict)
    users: dict[str, Since] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


_WHOLE, _ROUTES = TypeAdapter(Snapshot), TypeAdapter(list[Route])
_ROUTES_AT_ONCE = 200


def load(path: Path) -> Snapshot:
    """The snapshot in `path`; an empty one when there is none or it can't be used (which is said in the log)."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Snapshot()
    except OSError as error:
        log.warning("the gateway's snapshot can't be read", path=str(path), why=str(error))
        return Snapshot()
    try:
        if json.loads(text).get("version") != VERSION:
            log.warning("the gateway's snapshot is of another version and is not used", path=str(path))
            return Snapshot()
        return _WHOLE.validate_json(text)
    except (ValidationError, ValueError, AttributeError) as error:
        log.warning("the gateway's snapshot is broken and is not used", path=str(path), why=type(error).__name__)
        return Snapshot()


def encode(snapshot: Snapshot) -> Iterator[bytes]:
    """The snapshot as it stands on disk, in parts that take a fraction of a millisecond each: people wait meanwhile."""
    routes = snapshot.routes
    before, mark, after = _WHOLE.dump_json(replace(snapshot, routes=[])).partition(b'"routes":[')
    yield before + mark
    for begin in range(0, len(routes), _ROUTES_AT_ONCE):
        yield (b"," if begin else b"") + _ROUTES.dump_json(routes[begin : begin + _ROUTES_AT_ONCE])[1:-1]
    yield after


def save(path: Path, data: bytes) -> None:
    """Put `data` in `path`, whole or not at all, for our own eyes only. Raises OSError."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(opened, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
