"""Nkeys: the keys by which nodes are known on the bus (Ed25519, written as NATS writes them: base32 with a checksum)."""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aen.errors import Invalid

_SEED, _USER = 18 << 3, 20 << 3  # the first letters S and U


def make() -> bytes:
    """A new seed, as `SU…`: the private half."""
    return _written(bytes([_SEED | _USER >> 5, (_USER & 31) << 3]) + Ed25519PrivateKey.generate().private_bytes_raw())


def public(seed: bytes) -> str:
    """The public half, as `U…`: what a broker knows a node by. Raises Invalid when `seed` is none."""
    return _written(bytes([_USER]) + _private(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def sign(seed: bytes, nonce: str) -> bytes:
    """The answer to a broker's challenge, as NATS writes it. Raises Invalid when `seed` is none."""
    return base64.urlsafe_b64encode(_private(seed).sign(nonce.encode())).rstrip(b"=")


def check_public(text: str) -> str:
    """`text`, if it is the public half of a user's nkey: somebody else made it, and it will stand in a configuration.

    Raises Invalid.
    """
    raw = _read(text.encode())
    if len(raw) != 33 or raw[0] != _USER:
        raise Invalid("That is not the public half of a node's nkey.")
    return text


def _private(seed: bytes) -> Ed25519PrivateKey:
    raw = _read(seed.strip())
    if len(raw) != 34 or raw[0] & 0xF8 != _SEED or (raw[0] & 7) << 5 | raw[1] >> 3 != _USER:
        raise Invalid("That is not the seed of a node's nkey. Let the node join again: `aen node join`.")
    return Ed25519PrivateKey.from_private_bytes(raw[2:])


def _written(raw: bytes) -> bytes:
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).rstrip(b"=")


def _read(text: bytes) -> bytes:
    try:
        raw = base64.b32decode(text + b"=" * (-len(text) % 8))
    except ValueError:
        raw = b""
    if len(raw) < 3 or binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
        raise Invalid("That is not an nkey: a letter is missing or wrong.")
    return raw[:-2]
