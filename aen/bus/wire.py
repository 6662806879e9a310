"""What a message looks like on every carrier: JSON, at most MAX_PAYLOAD bytes."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from aen.bus import MAX_PAYLOAD
from aen.errors import AenError, Internal, Invalid, from_wire
from aen.model import Word

W = TypeVar("W", bound=Word)


def encode(word: Word) -> bytes:
    """A message as bytes. Raises Invalid when it is too large for the bus."""
    data = word.model_dump_json().encode()
    if len(data) > MAX_PAYLOAD:
        raise Invalid(
            f"{type(word).__name__} is {len(data)} bytes, over the {MAX_PAYLOAD} that one message may hold. Send less."
        )
    return data


def decode(kind: type[W], data: bytes) -> W:
    """The message that `data` holds. Raises Invalid when it isn't one of `kind`.

    What is in it besides is left out: it comes from a newer version, while nodes are upgraded one after the other.
    """
    try:
        return kind.model_validate_json(data, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the message"
        raise Invalid(f"{kind.__name__} can't be read: {place}: {first['msg']}.") from error


def encode_answer(word: Word) -> bytes:
    """An answer as bytes. Raises Invalid when it is too large for the bus."""
    return b'{"answer":' + encode(word) + b"}"


def encode_error(error: AenError) -> bytes:
    """An error as bytes, so that it arrives as itself."""
    return json.dumps({"error": {**error.to_wire(), "retry_after": error.retry_after}}).encode()


def decode_reply(kind: type[Word], data: bytes) -> Word:
    """The answer that `data` holds. Raises the error that it holds instead."""
    try:
        reply: Any = json.loads(data)
    except ValueError as error:
        raise Internal("The answer can't be read.") from error
    if isinstance(reply, dict) and "answer" in reply:
        return decode(kind, json.dumps(reply["answer"]).encode())
    if isinstance(reply, dict) and isinstance(reply.get("error"), dict):
        found = from_wire(reply["error"])
        found.retry_after = reply["error"].get("retry_after")
        raise found
    raise Internal("The answer can't be read.")
