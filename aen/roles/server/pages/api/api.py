"""API: how requests are read (strictly) and answered; the modules beside it hold the URLs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from aen.errors import Invalid
from aen.model import Word
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.permissions import ACTOR, Actor

M = TypeVar("M", bound=BaseModel)
PREFIX = "/api/v1"
LARGEST = 1024 * 1024  # bytes of a body
_MOST_ITEMS = 200


class TooLarge(Invalid):
    """The body is larger than any that the API takes."""

    status = 413


class WrongType(Invalid):
    """The body is not said to be JSON."""

    status = 415


class Nothing(Word):
    """A body that may hold nothing (or be left out)."""


class Paging(Word):
    """Which page of a list: at most `limit` items (200 are the most), going on at `cursor`."""

    limit: int = Field(50, ge=1)
    cursor: str = Field("", max_length=500)

    @property
    def most(self) -> int:
        """`limit`, as far as we go."""
        return min(self.limit, _MOST_ITEMS)


class ErrorBody(Word):
    """What went wrong: a code, a sentence for people, an id that stands in the log."""

    code: str
    message: str
    id: str


class ErrorAnswer(Word):
    """Every error of the API."""

    error: ErrorBody


def asked(request: web.Request) -> tuple[Domain, Actor]:
    """The domain, and who asks."""
    return request.config_dict[DOMAIN], request[ACTOR]


def part(request: web.Request, name: str) -> str:
    """A part of the path, decoded."""
    return request.match_info[name]


async def body(request: web.Request, model: type[M]) -> M:
    """The JSON body as `model`; nothing sent is `{}`.

    Raises Invalid for what is not strict JSON (UTF-8, no NaN, no key twice, not too deep), has unknown fields or wrong types.
    """
    raw = await _read(request)
    if not raw:
        raw = b"{}"
    elif request.content_type != "application/json":
        raise WrongType("Send the body as JSON, with Content-Type: application/json.")
    data = _parsed(raw)
    if not isinstance(data, dict):
        raise Invalid("The body must be a JSON object.")
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise Invalid(_said(error, "The body")) from None


def query(request: web.Request, model: type[M]) -> M:
    """The query as `model`. Raises Invalid for unknown parameters, doubled ones, and wrong values."""
    values = dict(request.query)
    if len(values) != len(request.query):
        raise Invalid("A parameter stands in the query twice.")
    try:
        return model.model_validate_strings(values)
    except ValidationError as error:
        raise Invalid(_said(error, "The query")) from None


def answer(data: BaseModel | dict[str, Any], status: int = 200) -> web.Response:
    """`data` as JSON; never kept by caches."""
    text = data.model_dump_json() if isinstance(data, BaseModel) else json.dumps(data, allow_nan=False)
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)


def nothing() -> web.Response:
    """Done, and there is nothing to say."""
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


def listed(items: Iterable[BaseModel | dict[str, Any]], next: str = "", **more: Any) -> web.Response:
    """A page of a list: `{"items": […], "next": cursor}`; `next` is empty at the end."""
    plain = [item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in items]
    return answer({"items": plain, "next": next, **more})


async def _read(request: web.Request) -> bytes:
    if request.content_length is not None and request.content_length > LARGEST:
        raise TooLarge("The body is too large: 1 MB is the most.")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > LARGEST:
            raise TooLarge("The body is too large: 1 MB is the most.")
        chunks.append(chunk)
    return b"".join(chunks)


def _parsed(raw: bytes) -> Any:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Invalid("The body is not valid UTF-8.") from None
    try:
        data = json.loads(
            text, object_pairs_hook=_without_twins, parse_constant=_no_constant, parse_float=_finite, parse_int=_int
        )
    except RecursionError:
        raise Invalid("The body is nested too deeply.") from None
    except ValueError as error:
        raise Invalid(f"The body is not valid JSON: {str(error)[:200]}.") from None
    return data


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands in one object twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _int(text: str) -> int:
    if len(text) > 17:
        raise ValueError("a number is too large")
    return int(text)


def _said(error: ValidationError, what: str) -> str:
    """The first mistakes, each with its place; never the value, which may be a password."""
    said: list[str] = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False)[:3]:
        place = ".".join(str(step)[:40] for step in detail["loc"])
        said.append(f"{place}: {detail['msg']}" if place else str(detail["msg"]))
    return f"{what} is not what is expected here. {'; '.join(said)}."
