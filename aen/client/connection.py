"""Connection: one server, one token; questions as HTTP, answers as models, errors as AenErrors."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aiohttp
from pydantic import BaseModel

from aen.client.async_calls import AsyncCalls
from aen.client.calls import Calls
from aen.errors import AenError, Invalid, Unavailable, from_wire

_SECONDS = 60.0  # for one answer
Query = dict[str, Any]


class AsyncClient(AsyncCalls):
    """A server, asked with await. `token`: an API token; a narrowed one may do less. Use it as `async with`.

    Raises Invalid for an address that is none, Unavailable when the server can't be reached or does not answer as AEN does.
    """

    def __init__(self, url: str, token: str, *, seconds: float = _SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"{url} is not the address of a server: write it as https://aen.example.org.")
        self._base = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self, method: str, *parts: str, query: Query | None = None, body: object = None, data: bytes | None = None
    ) -> bytes:
        """Ask anything of /api/v1: the answer's bytes. `body` goes as JSON, `data` as it is."""
        if self._session is None:
            raise Invalid("Use the client in a `with`: then its connections are closed as well.")
        path = "/".join(quote(part, safe="") for part in parts)
        asked = {key: _asked(value) for key, value in (query or {}).items() if value is not None}
        try:
            async with self._session.request(
                method,
                f"{self._base}/api/v1/{path}",
                params=asked,
                json=body,
                data=data,
                headers=self._headers,
                allow_redirects=False,  # a token is shown to no other server
            ) as answer:
                return _checked(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise Unavailable(
                f"The server at {self._base} did not answer ({why}). Check the address and the network."
            ) from error

    async def _call(
        self, method: str, parts: tuple[str, ...], gives: Any = None, *, body: object = None, query: Query | None = None
    ) -> Any:
        sent = body.model_dump(mode="json", by_alias=True, exclude_unset=True) if isinstance(body, BaseModel) else body
        return _read(await self.request(method, *parts, query=query, body=sent), gives)

    async def every(self, page: Callable[..., Awaitable[Any]], *given: str, **query: Any) -> AsyncIterator[Any]:
        """Every item of a paged list: `client.every(client.get_projects, scope="mine")`."""
        while True:
            found = await page(*given, **query)
            for item in found.items:
                yield item
            if not getattr(found, "next", ""):
                return
            query["cursor"] = found.next


class Client(Calls):
    """A server, asked without await: in scripts, and in notebooks, where a loop runs already. Use it as `with`."""

    def __init__(self, url: str, token: str, *, seconds: float = _SECONDS) -> None:
        self._client = AsyncClient(url, token, seconds=seconds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="aen-client", daemon=True)
        self._thread.start()
        self._wait(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._wait(self._client.__aexit__())
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def request(
        self, method: str, *parts: str, query: Query | None = None, body: object = None, data: bytes | None = None
    ) -> bytes:
        """Ask anything of /api/v1: the answer's bytes. `body` goes as JSON, `data` as it is."""
        return bytes(self._wait(self._client.request(method, *parts, query=query, body=body, data=data)))

    def _call(
        self, method: str, parts: tuple[str, ...], gives: Any = None, *, body: object = None, query: Query | None = None
    ) -> Any:
        return self._wait(self._client._call(method, parts, gives, body=body, query=query))

    def every(self, page: Callable[..., Any], *given: str, **query: Any) -> Iterator[Any]:
        """Every item of a paged list: `client.every(client.get_projects, scope="mine")`."""
        while True:
            found = page(*given, **query)
            yield from found.items
            if not getattr(found, "next", ""):
                return
            query["cursor"] = found.next

    def _wait(self, work: Any) -> Any:
        if self._loop is None:
            work.close()
            raise Invalid("Use the client in a `with`: then its connections are closed as well.")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _asked(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _checked(status: int, body: bytes) -> bytes:
    if status < 300:
        return body
    try:
        told = json.loads(body)["error"]
        error = from_wire(told)
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f"The server answered {status}, and not as AEN does. Is the address right?") from None
    raise error


def _read(body: bytes, gives: Any) -> Any:
    if gives is bytes:
        return body
    if gives is None:
        return None
    try:
        return gives.model_validate_json(body)
    except ValueError as error:
        raise AenError(f"The server's answer is not of the form that this client knows ({error}).") from error
