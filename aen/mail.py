"""Mail: a letter put together safely, and handed to an SMTP server."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr

import aiosmtplib

from aen.config.site import Mail
from aen.errors import Invalid, Unavailable

_SECONDS = 30.0  # for each step of the talk with the server
_PLAIN = re.compile(r"[^\s<>\"(),:;@\[\\\]\x00-\x1f\x7f]+@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True)
class Letter:
    """One letter to one person. `id` stays the same when it is sent again."""

    id: str
    to: str
    subject: str
    text: str
    html: str = ""


class Refused(Invalid):
    """The server will never take this letter: sending it again is no use."""


def compose(letter: Letter, sender: str, host: str) -> EmailMessage:
    """The message. Raises Refused for addresses and subjects that would be more than that (line breaks, several addresses)."""
    for what, text in (("recipient", letter.to), ("sender", sender)):
        if not _PLAIN.fullmatch(text) or not text.isascii() or len(text) > 254 or parseaddr(text)[1] != text:
            raise Refused(f"The {what}'s e-mail address is none that mail can be sent to.")
    if not letter.subject or not letter.subject.isprintable() or len(letter.subject) > 300:
        raise Refused("The subject of the mail is not one line of text.")
    message = EmailMessage()
    message["From"] = f"AEN <{sender}>"
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(letter.id, host or "aen")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    if letter.html:
        message.add_alternative(letter.html, subtype="html")
    return message


async def deliver(options: Mail, message: EmailMessage) -> str:
    """Hand it to the SMTP server; returns the server's answer. Raises Refused (never), Unavailable (not now)."""
    try:
        client = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port,
            use_tls=options.security == "tls",
            start_tls=options.security == "starttls",
            username=options.user or None,
            password=options.password.get_secret_value() or None if options.user else None,
            timeout=_SECONDS,
            tls_context=ssl.create_default_context() if options.security != "none" else None,
        )
        async with client:
            _, answer = await client.send_message(message)
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _judged(error.recipients[0].code, error.recipients[0].message) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _judged(error.code, error.message) from None
    except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
        raise Unavailable(
            f"The mail server {options.host}:{options.port} can't be reached or spoken with: {error}"
        ) from None
    return answer


def _judged(code: int, message: str) -> Refused | Unavailable:
    """What an answer means: 5xx about a letter is final; about who we are (53x) an administrator can mend it."""
    said = f"The mail server answered: {code} {' '.join(message.split())[:300]}"
    return Refused(said) if 500 <= code < 600 and code not in (530, 534, 535, 538) else Unavailable(said)
