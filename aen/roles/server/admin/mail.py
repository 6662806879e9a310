"""Mail: the outbox. A letter is on disk before anybody is told that it goes, and is sent until the mail server takes it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from aen import mail
from aen.errors import AenError, Invalid, NotFound
from aen.languages import LANGUAGE, SOURCE, choose
from aen.languages import gettext as _
from aen.mail import Letter, Refused
from aen.model import new_id, now
from aen.model.mail import Notice, Outgoing
from aen.model.user import User
from aen.roles.server.changes import change
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Query
from aen.web.static import Assets
from aen.web.templates import Templates

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
_OUTBOX = "mails"
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3600.0  # seconds between two attempts
_GIVE_UP_MS = 3 * 86_400_000
_LOOK = 30.0  # seconds between looks at the outbox
_HOLD_MS = 120_000  # a server that sends a letter holds it so long against the others
_MOST_PEOPLE = 10_000


class Mails(Part):
    """The outbox and who empties it."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.options = domain.config.mail
        self._templates = Templates(Assets("/static/"))
        self._sent: dict[str, deque[float]] = {}  # address → when it was written to in the last hour
        self._wake = asyncio.Event()

    @property
    def on(self) -> bool:
        """Whether AEN sends mail at all."""
        return bool(self.options.host and self.options.sender)

    async def begin(self, service: Service) -> None:
        """Send for life, if mail is set up."""
        if self.on:
            service.spawn(self._send_for_life(), "mail")

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────

    async def tell(
        self, user: User, notice: Notice, subject: str, lines: list[str], path: str = "", **values: Any
    ) -> bool:
        """Write to a person, if they want to be told of that; texts are translated into their language. False: nothing is sent."""
        if not user.email or user.locked or str(notice) in user.mail_off:
            return False
        return await self.write(user.email, str(notice), subject, lines, path, user=user, **values)

    async def write(
        self,
        to: str,
        kind: str,
        subject: str,
        lines: list[str],
        path: str = "",
        *,
        user: User | None = None,
        button: str = "",
        **values: Any,
    ) -> bool:
        """Put a letter into the outbox: `lines` are paragraphs, `path` leads to a page of ours. False: mail is off or too much of it."""
        if not self.on or not self._moderate(to):
            return False
        token = LANGUAGE.set(choose(user.language if user else "", "") if user else SOURCE)
        try:
            letter = self._letter(to, subject, lines, path, button, values)
        finally:
            LANGUAGE.reset(token)
        mail.compose(letter, self.options.sender, "")  # what can never be sent is told to who writes
        out = Outgoing(
            id=letter.id,
            to=to,
            user=user.id if user else "",
            kind=kind,
            subject=letter.subject,
            text=letter.text,
            html=letter.html,
        )
        await self.store.insert(_OUTBOX, out.model_dump(mode="json"))
        self._wake.set()
        return True

    def _letter(
        self, to: str, subject: str, lines: list[str], path: str, button: str, values: dict[str, Any]
    ) -> Letter:
        said = [_(line, **values) for line in lines]
        title = " ".join(_(subject, **values).split())[:200]
        url = self.domain.config.server.url.rstrip("/") + path if path else ""
        foot = _(
            "Sent by AEN at {where}. Choose what you are told of on the page of your account.",
            where=self.domain.config.server.url,
        )
        shown = {"subject": title, "lines": said, "url": url, "button": _(button or "Open in AEN"), "foot": foot}
        text = "\n\n".join([*said, *([url] if url else []), "-- \n" + foot]) + "\n"
        return Letter(new_id(), to, title, text, self._templates.render("mail/letter.html", shown))

    def _moderate(self, to: str) -> bool:
        """Whether this address may be written to again in this hour."""
        moment = time.monotonic()
        sent = self._sent.setdefault(to, deque())
        while sent and sent[0] < moment - 3600:
            sent.popleft()
        if len(sent) >= self.options.per_hour:
            log.warning(
                "a person was sent too much mail in this hour; a letter is left out", most=self.options.per_hour
            )
            return False
        sent.append(moment)
        if len(self._sent) > _MOST_PEOPLE:
            self._sent = {
                address: times for address, times in self._sent.items() if times and times[-1] > moment - 3600
            }
        return True

    async def test(self, actor: Actor, to: str) -> str:
        """Send a letter now, for staff, and return what the mail server said. Raises Invalid, Unavailable."""
        check(actor, Permission.STAFF)
        if not self.on:
            raise Invalid(
                "Mail is not set up: set mail.host and mail.sender in the configuration, then start AEN again."
            )
        lines = ["This is the test that {who} asked for. Mail from AEN arrives."]
        letter = self._letter(to, "Test of mail from AEN", lines, "/admin/mail", "", {"who": actor.name})
        message = mail.compose(letter, self.options.sender, self._host())
        answer = await mail.deliver(self.options, message)
        await self.domain.activity.record(actor, "mail.tested", to, security=True)
        return answer

    async def waiting(self, actor: Actor, limit: int = 50, cursor: str = "") -> tuple[list[Outgoing], str]:
        """What is in the outbox, newest first, for staff; what letters say is not for them."""
        check(actor, Permission.STAFF)
        page = await self.store.find(_OUTBOX, Query(sort="created", descending=True, limit=limit, cursor=cursor))
        return [Outgoing.model_validate({**doc, "text": "", "html": ""}) for doc in page.items], page.next

    async def again(self, actor: Actor, id: str) -> None:
        """Try a letter again now, for staff; fine when it went meanwhile."""
        check(actor, Permission.STAFF)

        def edit(out: Outgoing) -> None:
            out.state, out.due, out.created = "waiting", now(), now()

        with contextlib.suppress(NotFound):
            await change(self.store, _OUTBOX, Outgoing, id, edit)
        self._wake.set()

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────

    async def _send_for_life(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.send_due()
            except AenError as error:
                log.warning("the outbox can't be worked on; it is tried again", reason=error.message)
            try:
                async with asyncio.timeout(_LOOK):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def send_due(self) -> int:
        """Send what is due; returns how many the mail server took."""
        page = await self.store.find(_OUTBOX, Query((("state", "waiting"),), sort="due", high=now(), limit=100))
        taken = 0
        for doc in page.items:
            taken += await self._send(Outgoing.model_validate(doc))
        old = await self.store.find(
            _OUTBOX, Query((("state", "failed"),), sort="due", high=now() - 7 * 86_400_000, limit=100)
        )
        for doc in old.items:
            await self.store.delete(_OUTBOX, doc["id"])
        return taken

    async def _send(self, out: Outgoing) -> bool:
        out.due, out.attempts = now() + _HOLD_MS, out.attempts + 1
        try:  # another server may hold it already
            out = Outgoing.model_validate(await self.store.replace(_OUTBOX, out.model_dump(mode="json")))
        except AenError:
            return False
        try:
            message = mail.compose(
                Letter(out.id, out.to, out.subject, out.text, out.html), self.options.sender, self._host()
            )
            await mail.deliver(self.options, message)
        except AenError as error:
            await self._failed(out, error)
            return False
        await self.store.delete(_OUTBOX, out.id)
        log.info("mail sent", mail=out.id, kind=out.kind, user=out.user)
        return True

    async def _failed(self, out: Outgoing, error: AenError) -> None:
        wait = min(_FIRST_WAIT * 2 ** (out.attempts - 1), _LONGEST_WAIT)
        out.error, out.due = error.message[:500], now() + round(wait * 1000)
        if isinstance(error, Refused) or now() - out.created > _GIVE_UP_MS:
            out.state, out.text, out.html = "failed", "", ""  # links in it must not lie about
        log.warning("mail not sent", mail=out.id, kind=out.kind, state=out.state, reason=out.error)
        await self.store.replace(_OUTBOX, out.model_dump(mode="json"))

    def _host(self) -> str:
        return urlsplit(self.domain.config.server.url).hostname or "aen"
