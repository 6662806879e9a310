"""Forms: reading what a browser sent, answering with a redirect, and showing a form again with what was wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode

from aiohttp import web

from aen.errors import AenError, Invalid, NotFound, NotSignedIn
from aen.model.user import User
from aen.roles.server.permissions import ACTOR

P = ParamSpec("P")
Page = Callable[..., Awaitable[web.StreamResponse]]


class Form:
    """The fields of a form. `text` is never None; a field that came twice counts once, the last."""

    def __init__(self, fields: dict[str, str], repeated: Sequence[tuple[str, str]] = ()) -> None:
        """`repeated`: every field that came, as often as it came."""
        self._fields, self._repeated = fields, repeated

    def text(self, name: str, longest: int = 1000) -> str:
        """A field without blanks around it. Raises Invalid when it is longer than any honest one."""
        value = self.raw(name, longest).strip()
        if "\x00" in value:
            raise Invalid("A field holds a character that is not text.")
        return value

    def raw(self, name: str, longest: int = 100_000) -> str:
        """A field as it came (passwords, Markdown)."""
        value = self._fields.get(name, "")
        if len(value) > longest:
            raise Invalid(f"What stands in {name} is too long: {longest} characters are the most.")
        return value

    def has(self, name: str) -> bool:
        """Whether the field came at all: how a check box says yes."""
        return name in self._fields

    def all(self, name: str) -> list[str]:
        """The values of a field that may come several times, as check boxes do."""
        return [value for key, value in self._repeated if key == name]

    def number(self, name: str, default: int) -> int:
        """A whole number, or `default` when it is none."""
        try:
            return int(self.text(name, 20))
        except ValueError:
            return default


async def read(request: web.Request) -> Form:
    """The form that was sent; files in it are ignored."""
    posted = await request.post()
    came = [(name, value) for name, value in posted.items() if isinstance(value, str)]
    return Form(dict(came), came)


def see_other(path: str, done: str = "", **query: str) -> web.Response:
    """Lead on after a form: the browser asks for `path` by GET, so that reloading sends nothing twice."""
    given = {name: value for name, value in {**query, "done": done}.items() if value}
    address = f"{path}{'&' if '?' in path else '?'}{urlencode(given)}" if given else path
    return web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})


def person(request: web.Request) -> User:
    """The signed-in person. Raises NotSignedIn (a page of one's own is nothing for the local administrator)."""
    user = request[ACTOR].user
    if user is None:
        raise NotSignedIn("Sign in first.")
    return user


def again(page: Page) -> Callable[[Callable[Concatenate[web.Request, Form, P], Awaitable[web.StreamResponse]]], Page]:
    """Decorate what takes a form: when it raises, `page(request, problem, status, form)` shows the form again.

    What may not be seen stays NotFound, and whoever is not signed in any more goes to the login page.
    """

    def decorate(take: Callable[..., Awaitable[web.StreamResponse]]) -> Page:
        @wraps(take)
        async def handler(request: web.Request) -> web.StreamResponse:
            form = await read(request)
            try:
                return await take(request, form)
            except NotFound:
                raise
            except NotSignedIn:
                if request[ACTOR].known:
                    raise
                return await page(request, problem="Your login has ended. Sign in again.", status=401, form=form)
            except AenError as error:
                return await page(request, problem=error.message, status=error.status, form=form)

        return handler

    return decorate


def page_links(request: web.Request, next_cursor: str) -> dict[str, Any]:
    """The addresses of the next and the first page of a list, other parameters kept."""
    kept = {name: value for name, value in request.query.items() if name not in ("cursor", "done")}
    onward = f"{request.path}?{urlencode({**kept, 'cursor': next_cursor})}" if next_cursor else ""
    first = f"{request.path}?{urlencode(kept)}" if request.query.get("cursor") else ""
    return {"next_url": onward, "first_url": first}


def asked_text(request: web.Request, name: str, longest: int = 200) -> str:
    """A parameter of the query, cut to what is sensible."""
    return request.query.get(name, "").replace("\x00", "")[:longest].strip()
