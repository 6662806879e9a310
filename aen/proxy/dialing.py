"""Dialing: a connection to an app on this host, made only if the one who listens there has the app's uid."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from aen.proxy.peers import Stranger, loopback, tcp_uids, unix_uid


async def dial(address: str, uid: int) -> socket.socket:
    """A connected socket to `unix:/path` or `tcp:127.0.0.1:port`. Nothing was sent yet.

    Raises Stranger when somebody else than `uid` listens there, OSError when nobody does.
    """
    loop = asyncio.get_running_loop()
    kind, _, rest = address.partition(":")

    def check(uids: set[int]) -> None:
        if uids != {uid}:
            raise Stranger(f"uid {sorted(uids)} listens at {address}, not {uid}")

    if kind == "unix":
        return await _open(loop, socket.AF_UNIX, rest, lambda made: check({unix_uid(made)}))
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    if kind != "tcp" or not port.isdigit() or not loopback(host):
        raise Stranger(f"{address} is not an address on this host")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = await _open(loop, family, (host, int(port)), None)
    try:
        check(await asyncio.to_thread(tcp_uids, family, int(port)))
    except BaseException:
        made.close()
        raise
    return made


async def _open(
    loop: asyncio.AbstractEventLoop, family: int, address: Any, check: Callable[[socket.socket], None] | None
) -> socket.socket:
    """A connected socket that `check` has accepted."""
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    try:
        if family == socket.AF_UNIX:
            await _connect_unix(made, address)
        else:
            await loop.sock_connect(made, address)
        if check is not None:
            check(made)
    except BaseException:
        made.close()
        raise
    return made


async def _connect_unix(made: socket.socket, path: str) -> None:
    """Connect at once. When the app's queue is full the kernel says EAGAIN and tells nobody later: so ask again."""
    pause = 0.002
    while True:
        try:
            made.connect(path)
        except BlockingIOError:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)
        else:
            return
