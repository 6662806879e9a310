"""Compute nodes are reached by their gateway's host alone, and reach nothing but it: in a network where all else is dropped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.far import pair, record
from tests.hostile.stand import request, stand
from tests.netns import network, why_not

LEAF, JOINING = 4223, 8089


def test_a_compute_node_needs_its_gateways_host_and_nothing_else(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with network() as net:
        for host in ("server", "gateway", "compute", "browser", "other"):
            net.host(host)
        for one, other in (("server", "gateway"), ("gateway", "compute"), ("browser", "gateway"), ("gateway", "other")):
            net.cable(one, other)
        at = net.addresses
        bound = net.listen("compute", at["compute", "gateway"])
        port = bound.getsockname()[1]
        served = [
            net.listen("gateway", at["gateway", "compute"], LEAF),
            net.listen("gateway", at["gateway", "compute"], JOINING),
            net.listen("server", at["server", "gateway"], 80),
            net.listen("other", at["other", "gateway"], 5002),
        ]

        async def used() -> bytes:
            async with (
                pair(tmp_path, bound=bound.dup()) as both,
                stand(tmp_path, nodes=both.links, upstream=both.upstream, node="n1") as here,
            ):
                both.sessions["s1"] = record(f"unix:{tmp_path}/app")
                return await here.one(request())

        reached = {
            host: net.reaches(host, at["compute", "gateway"], port)
            for host in ("gateway", "server", "browser", "other")
        }
        assert reached == {"gateway": True, "server": False, "browser": False, "other": False}
        assert net.reaches("compute", at["gateway", "compute"], LEAF)
        assert net.reaches("compute", at["gateway", "compute"], JOINING)
        assert not net.reaches("compute", at["server", "gateway"], 80)
        assert not net.reaches("compute", at["other", "gateway"], 5002)
        assert net.on("gateway", lambda: asyncio.run(used())).endswith(b"ok")
        for listener in (*served, bound):
            listener.close()
