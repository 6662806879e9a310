"""Turns: few begin in each turn of the loop, in the order in which they came; who goes away takes nobody's turn."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aen.web.site import site
from aen.web.turns import Turns
from tests.waiting import until


class Passes:
    """How often the loop has gone round."""

    def __init__(self) -> None:
        self.number = 0
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.number += 1
        asyncio.get_running_loop().call_soon(self._next)


async def test_few_begin_in_each_turn_and_in_their_order() -> None:
    turns, passes, begun = Turns(), Passes(), list[tuple[int, int]]()

    async def ask(number: int) -> None:
        await turns.take()
        begun.append((number, passes.number))

    await asyncio.gather(*map(ask, range(50)))
    assert [number for number, _ in begun] == list(range(50))
    assert max(Counter(at for _, at in begun).values()) <= 4
    assert len({at for _, at in begun}) < 20, "nor do they wait for nothing"


async def test_who_comes_while_others_wait_comes_after_them() -> None:
    turns, begun, some = Turns(), list[str](), asyncio.Event()

    async def ask(name: str) -> None:
        await turns.take()
        begun.append(name)
        if len(begun) == 6:
            some.set()

    tasks = [asyncio.create_task(ask(f"first {number}")) for number in range(20)]
    await some.wait()
    tasks += [asyncio.create_task(ask(f"later {number}")) for number in range(20)]
    await asyncio.gather(*tasks)
    assert begun == [f"first {number}" for number in range(20)] + [f"later {number}" for number in range(20)]


async def test_who_goes_away_takes_nobodys_turn() -> None:
    turns, begun = Turns(), list[int]()

    async def ask(number: int) -> None:
        await turns.take()
        begun.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(40)]
    await asyncio.sleep(0)
    for task in tasks[6:30]:
        task.cancel()
    await asyncio.wait(tasks)
    assert begun == [*range(6), *range(30, 40)]


async def test_alone_nobody_waits_and_at_rest_nothing_runs() -> None:
    turns = Turns()
    for _ in range(3):
        taking = turns.take()
        with pytest.raises(StopIteration):  # it is there without a turn of the loop
            taking.send(None)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not turns._counting


async def test_slow_requests_of_a_site_hold_up_nobody() -> None:
    app, slow, inside = site(), asyncio.Event(), list[str]()

    async def wait(request: web.Request) -> web.Response:
        inside.append(request.path)
        await slow.wait()
        return web.Response(text="late")

    async def quick(request: web.Request) -> web.Response:
        return web.Response(text="now")

    async def all_wait() -> bool:
        return len(inside) == 30

    app.router.add_get("/wait", wait)
    app.router.add_get("/quick", quick)
    async with TestClient(TestServer(app)) as client:
        waiting = [asyncio.create_task(_text(client, "/wait")) for _ in range(30)]
        await until(all_wait, 20, "all of them are at work")
        assert await asyncio.gather(*(_text(client, "/quick") for _ in range(30))) == ["now"] * 30
        slow.set()
        assert await asyncio.gather(*waiting) == ["late"] * 30


async def _text(client: TestClient[web.Request, web.Application], path: str) -> str:
    return await (await client.get(path)).text()
