"""Link: a node's connection to its NATS broker. It is made again for ever, and everything restored on each.

The reconnecting of nats-py is not used: it buffers what is published meanwhile, gives up for good when credentials are
refused (a broker may not have heard of a new node yet), and tells nobody that their answer is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg as Message
from nats.aio.subscription import Subscription as Listening
from nats.errors import Error, NoServersError

from aen import nkeys
from aen.bus.dial import Dial
from aen.errors import AenError, Unavailable

START_SECONDS = 3.0  # a node waits so long for its bus, and then starts without
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0  # a connection that does not end by then is left behind
RETRY_SECONDS = 0.2  # between two tries to connect
LOOK_SECONDS = 1.0  # between two looks whether there still is a connection
PATIENCE = 1.0  # who speaks within this time after the connection was lost waits for it, no longer than that
BROKEN = (OSError, Error, TimeoutError, AenError, ValueError)  # what a connection that can't be had raises

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Interest:
    """Something that is listened to, on whichever connection there is."""

    subject: str
    queue: str
    heard: Callable[[Message], Awaitable[None]]
    listening: Listening | None = None


class Link:
    """One connection at a time. `lost` is called when one ends, `denied` with each complaint about permissions."""

    def __init__(self, dial: Dial, name: str, lost: Callable[[], None], denied: Callable[[str], None]) -> None:
        self.why = "not connected yet"  # there is no connection
        self.connections = 0  # made until now
        self._dial, self._name, self._lost, self._denied = dial, name, lost, denied
        self._client: Client | None = None  # while connected
        self._cause = ""  # the latest complaint
        self._connected = asyncio.Event()
        self._patient_until = 0.0
        self._interests: set[Interest] = set()
        self._work: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()  # on the connection, in order
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def client(self) -> Client | None:
        """The connection, if there is one."""
        return self._client

    async def open(self) -> None:
        """Connect, or go on trying after START_SECONDS."""
        self._patient_until = asyncio.get_running_loop().time() + START_SECONDS
        for life in (self._keep_working(), self._keep_connected()):
            self._tasks.add(asyncio.create_task(life, name="bus:link"))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), START_SECONDS)
        if self._client is None:
            log.warning("bus not reachable: going on without, and trying again", url=self._dial.shown, why=self.why)

    async def close(self) -> None:
        """End the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        while not self._work.empty():
            self._work.get_nowait().close()
        self._client = None
        self._gone("this node is stopping")

    async def settled(self) -> None:
        """Come back when the broker knows everything that is listened to. Unavailable when there is no broker."""
        client = await self.there()
        try:
            await flushed(client)
        except BROKEN as error:
            raise Unavailable("The bus between the nodes can't be reached right now.") from error

    async def ready(self) -> Client | None:
        """The connection, if there is one, once it has heard of all that is listened to."""
        await self._work.join()
        return self._client

    async def there(self) -> Client:
        """The connection. Waits for it where it was lost a moment ago; else Unavailable at once."""
        if await self.ready() is None:
            left = self._patient_until - asyncio.get_running_loop().time()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._connected.wait(), max(left, 0))
        if self._client is None:
            raise Unavailable(f"The bus between the nodes can't be reached right now: {self.why}.", retry_after=2)
        return self._client

    def listen(self, interest: Interest) -> None:
        """Listen to something, on this connection and every later one."""
        self._interests.add(interest)
        if self._client is not None:
            self._work.put_nowait(_listen(self._client, interest))

    def forget(self, interest: Interest) -> None:
        """Listen to it no more."""
        self._interests.discard(interest)
        if self._client is not None:
            self._work.put_nowait(_leave(interest))

    async def hear_out(self, interest: Interest) -> None:
        """Listen to it no more, once what is on its way has been heard."""
        self._interests.discard(interest)
        if self._client is not None and interest.listening is not None:
            with suppress(*BROKEN):
                await flushed(self._client)
                await interest.listening.drain()  # type: ignore[no-untyped-call]

    async def _keep_connected(self) -> None:
        turn = 0
        while True:
            urls = self._dial.urls
            url = urls[turn % len(urls)]
            turn += 1
            ended = asyncio.Event()
            client = Client()
            try:
                await self._connect(client, url, ended)
                await self._restore(client)
                await _lost(client, ended)
                self._gone("the connection to the broker was lost")
            except (
                Exception
            ) as error:  # whatever nats-py makes of half a greeting: this task is the node's only way back
                self._say(error)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await _closed(client)

    async def _connect(self, client: Client, url: str, ended: asyncio.Event) -> None:
        """Raises what is in BROKEN."""

        async def closed() -> None:
            ended.set()

        context, seed = self._dial.context(url), self._dial.seed()
        options: dict[str, Any] = {}
        if context is not None:
            # Before a word is said: a broker that claims to have no TLS must not be talked to in the clear.
            options = {"tls": context, "tls_handshake_first": True}
            if self._dial.host_name:
                options["tls_hostname"] = self._dial.host_name
        if seed is not None:
            client._public_nkey = nkeys.public(seed)  # by itself nats-py would need another library for this
            options["signature_cb"] = lambda nonce: nkeys.sign(seed, nonce)
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.connect(
                [url],
                name=self._name,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                ping_interval=5,
                max_outstanding_pings=2,
                error_cb=self._failed,
                closed_cb=closed,
                disconnected_cb=closed,
                **options,
            )

    async def _restore(self, client: Client) -> None:
        for interest in list(self._interests):
            await _listen(client, interest)
        await flushed(client)
        self._client = client
        self._connected.set()
        self.connections += 1
        self.why = ""
        log.info("bus connected", url=self._dial.shown, connections=self.connections)

    def _gone(self, why: str) -> None:
        was = self._client
        self._client = None
        self._connected.clear()
        self._patient_until = asyncio.get_running_loop().time() + PATIENCE
        self.why = why
        for interest in self._interests:
            interest.listening = None
        if was is not None:
            log.warning("bus lost", url=self._dial.shown, why=why)
        self._lost()

    def _say(self, error: BaseException) -> None:
        """Once for each reason: there are five tries a second."""
        hidden = isinstance(error, NoServersError) and self._cause
        why = self._cause if hidden else str(error) or type(error).__name__
        if why != self.why:
            self.why = why
            log.warning("bus not reachable", url=self._dial.shown, why=why)

    async def _failed(self, error: Exception) -> None:
        """What the broker complains of, and why it can't be reached."""
        text = str(error)
        self._cause = text or type(error).__name__
        if "permissions violation" not in text.lower():
            log.debug("bus", why=text)
            return
        log.error("the broker refused", why=text)
        self._denied(text)

    async def _keep_working(self) -> None:
        while True:
            work = await self._work.get()
            try:
                with suppress(*BROKEN):  # the connection is being lost: the next one has it all
                    await work
            finally:
                self._work.task_done()


async def flushed(client: Client) -> None:
    """Come back when the broker has taken all that was said. A ping of nats-py overtakes what still waits to be written."""
    await client.flush()
    await client.flush()


async def _listen(client: Client, interest: Interest) -> None:
    interest.listening = await client.subscribe(interest.subject, interest.queue, interest.heard)


async def _leave(interest: Interest) -> None:
    if interest.listening is not None:
        await interest.listening.unsubscribe()


async def _lost(client: Client, ended: asyncio.Event) -> None:
    """Come back when the connection has ended. nats-py says so last, after a farewell that a gone broker never answers."""
    while client.is_connected and not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), LOOK_SECONDS)


async def _closed(client: Client) -> None:
    """End it, as far as that goes: nats-py waits for ever for the farewell of a TLS connection that was reset half-way."""
    ending = asyncio.create_task(client.close(), name="bus:close")
    try:
        await asyncio.wait([ending], timeout=CLOSE_SECONDS)
    finally:
        ending.cancel()
        ending.add_done_callback(lambda task: task.cancelled() or task.exception())  # it may have got half way only
