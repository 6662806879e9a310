"""What Prometheus gets of a gateway."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from prometheus_client import REGISTRY

from tests.integration.test_gateway import PATH, housed, until


def _now(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_requests_times_and_sockets_are_counted(tmp_path: Path) -> None:
    async with housed(tmp_path) as house:
        async with house.client("alice", Origin=house.origin) as browser:
            for _ in range(20):  # the later ones are repeated from memory
                async with browser.get(PATH + "x") as answer:
                    assert answer.status == 200
            async with browser.get("/alice/genome/other/") as answer:
                assert answer.status == 503
            async with browser.ws_connect(PATH + "ws") as ws:
                assert _now("aen_gateway_websockets") == 1
                assert _now("aen_gateway_connections") >= 1
                before = _now("aen_gateway_messages_total")
                for word in ("one", "two"):
                    await ws.send_str(word)
                    await ws.receive_str(timeout=5)
                await ws.ping()
                assert _now("aen_gateway_messages_total") == before + 2
        await until(lambda: _now("aen_gateway_websockets") == 0)
        assert _now("aen_gateway_messages_total") == before + 2
        async with house.client() as nobody, nobody.get(PATH + "x") as answer:
            assert answer.status == 401
        assert _now("aen_gateway_requests_total", to="app", status="2xx") == 20
        assert _now("aen_gateway_requests_total", to="pages", status="5xx") == 1
        assert _now("aen_gateway_requests_total", to="own", status="4xx") == 1
        assert _now("aen_gateway_request_seconds_count", to="app") == 20
        assert _now("aen_gateway_request_seconds_bucket", to="app", le="+Inf") == 20
        assert 0 < _now("aen_gateway_request_seconds_sum", to="app") < 60
        assert _now("aen_gateway_routes") == 1


async def test_refusals_and_dead_apps_are_counted(tmp_path: Path) -> None:
    async with housed(tmp_path) as house:
        house.gateway.routes.add(house.route(session="s9", app_server="dead", upstream=f"unix:{tmp_path}/nobody"))
        async with house.client("alice") as browser:
            async with browser.get("/alice/genome/dead/x") as answer:
                assert answer.status == 503
            with pytest.raises(aiohttp.ClientError):
                async with browser.get(PATH, headers={"X-Long": "x" * 40_000}) as answer:
                    answer.raise_for_status()
        assert _now("aen_gateway_failures_total", what="unreachable", why="refused") == 1
        assert _now("aen_gateway_failures_total", what="refused", why="431") == 1
