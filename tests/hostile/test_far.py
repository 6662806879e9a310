"""A gateway reaches apps on another host through their node: everything as for an app of its own, and nobody else does."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


from aen.proxy import Limits
from tests.far import Pair, pair, record
from tests.hostile.stand import Stand, Talk, request, stand



@asynccontextmanager
async def far(
    tmp: Path, talk: Talk | None = None, *, limits: Limits | None = None, url: str = "http://gw.test"
) -> AsyncIterator[tuple[Stand, Pair]]:
    """A gateway whose app is on another host."""
    async with (
        pair(tmp) as both,
        stand(tmp, talk, limits=limits, nodes=both.links, url=url, upstream=both.upstream, node="n1") as here,
    ):
        both.sessions["s1"] = record(f"unix:{tmp}/app")
        yield here, both


async def test_requests_go_through_on_one_kept_connection(tmp_path: Path) -> None:
    async with far(tmp_path) as (here, both):
        for _ in range(20):
            assert (await here.one(request())).endswith(b"ok")
        assert both.endpoint.served == 1
        assert len(here.app.connections) == 1
        assert here.app.got.startswith(b"GET /alice/genome/jupyter/x HTTP/1.1\r\n")
        assert b"X-AEN-App-Token: launch-secret\r\n" in here.app.got


async def test_the_second_connection_resumes_the_session(tmp_path: Path) -> None:
    async with far(tmp_path) as (here, both):
        for _ in range(3):
            assert (await here.one(request())).endswith(b"ok")
            here.plane.pools.leave_nodes()
        context = both.links.context
        pool = here.plane.pools.of(next(iter(here.plane.routes.routes())))
        made = await pool.connect(5)
        assert made.transport.get_extra_info("ssl_object").session_reused
        assert made.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert context.session_stats()["hits"] >= 1
        made.drop()
