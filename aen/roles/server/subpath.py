"""Sub-path: the server below a path of another site. The front proxy takes the path off; here our answers get it back."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: The attributes by which our pages lead to addresses of ours. In text a quote is always escaped, so only real
#: attributes look like this. A test holds the list against all templates.
ATTRIBUTES = (
    "href",
    "src",
    "action",
    "formaction",
    "data-events",
    "data-preview",
    "data-suggest",
    "data-search",
    "data-url",
)
_LINK = re.compile(rf'(?<=\s)((?:{"|".join(ATTRIBUTES)})=")(?=/(?!/))')


def under_path(path: str) -> Any:
    """A middleware for a server that people reach below `path` (`/aen`): addresses in answers begin with it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        there = response.headers.get("Location", "")
        if there.startswith("/") and not there.startswith("//"):
            response.headers["Location"] = path + there
        if isinstance(response, web.Response) and response.content_type == "text/html" and response.text:
            response.text = _LINK.sub(rf"\g<1>{path}", response.text)
        return response

    return middleware
