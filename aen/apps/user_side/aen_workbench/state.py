"""State: what a Workbench is, and what all handlers need of a request. Paths come as percent-encoded bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .paths import Places, from_wire
from .uploads import Uploads
from .words import Trouble


@dataclass
class State:
    """What this Workbench is: whose, where, and when somebody last did something."""

    places: Places
    user: str
    project: str  # owner/name
    isolated: bool
    uploads: Uploads
    site: str = ""  # the address of the project's page; empty: not told
    active: int = field(default_factory=lambda: int(time.time() * 1000))


STATE = web.AppKey("state", State)


def path_of(request: web.Request, name: str = "path") -> bytes:
    """The path that a request is about. Raises Trouble."""
    return from_wire(request.query.get(name, ""))


async def data_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in a request. Raises Trouble."""
    try:
        data = await request.json()
    except ValueError:
        raise Trouble(400, "request", "The request is no JSON.") from None
    if not isinstance(data, dict):
        raise Trouble(400, "request", "The request is no JSON object.")
    return data


def word(data: dict[str, Any], name: str) -> str:
    """A text in it; empty when it is missing. Raises Trouble."""
    value = data.get(name, "")
    if not isinstance(value, str):
        raise Trouble(400, "request", f"{name} must be text.")
    return value


async def answer(work: Callable[..., Any], *arguments: Any, **more: Any) -> web.Response:
    """What `work` gives, done in a thread, as JSON."""
    return web.json_response(await asyncio.to_thread(work, *arguments, **more))


def root_of(request: web.Request, text: str) -> bytes:
    """The project or the home: each has a trash."""
    places, root = request.app[STATE].places, from_wire(text)
    if root not in (places.project, places.home):
        raise Trouble(404, "gone", "There is no trash here.")
    return root
