"""Faults: what any part logs as an error with an exception is told once, by a process that logs as AEN does."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import asyncio, structlog
from aen import log
from aen.faults import FAULTS

told = []
async def publish(fault):
    told.append(fault)

async def main():
    log.configure("info", "json")
    logger = structlog.get_logger("any.part")
    async with FAULTS.told(publish, "n7"):
        try:
            {}["missing"]
        except KeyError:
            logger.exception("something failed", error_id="abc123", password="hunter2")
        logger.error("no exception, no fault")
        logger.warning("a warning is none", exc_info=ValueError("x"))
        async with asyncio.timeout(20):
            while not told:
                await asyncio.sleep(0)
    print("[" + ",".join(one.model_dump_json() for one in told) + "]")

asyncio.run(main())
"""


def test_what_is_logged_with_an_exception_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    [fault] = json.loads(done.stdout.splitlines()[-1])
    assert (fault["node"], fault["kind"], fault["what"], fault["id"]) == (
        "n7",
        "KeyError",
        "something failed",
        "abc123",
    )
    assert "hunter2" not in done.stdout
    assert '"something failed"' in done.stderr  # it stands in the log as before
