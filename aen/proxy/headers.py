"""Headers: what of a request goes upstream and what of an app's response comes back. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from aen.proxy.head import (
    CHUNKED,
    UNTIL_CLOSE,
    Field,
    Memory,
    Refused,
    host,
    one,
    parse_field,
    parse_fields,
    request_length,
    split_lines,
    tokens,
)

_HOP = frozenset(
    b"""connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding
    upgrade http2-settings content-length host expect""".split()
)
#: Headers by which somebody could claim to be somebody or somewhere else; `_` counts as `-`.
_CLAIMS = frozenset(
    b"""forwarded authorization x-real-ip x-original-url x-original-host x-original-uri x-rewrite-url
    x-http-method-override x-http-method x-method-override x-client-ip client-ip true-client-ip cf-connecting-ip
    x-cluster-client-ip remote-user x-remote-user x-auth-request-user x-scheme x-host x-sendfile-type proxy""".split()
)
_CLAIM_PREFIXES = (b"x-aen-", b"x-forwarded-", b"x-accel-")
#: What a request's headers are asked for here; the others only go on, or stay behind.
_ASKED = frozenset(
    b"""accept authorization connection content-length cookie expect host origin referer sec-fetch-mode sec-websocket-key
    sec-websocket-protocol sec-websocket-version transfer-encoding upgrade user-agent x-forwarded-for""".split()
)
_LONGEST_SAID = 500  # bytes of what a client says that the access log repeats
_OUR_COOKIES = (b"aen-", b"__host-aen-", b"__secure-aen-")
#: What an app may not tell the browser, since it would reach beyond the app.
_NOT_FROM_APPS = frozenset(
    b"clear-site-data strict-transport-security alt-svc public-key-pins set-cookie2 x-sendfile x-accel-redirect".split()
)
#: What is open to anyone has no say in what it may do: these lines are ours. Nothing in it runs, and it has no origin.
_ONLY_SHOWN = (
    b"Content-Security-Policy: sandbox allow-popups allow-downloads; default-src 'none'; style-src 'unsafe-inline'; "
    b"img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'\r\n"
    b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
)
_NOT_IF_SHOWN = frozenset(
    b"""set-cookie content-security-policy content-security-policy-report-only x-content-type-options referrer-policy
    cross-origin-resource-policy access-control-allow-origin access-control-allow-credentials www-authenticate refresh link
    service-worker-allowed""".split()
)
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")


class RequestFields(NamedTuple):
    """What the header block of a request means."""

    forwarded: bytes  # the lines an app gets, cleaned
    bare: bytes  # the same without any cookie
    cookies: bytes  # the line of all cookies, or empty
    host: bytes
    length: int | None  # bytes, CHUNKED, or None
    close: bool
    keep_alive: bool
    expect: bool
    websocket: bytes  # the Sec-WebSocket-Key, or empty
    origin: bytes | None
    grant: bytes  # value of our cookie
    twice: bool  # our cookie is there twice
    token: bytes  # API token of the Authorization header
    asks_page: bool  # a browser that goes to a page
    forwarded_for: bytes  # as claimed; counts from a trusted proxy only
    referer: bytes  # for the access log: its beginning, without the query
    agent: bytes  # the same

    @property
    def page_lines(self) -> bytes:
        """The lines that the gateway's own pages get: with all cookies."""
        return self.bare + self.cookies


@dataclass(frozen=True, slots=True)
class ResponseFields:
    """What the header block of a response means."""

    forwarded: bytes  # the lines the client gets
    length: int  # bytes, CHUNKED, UNTIL_CLOSE
    stated: bool  # a Content-Length was there (an answer to HEAD repeats it)
    close: bool
    upgrade: bool  # to websocket
    accept: bytes


class Line(NamedTuple):
    """What a header line of a request means by itself."""

    forwarded: bytes  # the line an app gets; empty: it stays behind
    asked: bytes  # the line itself, if it is one of those that are asked for
    name: bytes


class Meaning(NamedTuple):
    """What the lines that are asked for mean together."""

    theirs: bytes  # the line of cookies that an app gets, or empty
    dropped: frozenset[bytes]  # names that the client says are for this connection alone
    rest: tuple[Any, ...]  # of RequestFields, all but the first two


class Jar(NamedTuple):
    """What a Cookie line holds: our grants, and all that is not ours."""

    grants: list[bytes]
    theirs: bytes


class RequestReader:
    """Makes `RequestFields` of a header block. `cookie` is the exact name of the cookie that holds the grant.

    A block may be unlike all before, but most of its lines are not: these are remembered one by one. What the few
    lines say that are asked for is remembered too, by these lines together, so a new line of another kind costs little.
    """

    def __init__(self, cookie: bytes, most: int = 128) -> None:
        self._cookie, self._most = cookie, most
        self._lines = Memory(_line, most=1024, longest=2048)
        self._meanings = Memory(self._meaning, most=256)
        self._jars = Memory(self._jar, most=256)

    def __call__(self, block: bytes) -> RequestFields:
        """Raises Refused."""
        read = self._lines.all(split_lines(block, self._most))
        theirs, dropped, rest = self._meanings.get(b"".join([asked for _, asked, _ in read]))
        if dropped:
            bare = b"".join([line for line, _, name in read if name not in dropped])
        else:
            bare = b"".join([line for line, _, _ in read])
        return RequestFields._make((bare + theirs if theirs else bare, bare, *rest))

    def _meaning(self, block: bytes) -> Meaning:
        """What a block says that holds the lines that are asked for, and no other."""
        fields = parse_fields(block, self._most)
        connection = tokens(fields, b"connection")
        length = request_length(fields)
        sent = [value for name, _, value in fields if name == b"cookie"]
        jars = self._jars.all(sent)
        grants = [grant for jar in jars for grant in jar.grants]
        theirs = b"; ".join([jar.theirs for jar in jars if jar.theirs])
        said = {name: value for name, _, value in fields if name in (b"referer", b"user-agent")}
        whole = RequestFields(
            forwarded=b"",
            bare=b"",
            cookies=b"Cookie: %b\r\n" % b"; ".join(sent) if any(sent) else b"",
            host=host(fields),
            length=length,
            close=b"close" in connection,
            keep_alive=b"keep-alive" in connection,
            expect=_expect(fields),
            websocket=_websocket(fields, connection, length),
            origin=one(fields, b"origin"),
            grant=grants[0] if grants else b"",
            twice=len(grants) > 1,
            token=_token(one(fields, b"authorization")),
            asks_page=_asks_page(fields),
            forwarded_for=b",".join([value for name, _, value in fields if name == b"x-forwarded-for"]),
            referer=said.get(b"referer", b"").partition(b"?")[0][:_LONGEST_SAID],
            agent=said.get(b"user-agent", b"")[:_LONGEST_SAID],
        )
        dropped = frozenset(connection) - _HOP  # those never go on
        return Meaning(b"Cookie: %b\r\n" % theirs if theirs else b"", dropped, whole[2:])

    def _jar(self, value: bytes) -> Jar:
        crumbs = [crumb.strip(b" \t") for crumb in value.split(b";")]
        grants = [crumb[len(self._cookie) + 1 :] for crumb in crumbs if crumb.startswith(self._cookie + b"=")]
        return Jar(grants, b"; ".join([crumb for crumb in crumbs if crumb and not _is_ours(crumb)]))


class ResponseReader:
    """Makes `ResponseFields`. `trusted`: it is from the gateway's own pages; `shared`: apps share one origin.

    `shown`: it is open to anyone, and so only shown. `ours` are lines that go out with every answer.
    """

    def __init__(
        self, *, trusted: bool, shared: bool = True, shown: bool = False, ours: bytes = b"", most: int = 256
    ) -> None:
        self._trusted, self._shared, self._shown, self._most = trusted, shared, shown, most
        self._ours = ours + (_ONLY_SHOWN if shown else b"")

    def __call__(self, block: bytes) -> ResponseFields:
        """Raises Refused."""
        fields = parse_fields(block, self._most)
        connection = tokens(fields, b"connection")
        length = request_length(fields)
        kept = [
            b"%b: %b\r\n" % (sent, value)
            for name, sent, value in fields
            if name not in _HOP and name not in connection and self._passes(name, value)
        ]
        upgrade = b"upgrade" in connection and tokens(fields, b"upgrade") == [b"websocket"]
        return ResponseFields(
            forwarded=b"".join(kept) + self._ours,
            length=UNTIL_CLOSE if length is None else length,
            stated=length is not None and length != CHUNKED,
            close=b"close" in connection,
            upgrade=upgrade,
            accept=(one(fields, b"sec-websocket-accept") or b"") if upgrade else b"",
        )

    def _passes(self, name: bytes, value: bytes) -> bool:
        if self._trusted:
            return name != b"strict-transport-security"  # where the gateway is, its configuration says it
        if self._shown and name in _NOT_IF_SHOWN:
            return False
        if name == b"set-cookie":
            return _cookie_passes(value)
        if name == b"service-worker-allowed":
            return not self._shared
        return name not in _NOT_FROM_APPS and not name.startswith(b"x-aen-")


def take_token(target: bytes) -> tuple[bytes, bytes]:
    """The target without its `token=` parameters, and the first of their values."""
    path, mark, query = target.partition(b"?")
    parts = query.split(b"&")
    found = [part[6:] for part in parts if part.startswith(b"token=")]
    if not mark or not found:
        return target, b""
    rest = b"&".join(part for part in parts if not part.startswith(b"token="))
    return (path + b"?" + rest if rest else path), found[0]


def _line(line: bytes) -> Line:
    """Hop-by-hop headers, cookies and everything that claims an identity stay behind. Raises Refused."""
    name, sent, value = parse_field(line)
    plain = name.replace(b"_", b"-")
    behind = plain in _HOP or plain == b"cookie" or plain in _CLAIMS or plain.startswith(_CLAIM_PREFIXES)
    return Line(b"" if behind else b"%b: %b\r\n" % (sent, value), line + b"\r\n" if name in _ASKED else b"", name)


def _is_ours(crumb: bytes) -> bool:
    return crumb.partition(b"=")[0].strip(b" \t").lower().startswith(_OUR_COOKIES)


def _cookie_passes(value: bytes) -> bool:
    """Whether an app may set this cookie: named, not like ours, for this host alone."""
    first, *attributes = value.split(b";")
    name, mark, _ = first.partition(b"=")
    if not mark or not name.strip() or _is_ours(name.strip()):
        return False
    return not any(item.partition(b"=")[0].strip().lower() == b"domain" for item in attributes)


def _expect(fields: list[Field]) -> bool:
    expect = one(fields, b"expect")
    if expect is None:
        return False
    if expect.lower() != b"100-continue":
        raise Refused(417, "Only 100-continue can be expected.")
    return True


def _websocket(fields: list[Field], connection: list[bytes], length: int | None) -> bytes:
    """The key of a WebSocket handshake; empty when it is none. Other upgrades are not offered and so not taken."""
    if b"upgrade" not in connection or b"websocket" not in tokens(fields, b"upgrade"):
        return b""
    if length:
        raise Refused(400, "A WebSocket handshake has no body.")
    if one(fields, b"sec-websocket-version") != b"13":
        raise Refused(426, "Only WebSocket version 13 is supported.")
    key = one(fields, b"sec-websocket-key")
    if key is None or not _KEY.fullmatch(key):
        raise Refused(400, "The Sec-WebSocket-Key is missing or not well formed.")
    tokens(fields, b"sec-websocket-protocol")
    return key


def _token(value: bytes | None) -> bytes:
    if value is None:
        return b""
    scheme, _, rest = value.partition(b" ")
    return rest.strip() if scheme.lower() in (b"bearer", b"token") else b""


def _asks_page(fields: list[Field]) -> bool:
    mode = [value for name, _, value in fields if name == b"sec-fetch-mode"]
    if mode:
        return mode == [b"navigate"]
    return any(name == b"accept" and b"text/html" in value for name, _, value in fields)
