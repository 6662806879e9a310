"""Many who connect at the same moment: the last of them does not wait for as many turns of the loop as there are before."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

from tests.hostile.stand import stand as standing

MANY = 160
TURNS = 40  # with one connection a turn it takes MANY


async def test_they_are_taken_in_few_turns(tmp_path: Path) -> None:
    async with standing(tmp_path) as here:
        with ExitStack() as stack:
            for _ in range(MANY):  # no turn of the loop meanwhile: all of them wait in the listener's queue
                stack.enter_context(socket.create_connection(("127.0.0.1", here.port)))
            turns = 0
            while len(here.plane.connections) < MANY:
                turns += 1
                assert turns <= TURNS, f"{len(here.plane.connections)} of {MANY} after {turns} turns"
                await asyncio.sleep(0)
