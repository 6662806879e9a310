"""A gateway of two workers as it is run: `aen serve --role gateway` with TLS, the app on a node of its own behind port 5002.

What holds in single workers is told in test_gateway_workers.py; here the whole way is real: server, bus, processes, certificates.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.apart import Apart
from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.nginx import Certificate, certificate
from tests.waiting import until

WORKERS = 2
TABS = 24
SECONDS = 20.0


class Crewed(Apart):
    """Its gateway has two workers and TLS."""

    def __init__(self, tls: Certificate) -> None:
        self.tls = tls
        super().__init__(environ={"SSL_CERT_FILE": str(tls.cert)})

    def configuration(self) -> dict[str, Any]:
        """See World."""
        made = super().configuration()
        made["gateway"] |= {
            "url": made["gateway"]["url"].replace("http:", "https:"),
            "workers": WORKERS,
            "tls": {"cert": str(self.tls.cert), "key": str(self.tls.key)},
        }
        return made

    def workers(self) -> dict[str, Any]:
        """What the gateway says of its workers."""
        try:
            answer = urllib.request.urlopen(f"{self.programs['gateway'].ops}/-/health", timeout=5)
        except urllib.error.HTTPError as error:  # 503 while one of them is missing
            answer = error
        with answer:
            found: dict[str, Any] = json.load(answer)["parts"]["gateway"]["workers"]
        return found

    def pids(self) -> list[int]:
        """The workers that take connections."""
        return [one["pid"] for one in self.workers()["each"] if one["open"]]


@pytest.fixture(scope="module")
def place() -> Iterator[Crewed]:
    folder = Path(tempfile.mkdtemp(prefix="aenw-tls-", dir="/tmp"))
    folder.chmod(0o755)
    tls = certificate(folder)
    tls.key.chmod(0o644)  # of a test
    try:
        made = Crewed(tls)
        with made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_two_workers_from_end_to_end(place: Crewed) -> None:
    name, trust = place.add("wanda"), place.tls.trusting()
    async with place.client(name) as client, AsyncExitStack() as stack:
        session = await opened(client, await project_of(client, name, "genome"))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=_each_anew(trust)))
        kernel = await Kernel.start(http, session["url"], bearer(place, name))
        assert await kernel.run("kept = 42") == ""

        first = place.pids()
        assert len(first) == WORKERS
        await _tabs(stack, http, kernel, first)
        os.kill(first[0], signal.SIGKILL)

        async def replaced() -> bool:
            now = place.pids()
            return len(now) == WORKERS and first[0] not in now

        await until(replaced, SECONDS, "another worker in the place of the killed one")
        for _ in range(8):  # by both workers, the new one told of routes and logins
            assert await kernel.run("print(kept)") == "42\n"
        assert place.workers()["replaced"] == 1

        tabs = await _tabs(stack, http, kernel, place.pids())
        (token,) = place.api.get("users", name, "logins")["items"]
        assert (await client.ask("DELETE", f"/api/v1/logins/{token['id']}")).status == 204
        async with asyncio.timeout(SECONDS):  # all at once: who does not answer a Close within 2 s is cut
            assert await asyncio.gather(*map(_closed, tabs)) == [1008] * TABS
        for _ in range(8):
            async with http.get(f"{session['url']}api", headers=kernel.headers) as answer:
                assert answer.status == 401


def _each_anew(trust: ssl.SSLContext) -> aiohttp.TCPConnector:
    """A connection for each request: else one worker would serve them all."""
    return aiohttp.TCPConnector(ssl=trust, force_close=True)


async def _tabs(
    stack: AsyncExitStack, http: aiohttp.ClientSession, kernel: Kernel, pids: list[int]
) -> list[aiohttp.ClientWebSocketResponse]:
    """WebSockets, and each worker has some."""
    before = {pid: _sockets(pid) for pid in pids}
    address = f"{kernel.base}api/kernels/{kernel.id}/channels"
    made = [
        await stack.enter_async_context(http.ws_connect(f"{address}?session_id=t{number}", headers=kernel.headers))
        for number in range(TABS)
    ]
    assert all(_sockets(pid) > before[pid] for pid in pids), f"{TABS} connections, and one worker got none of them"
    return made


def _sockets(pid: int) -> int:
    return sum(1 for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink() and "socket:" in os.readlink(one))


async def _closed(tab: aiohttp.ClientWebSocketResponse) -> int | None:
    async for _ in tab:
        pass
    return tab.close_code
