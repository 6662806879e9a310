"""Chunked bodies: followed chunk by chunk and written anew, so extensions and trailers go no further. Pure."""

from __future__ import annotations

import re

from aen.proxy.head import Refused

LAST_CHUNK = b"0\r\n\r\n"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15}+)(?:[ \t]*+;[\t -~\x80-\xff]*+)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+")
_LONGEST_LINE = 1024  # bytes of a size with its extensions, or of one trailer
_MOST_TRAILERS = 64

_IN_SIZE, _IN_DATA, _IN_END, _IN_TRAILERS, _DONE = range(5)


class Chunked:
    """Takes a chunked body as it comes and gives what is in it."""

    __slots__ = ("_left", "_rest", "_state", "_trailers", "extra")

    def __init__(self) -> None:
        self._state, self._left, self._trailers = _IN_SIZE, 0, 0
        self._rest = b""  # the beginning of a line
        self.extra = b""  # what came after the end of the body

    @property
    def done(self) -> bool:
        """Whether the body has ended."""
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`. Raises Refused as soon as the body can't be well formed."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end and self._state != _DONE:
            if self._state == _IN_DATA:
                taken = min(self._left, end - at)
                parts.append(data[at : at + taken])
                at, self._left = at + taken, self._left - taken
                if not self._left:
                    self._state = _IN_END
                continue
            after = self._line(data, at)
            if after < 0:
                return b"".join(parts)
            at = after
        if self._state == _DONE:
            self.extra = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _line(self, data: bytes, at: int) -> int:
        """Take the line at `at`; the place after it, or -1 when it is not whole yet."""
        stop = data.find(b"\r\n", at, at + _LONGEST_LINE)
        if stop < 0:
            if len(data) - at >= _LONGEST_LINE or b"\n" in data[at:]:
                raise Refused(400, "A chunk is not well formed.")
            if self._state == _IN_END and data[at:] not in (b"", b"\r"):
                raise Refused(400, "A chunk is longer than its size.")
            self._rest = data[at:]
            return -1
        self._take(data[at:stop])
        return stop + 2

    def _take(self, line: bytes) -> None:
        if self._state == _IN_SIZE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise Refused(400, "A chunk's size is not well formed.")
            self._left = int(match[1], 16)
            self._state = _IN_DATA if self._left else _IN_TRAILERS
        elif self._state == _IN_END:
            if line:
                raise Refused(400, "A chunk is longer than its size.")
            self._state = _IN_SIZE
        elif not line:
            self._state = _DONE
        else:
            self._trailers += 1
            if self._trailers > _MOST_TRAILERS or not _TRAILER.fullmatch(line):
                raise Refused(400, "The trailers of a body are not well formed.")


def chunk(payload: bytes) -> bytes:
    """`payload` as one chunk; nothing gives nothing (a chunk of size 0 would end the body)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
