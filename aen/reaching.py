"""Reaching: whether a host that joins can be reached where it will listen: it answers there for a moment, and somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from aen.errors import Conflict

K = TypeVar("K", bound=str)

SECONDS = 5.0  # for one look
_MOST = 4  # places
_WORD = b"AEN joining "


async def look(places: Mapping[K, str], nkey: str) -> dict[str, str]:
    """Why those of `places` (option → host:port) can't be reached where the host with that nkey answers; empty: all can."""
    chosen = list(places.items())[:_MOST]
    found = await asyncio.gather(*(_look(place, nkey) for _, place in chosen))
    return {option: why for (option, _), why in zip(chosen, found, strict=True) if why}


async def _look(place: str, nkey: str) -> str:
    parts = urlsplit(f"//{place}")
    writer = None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, parts.port), SECONDS)
        said = await asyncio.wait_for(reader.readexactly(len(_WORD + nkey.encode())), SECONDS)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
        return f"{place} can't be reached from here ({_why(error)})"
    finally:
        if writer is not None:
            writer.close()
    return "" if said == _WORD + nkey.encode() else f"at {place} something else answers"


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:g} s: a firewall?"
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it answers something else"


@contextlib.contextmanager
def answering(listens: Mapping[str, tuple[str, int]], nkey: str) -> Iterator[None]:
    """Answer at each of `listens` (option → host, port) meanwhile. Raises Conflict where another program listens."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(_bound(option, host, port)) for option, (host, port) in listens.items()]
        threads = [threading.Thread(target=_answer, args=(sock, nkey), daemon=True) for sock in socks]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for sock in socks:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # wakes its thread


def _bound(option: str, host: str, port: int) -> socket.socket:
    try:
        if host in ("*", "") and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        host = "" if host == "*" else host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Conflict(
            f"{option}: port {port} can't be used ({error.strerror}): stop what listens there, "
            f"or set another {option} before joining."
        ) from error


def _answer(sock: socket.socket, nkey: str) -> None:
    while True:
        try:
            visitor, _ = sock.accept()
        except OSError:
            return
        with visitor, contextlib.suppress(OSError):
            visitor.settimeout(SECONDS)
            visitor.sendall(_WORD + nkey.encode())
