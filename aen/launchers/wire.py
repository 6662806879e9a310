"""Wire of the privileged launcher: length-prefixed JSON, and errors as data. Standard library only."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from aen.errors import KINDS, AenError, Internal, Invalid
from aen.launchers import ForeignAccount, Unsupported

LENGTH = struct.Struct("!I")
LARGEST = 1 << 20  # bytes of one message, either way

_KINDS: dict[str, type[AenError]] = {kind.__name__: kind for kind in (*KINDS.values(), ForeignAccount, Unsupported)}


def pack(message: dict[str, Any]) -> bytes:
    """One message as bytes. Raises Invalid when it is too long."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > LARGEST:
        raise Invalid("A message to or from the launcher is too long.")
    return LENGTH.pack(len(body)) + body


def unpack(body: bytes) -> dict[str, Any]:
    """The message in `body`. Raises Invalid when it is not a JSON object."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("That is not JSON.") from None
    if not isinstance(message, dict):
        raise Invalid("A message is a JSON object.")
    return message


class Frames:
    """Bytes as they come → whole message bodies. Raises Invalid when a length is out of bounds: framing is lost then."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what came; give every body that is complete."""
        self._buffer += data
        while len(self._buffer) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._buffer)
            if size > LARGEST:
                raise Invalid("A message to the launcher is too long.")
            if len(self._buffer) < LENGTH.size + size:
                return
            body = bytes(self._buffer[LENGTH.size : LENGTH.size + size])
            del self._buffer[: LENGTH.size + size]
            yield body


def error_to_wire(error: BaseException) -> dict[str, Any]:
    """An error as data; what has no name becomes Internal, told by its type and text."""
    if isinstance(error, AenError):
        told = {"kind": type(error).__name__, "message": error.message, "id": error.id}
        return told if error.retry_after is None else told | {"retry_after": error.retry_after}
    return {"kind": "Internal", "message": f"The launcher failed: {type(error).__name__}: {error}"[:500]}


def error_from_wire(data: Any) -> AenError:
    """The error that `error_to_wire` described."""
    if not isinstance(data, dict):
        return Internal("The launcher answered without a reason.")
    kind = _KINDS.get(str(data.get("kind")), Internal)
    return kind(str(data.get("message", "")), id=data.get("id"), retry_after=data.get("retry_after"))
