"""API, mail: whether it works, and what waits in the outbox; for staff. What letters say is not told."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.roles.server.pages.api.api import PREFIX, Nothing, Paging, answer, asked, body, listed, nothing, part, query
from aen.roles.server.pages.api.views import PageOf, fields
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class LetterView(Word):
    """A letter that the mail server has not taken yet; `state` is waiting or failed."""

    id: str
    to: str
    kind: str
    state: str
    error: str
    attempts: int
    created: int


class MailTest(Word):
    """To which address a test goes."""

    to: str = Field(max_length=254)


class Tested(Word):
    """The mail server's own words."""

    answer: str


async def waiting(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, Paging)
    found, next = await domain.mail.waiting(actor, q.most, q.cursor)
    return listed([LetterView(**fields(letter, LetterView)) for letter in found], next)


async def test(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, MailTest)
    return answer(Tested(answer=await domain.mail.test(actor, wanted.to)))


async def again(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.mail.again(actor, part(request, "id"))
    return nothing()


S = Permission.STAFF
_HERE = f"{PREFIX}/admin/mail"
URLS = [
    Url("GET", _HERE, waiting, S, None, PageOf[LetterView], 200, Paging, "What waits in the outbox"),
    Url("POST", f"{_HERE}/test", test, S, MailTest, Tested, summary="Send a test"),
    Url("POST", f"{_HERE}/{{id}}/again", again, S, Nothing, status=204, summary="Try a letter again now"),
]
