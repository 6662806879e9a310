"""A real SMTP server for tests: plain or STARTTLS, with accounts, that can refuse; it keeps what it was given."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class Box:
    """What arrived, and how the server behaves. `refuse`: its answer to every recipient; empty: it takes them."""

    port: int = 0
    refuse: str = ""
    letters: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """aiosmtpd asks for each recipient."""
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd gives the letter."""
        content = envelope.content
        assert isinstance(content, bytes)
        letter = message_from_bytes(content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.envelopes.append(envelope)
        return "250 queued as 4711"


@contextlib.asynccontextmanager
async def smtp_server(
    *, user: str = "", password: str = "", context: ssl.SSLContext | None = None
) -> AsyncIterator[Box]:
    """A server on a free port of 127.0.0.1. With a `user`, nothing is taken from anybody else."""
    box = Box()

    def judge(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()), handled=False)

    options: dict[str, Any] = {"tls_context": context, "require_starttls": context is not None}
    if user:
        options |= {"authenticator": judge, "auth_required": True, "auth_require_tls": context is not None}
    loop = asyncio.get_running_loop()

    def talk() -> SMTP:
        with warnings.catch_warnings():  # aiosmtpd warns of a login without TLS: that is what one test is about
            warnings.simplefilter("ignore")
            return SMTP(box, hostname="smtp.test", loop=loop, **options)

    server = await loop.create_server(talk, "127.0.0.1", 0)
    async with server:
        box.port = server.sockets[0].getsockname()[1]
        yield box
