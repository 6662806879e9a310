"""SSH public keys as people paste them: one line, a known kind, a body that is what it says. Pure; standard library only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from aen.errors import Invalid

MOST = 50  # keys of one person
_LONGEST = 8192  # characters
_LEAST_RSA = 2048  # bits
_SHAPE = re.compile(r"([a-z0-9@.-]{1,64}) ([A-Za-z0-9+/]{16,8000}={0,2})(?: (.*))?")
_KINDS = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)


class SshKey(NamedTuple):
    """A public key. `line` is what stands in authorized_keys: kind and body, never options, never a comment."""

    line: str
    comment: str
    fingerprint: str  # as `ssh-keygen -l` shows it


def parse(text: str) -> SshKey:
    """The key in `text`. Raises Invalid with what is wrong; options before the key are refused, not dropped."""
    line = " ".join(text.split(" ")).strip()
    if "PRIVATE KEY" in line:
        raise Invalid("That is a private key, which nobody but you may have: paste the one that ends in .pub.")
    found = _SHAPE.fullmatch(line) if len(line) <= _LONGEST and line.isprintable() else None
    if found is None or found[1] not in _KINDS:
        raise Invalid(
            "That is no SSH public key: it is one line as `ssh-ed25519 AAAA… me@laptop`, from a file that ends in .pub."
        )
    try:
        body = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        raise Invalid("That SSH key is damaged: copy the whole line once more.") from None
    parts = _parts(body)
    if len(parts) < 2 or parts[0] != found[1].encode():
        raise Invalid("That SSH key is damaged: its body is not of the kind that its first word says.")
    if found[1] == "ssh-rsa" and int.from_bytes(parts[-1], "big").bit_length() < _LEAST_RSA:
        raise Invalid(
            f"That RSA key is too short: it needs {_LEAST_RSA} bits. Better make one with: ssh-keygen -t ed25519"
        )
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")
    return SshKey(f"{found[1]} {found[2]}", (found[3] or "").strip()[:100], f"SHA256:{digest}")


def _parts(body: bytes) -> list[bytes]:
    """The strings that a key's body is made of; empty when it is not made so."""
    parts = []
    while body:
        size = int.from_bytes(body[:4], "big")
        if len(body) < 4 + size:
            return []
        parts.append(body[4 : 4 + size])
        body = body[4 + size :]
    return parts
