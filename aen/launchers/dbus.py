"""D-Bus, as much as asking systemd takes: calls with typed values, answers as values or as the error's words."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aen.errors import Invalid

_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_TO, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_LONGEST = 1 << 24  # bytes of one message
_HEAD = 16
_NUMBERS = {"y": "<B", "b": "<I", "n": "<h", "q": "<H", "i": "<i", "u": "<I", "x": "<q", "t": "<Q", "d": "<d"}
_TEXTS = "sog"


@dataclass(frozen=True)
class Value:
    """A value that brings its type along (a variant)."""

    signature: str
    value: Any


@dataclass(frozen=True)
class Answer:
    """What came back for the call `serial`. `error` is empty when it was done."""

    serial: int
    error: str
    values: tuple[Any, ...]


def connect(path: str, timeout: float) -> socket.socket:
    """A connection to a bus's socket, let in as who we are. Raises OSError, Invalid (that is not a bus)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        said = b""
        while not said.endswith(b"\r\n"):
            part = sock.recv(512)
            if not part or len(said) > 4096:
                raise Invalid("That socket is not a message bus.")
            said += part
        if not said.startswith(b"OK "):
            raise Invalid("The message bus did not let us in.")
        sock.sendall(b"BEGIN\r\n")
    except BaseException:
        sock.close()
        raise
    return sock


def call(
    serial: int, *, to: str, path: str, interface: str, member: str, signature: str, values: Sequence[Any]
) -> bytes:
    """A call as bytes."""
    body = _marshal(signature, values)
    fields = [
        (_PATH, Value("o", path)),
        (_INTERFACE, Value("s", interface)),
        (_MEMBER, Value("s", member)),
        (_DESTINATION, Value("s", to)),
        (_SIGNATURE, Value("g", signature)),
    ]
    head = _marshal("yyyyuua(yv)", [ord("l"), _CALL, 0, 1, len(body), serial, fields])
    return head + b"\0" * (-len(head) % 8) + body


class Answers:
    """Bytes as they come → answers; anything else (signals, calls) is passed over. Raises Invalid when framing is lost."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Answer]:
        """Take what came; give every answer that is complete."""
        self._buffer += data
        while len(self._buffer) >= _HEAD:
            if self._buffer[0] != ord("l"):
                raise Invalid("The message bus speaks in another byte order.")
            body, _, fields = struct.unpack_from("<III", self._buffer, 4)
            start = _HEAD + fields + -fields % 8
            if start + body > _LONGEST:
                raise Invalid("A message of the bus is too long.")
            if len(self._buffer) < start + body:
                return
            message = bytes(self._buffer[: start + body])
            del self._buffer[: start + body]
            if message[1] in (_RETURN, _ERROR):
                yield _answer(message, start)


def _answer(message: bytes, start: int) -> Answer:
    try:
        reader = _Reader(message, 12)
        fields = dict(reader.read("a(yv)"))
        values = tuple(_Reader(message, start).all(str(fields.get(_SIGNATURE, ""))))
    except (struct.error, IndexError, ValueError, KeyError):
        raise Invalid("A message of the bus can't be read.") from None
    error = ""
    if message[1] == _ERROR:
        error = str(values[0]) if values and isinstance(values[0], str) else str(fields.get(_ERROR_NAME, "unknown"))
    return Answer(int(fields.get(_REPLY_TO, 0)), error, values)


# ── values as bytes ───────────────────────────────────────────────────────────────────────────────────


def _parts(signature: str) -> Iterator[str]:
    """The complete types in a signature, one after the other."""
    at = 0
    while at < len(signature):
        end = _end(signature, at)
        yield signature[at:end]
        at = end


def _end(signature: str, at: int) -> int:
    if signature[at] == "a":
        return _end(signature, at + 1)
    if signature[at] not in "({":
        return at + 1
    depth = 0
    for place in range(at, len(signature)):
        depth += (signature[place] in "({") - (signature[place] in ")}")
        if depth == 0:
            return place + 1
    raise ValueError(f"unbalanced: {signature}")


def _alignment(kind: str) -> int:
    if kind in ("g", "v", "y"):
        return 1
    if kind[0] in "({xtd":
        return 8
    return 2 if kind in ("n", "q") else 4


def _marshal(signature: str, values: Sequence[Any]) -> bytes:
    out = bytearray()
    for kind, value in zip(_parts(signature), values, strict=True):
        _put(out, kind, value)
    return bytes(out)


def _put(out: bytearray, kind: str, value: Any) -> None:
    out += b"\0" * (-len(out) % _alignment(kind))
    if kind in _NUMBERS:
        out += struct.pack(_NUMBERS[kind], value)
    elif kind in _TEXTS:
        data = value.encode()
        out += struct.pack("<B" if kind == "g" else "<I", len(data)) + data + b"\0"
    elif kind == "v":
        _put(out, "g", value.signature)
        _put(out, value.signature, value.value)
    elif kind[0] == "a":
        _put_array(out, kind[1:], value)
    else:
        for part, one in zip(_parts(kind[1:-1]), value, strict=True):
            _put(out, part, one)


def _put_array(out: bytearray, kind: str, values: Sequence[Any]) -> None:
    at = len(out)
    out += b"\0\0\0\0" + b"\0" * (-(at + 4) % _alignment(kind))
    start = len(out)
    for value in values:
        _put(out, kind, value)
    struct.pack_into("<I", out, at, len(out) - start)


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def all(self, signature: str) -> Iterator[Any]:
        return (self.read(kind) for kind in _parts(signature))

    def read(self, kind: str) -> Any:
        self._at += -self._at % _alignment(kind)
        if kind in _NUMBERS:
            (number,) = struct.unpack_from(_NUMBERS[kind], self._data, self._at)
            self._at += struct.calcsize(_NUMBERS[kind])
            return number
        if kind in _TEXTS:
            size = self.read("y" if kind == "g" else "u")
            text = self._data[self._at : self._at + size].decode(errors="replace")
            self._at += size + 1
            return text
        if kind == "v":
            return self.read(self.read("g"))
        if kind[0] == "a":
            return self._array(kind[1:])
        return tuple(self.all(kind[1:-1]))

    def _array(self, kind: str) -> list[Any]:
        size = self.read("u")
        self._at += -self._at % _alignment(kind)
        end = self._at + size
        found = []
        while self._at < end:
            found.append(self.read(kind))
        return found
