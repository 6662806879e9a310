"""PNG: what of a picture that somebody sends is kept: its pixels. Where and with what it was taken is left out."""

from __future__ import annotations

import struct
import zlib

from aen.errors import Invalid
from aen.languages import size

LARGEST = 400 << 10  # bytes
SIDE = 512  # pixels
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # what a picture consists of; all else is about it
_WRONG = "That is no PNG picture, or it is broken. Choose another file."


def cleaned(data: bytes) -> bytes:
    """The same picture without anything besides. Raises Invalid: no PNG, too large, or broken."""
    if len(data) > LARGEST:
        raise Invalid(f"The picture is too large: {size(LARGEST)} are the most. With JavaScript it is made smaller.")
    if not data.startswith(_SIGNATURE):
        raise Invalid("Without JavaScript a picture must be a PNG file, 512 pixels wide and high at most.")
    chunks = _chunks(data)
    if [name for name, _ in chunks[:1]] != [b"IHDR"] or chunks[-1][0] != b"IEND" or b"IDAT" not in dict(chunks):
        raise Invalid(_WRONG)
    if len(chunks[0][1]) != 13:
        raise Invalid(_WRONG)
    width, height = struct.unpack(">II", chunks[0][1][:8])
    if not (0 < width <= SIDE and 0 < height <= SIDE):
        raise Invalid(f"The picture is {width} × {height} pixels; {SIDE} × {SIDE} are the most.")
    return _SIGNATURE + b"".join(_packed(name, body) for name, body in chunks if name in _KEPT)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(_SIGNATURE)
    while at < len(data):
        if at + 12 > len(data):
            raise Invalid(_WRONG)
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body, check = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if len(check) != 4 or struct.unpack(">I", check)[0] != zlib.crc32(name + body):
            raise Invalid(_WRONG)
        found.append((name, body))
        at += 12 + length
        if name == b"IEND":
            return found  # what stands behind the end is no picture
    raise Invalid(_WRONG)


def _packed(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
