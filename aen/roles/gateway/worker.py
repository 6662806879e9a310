"""Worker: one of several data planes of a gateway: `python -m aen.roles.gateway.worker FD`. It knows what its gateway tells it.

It speaks to nobody else but browsers and apps, and ends when the gateway does.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import structlog
import uvloop

from aen import log as logs
from aen.certificates import Certificate
from aen.config import Config
from aen.errors import AenError, Unavailable, from_wire
from aen.messages import CheckToken, Command
from aen.model.route import Revocation, Route, TokenLogin
from aen.roles.gateway import ending, planes
from aen.roles.gateway.admission import Doorman, Revoked, Since
from aen.roles.gateway.figures import read
from aen.roles.gateway.mirror import Mirror
from aen.roles.gateway.pipe import Message, Pipe

log = structlog.get_logger(__name__)
COUNTS_SECONDS = 0.5


class Asking:
    """The one thing a doorman asks: whose API token this is. The gateway passes it on."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}

    async def request(self, address: str, command: Command, timeout: float = 10.0) -> Any:
        """See Bus; knows CheckToken alone."""
        if not isinstance(command, CheckToken):
            raise Unavailable("A worker of the gateway asks about tokens alone.")
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        self._pipe.send({"ask": number, "token_hash": command.token_hash, "address": command.address})
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError as error:
            raise Unavailable("The gateway does not answer its worker.") from error
        finally:
            del self._open[number]

    def answered(self, message: Message) -> None:
        """An answer has come."""
        asked = self._open.get(message["answer"])
        if asked is None or asked.done():
            return
        if "error" in message:
            asked.set_exception(from_wire(message["error"]))
        else:
            asked.set_result(TokenLogin.model_validate(message["login"]))


class Worker:
    """A data plane led by a pipe."""

    def __init__(self, pipe: Pipe, setup: Message) -> None:
        self._pipe, self._setup = pipe, setup
        self.config = Config.model_validate(setup["config"])
        self._asking = Asking(pipe)
        self.doorman, self.routes = Doorman(self._asking, Revoked()), Mirror()
        roles, pages, token = tuple(setup["roles"]), setup["pages"], setup["token"]
        self.plane, self._keep = planes.build(self.config, roles, self.doorman, self.routes, pages, token)
        self._draining: asyncio.Task[None] | None = None
        self._takes: dict[str, Callable[[Message], None]] = {
            "routes": self._change,
            "revoked": self._revoked,
            "revocations": self._revocations,
            "keys": self._keys,
            "anew": self._anew,
            "chose": self._chose,
            "postpone": self._postpone,
            "drain": self._drain,
        }

    async def live(self) -> None:
        """Do what the gateway says until it ends, or has had us drained."""
        counting = asyncio.create_task(self._count())
        async with self.plane:
            if self._keep is not None:
                self.plane.spawn(self._keep, "trust")
            while (message := await self._pipe.receive()) is not None:
                if "answer" in message:
                    self._asking.answered(message)
                else:
                    await self._take(message)
                    self._pipe.send({"ack": message["n"]})
        counting.cancel()

    async def _take(self, message: Message) -> None:
        """Do what a message says. Raises KeyError for one that is none of ours."""
        kind = message["kind"]
        if kind == "open":
            await self._open()
        else:
            self._takes[kind](message)

    def _revoked(self, message: Message) -> None:
        entry = Revocation.model_validate(message["entry"])
        ending.take_in(entry, self.doorman, self.routes)
        ending.cut_off(entry, self.doorman, self.plane)

    def _revocations(self, message: Message) -> None:
        """What was revoked before we were there."""
        revoked = self.doorman.revoked
        revoked.latest, revoked.logins = message["latest"], message["logins"]
        revoked.users = {user: Since(*since) for user, since in message["users"].items()}

    def _keys(self, message: Message) -> None:
        if self.doorman.use_keys(message["keys"]):
            self.plane.logins_changed()

    def _anew(self, _: Message) -> None:
        self.doorman.begin_anew()
        self.plane.logins_changed()

    def _chose(self, message: Message) -> None:
        self.doorman.chose(message["user"], message["at"])
        self.plane.logins_changed()

    def _postpone(self, message: Message) -> None:
        self.doorman.postpone(message["login"])

    def _drain(self, _: Message) -> None:
        self._draining = asyncio.create_task(self._drained())

    def _change(self, message: Message) -> None:
        for session, route in message["routes"].items():
            if route is not None:
                self.routes.put(Route.model_validate(route))
            elif (entry := self.routes.drop(session)) is not None:
                self.plane.forget(entry.route)

    async def _open(self) -> None:
        """Everything is known: take connections."""
        gc.collect()
        gc.freeze()  # as the node does when it is ready
        tls, context = self.config.gateway.tls, None
        if tls.cert is not None and tls.key is not None:
            certificate = Certificate("gateway.tls", tls.cert, tls.key)
            self.plane.spawn(certificate.keep(), "certificate")
            context = certificate.context
        await self.plane.listen(socket.socket(fileno=self._setup["listener"]), context)

    async def _drained(self) -> None:
        await self.plane.drain(self.config.gateway.drain_seconds)
        self._pipe.send({"counts": read(self.plane).wire()})
        self._pipe.send({"drained": True})
        await self._pipe.flush()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNTS_SECONDS)
            self._pipe.send({"counts": read(self.plane).wire()})


async def _work(end: socket.socket) -> None:
    pipe = await Pipe.over(end)
    setup = await pipe.receive()
    if setup is None:
        return
    config = setup["config"]
    logs.configure(config["log"]["level"], config["log"]["format"])
    try:
        await Worker(pipe, setup).live()
    except AenError as error:
        log.error("a worker of the gateway can't go on", why=error.message)
        raise SystemExit(1) from error
    finally:
        pipe.close()


def main() -> None:
    """Work over the descriptor that is the first argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are the gateway's: it ends its workers in order
    uvloop.run(_work(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
