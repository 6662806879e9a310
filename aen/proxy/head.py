"""Heads: a strict parser of request and response heads (RFC 9112), pure. What is open to doubt is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Field = tuple[bytes, bytes, bytes]  # name in lower case, name as sent, value

END = b"\r\n\r\n"
#: Method, target, route key (`owner/project/app server`, where the path begins like one), minor version.
#: Possessive throughout: no input can make it backtrack.
REQUEST_LINE = re.compile(
    rb"([A-Z]{1,20}+) "
    rb"(/(?:([a-z][a-z0-9_-]*+/[a-z0-9][a-z0-9._-]*+/[A-Za-z0-9][A-Za-z0-9._-]*+)(?=[/? ]))?+[!-\"$-~]*+)"
    rb" HTTP/1\.([01])"
)
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t -~\x80-\xff]*+))?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([\t -~\x80-\xff]*+)")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")
_HOST = re.compile(rb"(?:[A-Za-z0-9][A-Za-z0-9._-]*+|\[[0-9A-Fa-f:.]++\])(?::(?!0+(?:\Z))[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_TOKENS = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

CHUNKED, UNTIL_CLOSE = -1, -2  # lengths that are no number


class Refused(Exception):
    """A head (or body) that is not accepted, with the status to answer and a sentence for people."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Memory(Generic[T]):
    """From the exact bytes of a header block to what was made of them.

    The same bytes always give the same result, so this changes nothing in strictness.
    It is bounded by number and size, and dropped whole when full. What came once is not kept, only that it came: most of
    that never comes again, and would drive out what does.
    """

    __slots__ = ("_known", "_longest", "_make", "_most", "_once")

    def __init__(self, make: Callable[[bytes], T], most: int = 2048, longest: int = 4096) -> None:
        self._make, self._most, self._longest = make, most, longest
        self._known: dict[bytes, T] = {}
        self._once: set[int] = set()  # hashes of what came once

    def get(self, block: bytes) -> T:
        """What `block` means. Raises what making it raises; that is not remembered."""
        found = self._known.get(block)
        if found is not None:
            return found
        made = self._make(block)
        if len(block) <= self._longest:
            self._keep(block, made)
        return made

    def _keep(self, block: bytes, made: T) -> None:
        once, seen = self._once, hash(block)
        if seen not in once:
            if len(once) >= self._most:
                once.clear()
            once.add(seen)
            return
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[block] = made

    def all(self, blocks: list[bytes]) -> list[T]:
        """What each of `blocks` means. Raises what making it raises."""
        known, get = self._known.get, self.get
        return [known(block) or get(block) for block in blocks]

    def __len__(self) -> int:
        return len(self._known)


def parse_fields(block: bytes, most: int = 128) -> list[Field]:
    """The fields of a header block (each line with its CRLF, without the empty line). Raises Refused."""
    return [parse_field(line) for line in split_lines(block, most)]


def split_lines(block: bytes, most: int = 128) -> list[bytes]:
    """The lines of a header block, without their ends. Raises Refused."""
    if not block:
        return []
    lines = block.split(b"\r\n")
    if lines.pop() != b"":
        raise Refused(400, "A header line has no end.")
    if len(lines) > most:
        raise Refused(431, "There are too many header lines.")
    return lines


def parse_field(line: bytes) -> Field:
    """What a header line says. Raises Refused."""
    match = _FIELD.fullmatch(line)
    if match is None:
        raise Refused(400, "A header line is not well formed.")
    name, value = match.groups()
    return name.lower(), name, value.rstrip(b" \t")


def unfinished(data: bytes, limit: int) -> None:
    """Raises Refused when `data`, which has no end of head yet, can't become a good head."""
    if len(data) > limit:
        raise Refused(431, "The head of the request is too long.")
    if _BARE.search(data):
        raise Refused(400, "A line of the head ends in a bare CR or LF.")


def request_length(fields: list[Field]) -> int | None:
    """How long the body is: bytes, CHUNKED, or None when nothing is said. Raises Refused on any doubt."""
    lengths = [value for name, _, value in fields if name == b"content-length"]
    codings = [value for name, _, value in fields if name == b"transfer-encoding"]
    if codings:
        if lengths:
            raise Refused(400, "Both Content-Length and Transfer-Encoding are given.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Refused(501, "This Transfer-Encoding is not supported.")
        return CHUNKED
    if not lengths:
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise Refused(400, "The Content-Length is not one plain number.")
    return int(lengths[0])


def host(fields: list[Field]) -> bytes:
    """The one Host, or empty when there is none (the caller knows whether there may be none). Raises Refused."""
    hosts = [value for name, _, value in fields if name == b"host"]
    if not hosts:
        return b""
    if len(hosts) > 1 or not _HOST.fullmatch(hosts[0]):
        raise Refused(400, "The Host is not one plain host name.")
    port = hosts[0].rpartition(b":")[2]
    if port.isdigit() and b":" in hosts[0] and int(port) > 65535:
        raise Refused(400, "The Host is not one plain host name.")
    return hosts[0]


def tokens(fields: list[Field], wanted: bytes) -> list[bytes]:
    """The comma-separated tokens of all fields of that name, in lower case. Raises Refused when one is no token."""
    found: list[bytes] = []
    for name, _, value in fields:
        if name != wanted:
            continue
        for part in value.split(b","):
            token = part.strip(b" \t").lower()
            if not token:
                continue
            if not _TOKENS.fullmatch(token):
                raise Refused(400, f"The header {wanted.decode()} is not well formed.")
            found.append(token)
    return found


def one(fields: list[Field], wanted: bytes) -> bytes | None:
    """The value of a field that may be there once; None when it is not. Raises Refused when there are several."""
    found = [value for name, _, value in fields if name == wanted]
    if len(found) > 1:
        raise Refused(400, f"The header {wanted.decode()} is given twice.")
    return found[0] if found else None
