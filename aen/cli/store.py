"""`aen store`: check, upgrade and copy where the server keeps its documents. For a server that is stopped."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aen.cli import Files, app, files
from aen.errors import Conflict, Invalid

if TYPE_CHECKING:
    from aen.config import Config
    from aen.store import Store

T = TypeVar("T")

group = typer.Typer(help="Check, upgrade and copy the store.", no_args_is_help=True)
app.add_typer(group, name="store")

_CURRENT = "current"
Place = Annotated[
    str,
    typer.Argument(
        help="A store.url; `current` for the one of the configuration; `env:NAME` for one in the environment, so that "
        "no password stands in the list of processes."
    ),
]


@group.command()
def check(config: Files = None) -> None:
    """Look through everything that is stored. Exit code 1 if anything is damaged."""
    resolved = _ready(config)
    found = _with(resolved.store.url, lambda store: store.check())
    for sentence in found:
        print(sentence)
    if found:
        raise Conflict(f"{len(found)} faults were found. Restore the store from a backup (docs/operate.md).")
    print("The store is whole.")


@group.command()
def upgrade(config: Files = None) -> None:
    """Make missing indexes, and bring what documents are found by up to date; a server's start does the same."""
    resolved = _ready(config)

    async def nothing(store: Store) -> list[str]:
        done: list[str] = getattr(store, "done", [])
        return done

    for line in _with(resolved.store.url, nothing):
        print(line)
    print("The store is up to date.")


@group.command()
def copy(source: Place, target: Place, config: Files = None) -> None:
    """Copy a whole installation between SQLite and MongoDB, and compare both. Safe to start again."""
    from aen.store.moving import copy as copied

    resolved = _ready(config)
    first, second = _url(source, resolved), _url(target, resolved)
    if first == second:
        raise Invalid("Source and target are the same store.")

    async def both(old: Store) -> int:
        async with _opened(second) as new:
            return sum(one.count for one in await copied(old, new, _tell))

    count = _with(first, both)
    print(f"All {count} documents were copied. Set store.url to the target, then start AEN.")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _url(place: str, config: Config) -> str:
    if place == _CURRENT:
        return config.store.url
    if place.startswith("env:"):
        found = os.environ.get(place[4:], "")
        if not found:
            raise Invalid(f"The environment has no {place[4:]}.")
        return found
    return place


def _with(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _opened(url) as store:
            return await work(store)

    return asyncio.run(run())


def _opened(url: str) -> Store:
    from aen.store.open import open_store

    return open_store(url)


def _ready(config: Files) -> Config:
    """The configuration, as AEN's own account: what is made must be the server's. Raises Conflict while a server runs here."""
    from aen import log
    from aen.config.load import load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve
    from aen.places import Lock
    from aen.privileges import drop

    loaded = load(files(config), os.environ)
    resolved = resolve(loaded.config, roles=("server",), machine=Machine.here())
    log.configure("warning", loaded.config.log.format)
    Lock(resolved.data_dir).check()
    if os.geteuid() == 0 and _exists(resolved.service_account):
        drop(resolved.service_account)
    return resolved


def _exists(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True
