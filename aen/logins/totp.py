"""Second factor: codes of an authenticator app (TOTP, RFC 6238: SHA-1, 6 digits, 30 s), and recovery codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import secrets
import time
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import segno

STEP = 30  # seconds
_DIGITS = 6
_BESIDE = 1  # steps before and after that count too: clocks differ, and people type slowly
_RECOVERY = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else


def new_secret() -> str:
    """A secret of 160 bits, in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def code_at(secret: str, step: int) -> str:
    """The code of a 30 s step (counted since 1970)."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def step_of(secret: str, code: str, after: int = 0, now: float | None = None) -> int:
    """The step whose code this is; 0 when it is none of now, or not later than `after` (the one used last)."""
    given = "".join(code.split())
    here = int((time.time() if now is None else now) // STEP)
    fitting = 0
    for step in range(here - _BESIDE, here + _BESIDE + 1):  # all of them, so that the time tells nothing
        if hmac.compare_digest(code_at(secret, step).encode(), given.encode(errors="replace")):
            fitting = max(fitting, step)
    return fitting if fitting > after else 0


def address(secret: str, user: str, issuer: str) -> str:
    """What an authenticator app reads (otpauth)."""
    asked = urlencode({"secret": secret, "issuer": issuer, "algorithm": "SHA1", "digits": _DIGITS, "period": STEP})
    return f"otpauth://totp/{quote(f'{issuer}:{user}')}?{asked}"


def picture(text: str) -> str:
    """A QR code as inline SVG; it takes its size from the style sheet."""
    out = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=True,
        omitsize=True,
        border=4,
        light="#fff",
        dark="#000",
        svgclass="qr",
        lineclass=None,
    )
    return out.getvalue().decode()


def new_recovery() -> list[str]:
    """Codes that count once each, for whoever has lost their device: 50 bits each."""
    return ["-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(2)) for _ in range(_RECOVERY)]


def recovery_hash(code: str) -> str:
    """How a recovery code is kept: what is typed with blanks, in capitals or without the dash counts too."""
    plain = "".join(c for c in code.lower() if c in _ALPHABET)
    return hashlib.sha256(f"aen recovery {plain}".encode()).hexdigest()


def recovery_hashes(codes: Sequence[str]) -> list[str]:
    """All of them."""
    return [recovery_hash(code) for code in codes]
