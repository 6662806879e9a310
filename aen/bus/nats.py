"""The bus between machines, over NATS: the contract on subjects. Who speaks stands in each subject, and is checked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from aen.bus import MAX_PAYLOAD, Bus, C, E, Subscription, subjects
from aen.bus.dial import Dial
from aen.bus.link import BROKEN, Interest, Link
from aen.bus.receiving import Responder, Subscriber
from aen.bus.wire import decode_reply, encode
from aen.config import Config
from aen.errors import Conflict, Denied, TimedOut, Unavailable
from aen.messages import Command, Event
from aen.messages.unanswered import nobody, silent
from aen.model import Word

if TYPE_CHECKING:
    from nats.aio.msg import Msg as Message

    from aen.credentials import Credentials

ENVELOPE = 1024  # bytes around an answer
_CLOSED = "The bus of this node is not open (it is starting or stopping)."

log = structlog.get_logger(__name__)


class NatsBus(Bus):
    """The carrier between machines. `roles` and the names in `config` (with `credentials`: those it joined by) say who speaks."""

    def __init__(
        self,
        config: Config,
        roles: tuple[str, ...],
        credentials: Credentials | None = None,
        own: Callable[[], str] | None = None,
    ) -> None:
        """`own`: where this node's own broker is, if it has one. Raises Invalid without an address, or with an unsafe one."""
        joined = credentials.joined if credentials else None
        self.me = subjects.Speaker(
            roles,
            joined.datacenter if joined else config.gateway.datacenter,
            joined.node if joined else config.compute.name or "node",
        )
        self._dial = Dial.of(config, credentials, own)
        self._link = Link(self._dial, self.me.node, self._lost, self._denied)
        self._open = False
        self._asking: dict[str, tuple[str, asyncio.Future[Message]]] = {}
        self._inbox = f"{self.me.inbox}.{secrets.token_hex(8)}"
        self._answers = Interest(f"{self._inbox}.*", "", self._answered)
        self._replies: set[asyncio.Task[None]] = set()
        self._subscribers: set[Subscriber[Any]] = set()
        self._responders: dict[tuple[str, str], Responder[Any]] = {}
        self._counts = {"unsent": 0, "late": 0, "refused": 0}

    async def __aenter__(self) -> NatsBus:
        self._open = True
        self._link.listen(self._answers)
        await self._link.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._open = False
        for responder in list(self._responders.values()):
            await responder.closed()
        if self._replies:
            await asyncio.wait(self._replies)
        await self._link.hear_out(self._answers)
        for subscriber in list(self._subscribers):
            await subscriber.closed()
        await self._link.close()

    async def settled(self) -> None:
        """Come back when the broker knows everything that is listened to here. Unavailable when there is no broker."""
        await self._link.settled()

    async def publish(self, event: Event) -> None:
        """Tell everybody who subscribed to this kind; see the contract. Lost, and counted, while there is no connection."""
        data = encode(event)
        if not self._open:
            raise Unavailable(_CLOSED)
        client = await self._link.ready()
        if client is None:
            self._counts["unsent"] += 1
            return
        with suppress(*BROKEN):  # the connection is being lost: events are at most once
            await client.publish(subjects.event_subject(self.me, event), data)

    def subscribe(self, kind: type[E], handler: Callable[[E], Awaitable[None]]) -> Subscription:
        """Hear each event of `kind`; see the contract."""

        async def heard(message: Message) -> None:
            sender = self._sender(subjects.sender_of_event, message)
            if sender is not None:
                subscriber.put(message.data, sender)

        def gone() -> None:
            self._subscribers.discard(subscriber)
            for interest in interests:
                self._link.forget(interest)

        interests = [
            Interest(subjects.events_of(kind.__name__, audience), "", heard)
            for audience in self.me.audiences(kind.__name__)
        ]
        subscriber = Subscriber(kind, handler, gone)
        self._subscribers.add(subscriber)
        for interest in interests:
            self._link.listen(interest)
        return subscriber

    async def request(self, address: str, command: Command, timeout: float = 10.0) -> Any:
        """Ask whoever responds at `address`; see the contract. Unavailable at once when there is no connection."""
        kind, data = type(command).__name__, encode(command)
        subject = subjects.ask_subject(self.me, address, kind)
        inbox = f"{self._inbox}.{secrets.token_hex(8)}"
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        if not self._open:
            raise Unavailable(_CLOSED)
        try:
            async with asyncio.timeout(timeout):
                client = await self._link.there()
                self._asking[inbox] = (subject, answer)
                with suppress(*BROKEN):  # sent or not, nobody knows: `_lost` answers it
                    await client.publish(subject, data, inbox)
                reply = await answer
        except TimeoutError:
            raise silent(address, kind, timeout) from None
        finally:
            self._asking.pop(inbox, None)
        if (reply.headers or {}).get("Status") == "503":
            raise nobody(address, kind)
        return decode_reply(command.answer, reply.data)

    def respond(self, address: str, kind: type[C], handler: Callable[[C], Awaitable[Word]]) -> Subscription:
        """Answer commands of `kind` at `address`; see the contract. Several nodes may answer at one: each command goes to one.

        Raises Conflict when this node does already.
        """
        place = (address, kind.__name__)
        if place in self._responders:
            raise Conflict(f"{kind.__name__} is already answered at {address}.")

        async def asked(message: Message) -> None:
            task = asyncio.create_task(self._reply(responder, message), name=f"bus:reply:{kind.__name__}")
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)

        def gone() -> None:
            if self._responders.get(place) is responder:
                del self._responders[place]
                self._link.forget(interest)

        interest = Interest(subjects.asks_of(address, kind.__name__), address, asked)
        responder = Responder(kind, handler, gone)
        self._responders[place] = responder
        self._link.listen(interest)
        return responder

    def health(self) -> dict[str, Any]:
        """Whether there is a connection, to where, since how many; what was lost and refused."""
        client = self._link.client
        fine, why = self._open and client is not None, self._link.why
        if client is not None and client.max_payload < MAX_PAYLOAD + ENVELOPE:
            fine, why = False, f"the broker's max_payload must be at least {MAX_PAYLOAD + ENVELOPE} bytes"
        return {
            "status": "ok" if fine else "degraded",
            "carrier": "nats",
            "url": self._dial.shown,
            "reason": why,
            "subscribers": len(self._subscribers),
            "responders": len(self._responders),
            "lost": sum(one.lost for one in self._subscribers),
            "connections": self._link.connections,
            **self._counts,
            "refused": self._counts["refused"] + sum(one.refused for one in self._subscribers),
        }

    # ── receiving ───────────────────────────────────────────────────────────────────────────────────

    async def _answered(self, message: Message) -> None:
        _, answer = self._asking.get(message.subject, ("", None))
        if answer is None or answer.done():
            self._counts["late"] += 1
        else:
            answer.set_result(message)

    async def _reply(self, responder: Responder[Any], message: Message) -> None:
        client = self._link.client
        sender = self._sender(subjects.sender_of_ask, message)
        if sender is None or client is None:
            return
        if not message.reply.startswith(f"{sender.inbox}."):
            # Our answer would be said in our name, at a place that the asker itself could not reach.
            self._refuse(message, "the answer is wanted at a place that isn't the asker's")
            return
        reply = await responder.reply(message.data, sender)
        with suppress(*BROKEN):  # the connection that it came by is gone: they ask again, and we remember the answer
            await client.publish(message.reply, reply)

    def _sender(self, read: Callable[[str], subjects.Speaker], message: Message) -> subjects.Speaker | None:
        try:
            return read(message.subject)
        except Denied as error:
            self._refuse(message, error.message)
            return None

    def _refuse(self, message: Message, why: str) -> None:
        self._counts["refused"] += 1
        log.warning("message refused", subject=message.subject[:200], why=why)

    # ── what becomes of those who wait ──────────────────────────────────────────────────────────────

    def _lost(self) -> None:
        for _, answer in self._asking.values():
            if not answer.done():
                why = "The bus was lost before the answer came: whether it was done is unknown."
                answer.set_exception(TimedOut(why))

    def _denied(self, complaint: str) -> None:
        """Who asked what they may not ask hears it at once."""
        self._counts["refused"] += 1
        for subject, answer in self._asking.values():
            if f'"{subject.lower()}"' in complaint.lower() and not answer.done():
                answer.set_exception(Denied("The broker does not let this node ask that."))
