"""`aen serve` and `aen init`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from aen.cli import Files, app, files
from aen.errors import AenError, Invalid

if TYPE_CHECKING:
    from aen.config import Config
    from aen.ground import Ground


@app.command()
def serve(
    role: Annotated[str, typer.Option("--role", help="all, or a list of server, compute, gateway.")] = "all",
    config: Files = None,
) -> None:
    """Run AEN in the foreground until SIGTERM or Ctrl-C."""
    from aen import ground, log
    from aen.config.load import load

    roles = parse_roles(role)
    chosen = files(config)
    loaded = load(chosen, os.environ)
    log.configure(loaded.config.log.level, loaded.config.log.format)
    laid = ground.lay(loaded, roles)

    sys.exit(_run(laid, lambda: laid.again(load(chosen, os.environ))))


@app.command()
def init(config: Files = None) -> None:
    """Make what the first start would make: the service account and AEN's directories. Safe to run again.

    On a machine that a backup is put back on, also the Linux accounts that AEN had made, with their numbers.
    """
    from aen import ground
    from aen.config.load import load

    for line in ground.prepare(load(files(config), os.environ)):
        print(line)


def parse_roles(text: str) -> tuple[str, ...]:
    """`all`, or names separated by commas, in the order in which roles start. Raises Invalid."""
    from aen.roles import ROLES, TARGETS

    asked: set[str] = set()
    for word in text.split(","):
        if word.strip() not in TARGETS:
            raise Invalid(f"--role {word.strip()!r}: there is no such role. Use {', '.join(TARGETS)}.")
        asked.update(TARGETS[word.strip()])
    return tuple(role for role in ROLES if role in asked)


def _run(laid: Ground, reread: Callable[[], Config]) -> int:
    import asyncio

    import structlog
    import uvloop

    from aen.node import Node

    log = structlog.get_logger(__name__)

    async def live() -> int:
        try:
            return await Node(laid, reread).run()
        except AenError:
            raise
        except Exception:
            log.exception("the node failed")
            return 1

    allow_all_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(live())


def allow_all_files() -> None:
    """Raise the limit of open files as far as it goes: a shell's 1,024 are spent by 500 WebSockets, two files each."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
