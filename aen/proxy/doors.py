"""Doors: where a request may go: who asks, whether they may, and which app or page that leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from aen.errors import AenError
from aen.languages import N_
from aen.links import LOOKED_AT
from aen.proxy import By, Visitor
from aen.proxy.headers import RequestFields, take_token
from aen.proxy.routes import Entry
from aen.proxy.sites import Site

if TYPE_CHECKING:
    from aen.proxy.downstream import Downstream
    from aen.proxy.exchange import Request
    from aen.proxy.plane import Plane
    from aen.proxy.pool import Pool

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
ONCE = b"_other_host=1"  # in an address that we have led here: a proxy that hides the host would lead us in a circle
_LINK = b"/shared-"  # in an address: a link for people without a login, which our pages open
_NARROW = N_("This API token was narrowed to other projects than this one.")
_LOOKS = N_("This API token was narrowed to what only looks in this project: its dashboards and its Viewer.")
_SIGN_IN = N_("Sign in first: with a browser at the gateway, or with an API token.")


class Door:
    """Where a request goes: the connections to it, and the lines it gets besides. `entry` is None for our own pages.

    `most` is how long a body may be that goes there; 0: as long as it likes.
    """

    __slots__ = ("entry", "lines", "most", "pool")

    def __init__(self, pool: Pool, lines: bytes, most: int, entry: Entry | None = None) -> None:
        self.pool, self.lines, self.most, self.entry = pool, lines, most, entry


def open_door(plane: Plane, client: Downstream, request: Request) -> None:
    """Lead the request on, or answer it. Everything is a look-up, but for an API token seen for the first time."""
    fields = request.fields
    site = plane.sites.find(fields.host, request.key)
    by_browser = fields.asks_page and not fields.token and b"token=" not in request.target
    if site is None or (site.tokens_only and by_browser and request.key):
        _elsewhere(plane, client, request)
        return
    token = fields.token
    if b"token=" in request.target:
        request.target, in_query = take_token(request.target)
        token = token or in_query
    if token:
        visitor = plane.admission.by_token(token)
        if visitor is None:
            plane.run(_ask(plane, client, request, site, token))
            return
    elif fields.twice:
        client.clear_cookie(request)
        return
    else:
        visitor = plane.admission.by_grant(fields.grant, site.origin) if fields.grant and not site.tokens_only else None
    _lead(plane, client, request, site, visitor)


def _elsewhere(plane: Plane, client: Downstream, request: Request) -> None:
    """A host name that is not this project's: a browser on its way to a page is led to the one that is, once."""
    goes = request.fields.asks_page and request.method == "GET" and not request.fields.websocket
    if not goes or not request.key or ONCE in request.target:
        client.reply(421, "There is no project at this host name.")
        return
    owner, project, _ = request.key.decode().split("/")
    mark = b"&" if b"?" in request.target else b"?"
    client.lead_to(plane.sites.origin_of(owner, project).encode() + request.target + mark + ONCE)


async def _ask(plane: Plane, client: Downstream, request: Request, site: Site, token: bytes) -> None:
    """Ask whose token this is; the client is not read meanwhile."""
    client.hold(True)
    try:
        visitor = await plane.admission.ask(token, client.address)
        status, why = 401, N_("This API token is not (or no longer) good.")
    except AenError as error:
        visitor, status, why = None, error.status, error.message
    finally:
        client.hold(False)
    if client.request is not request:
        return  # gone meanwhile
    if visitor is None:
        retry = b"Retry-After: 5\r\n" if status in (429, 503, 504) else b""
        client.reply(status, why, retry)
    else:
        _lead(plane, client, request, site, visitor)


def _lead(plane: Plane, client: Downstream, request: Request, site: Site, visitor: Visitor | None) -> None:
    fields = request.fields
    if visitor is not None and visitor.projects is not None and (why := _outside(request.key, visitor)):
        client.reply(403, why)
        return
    entry = plane.routes.find(request.key, visitor.user if visitor is not None else "") if request.key else None
    if entry is not None and entry.open:
        _show(plane, client, request, entry)
        return
    request.visitor = visitor
    page = fields.asks_page and not fields.websocket and request.method in ("GET", "HEAD")
    link = _LINK in request.key and request.method in ("GET", "HEAD") and not fields.websocket
    if visitor is None and not page and not link and (request.key or fields.websocket):
        client.reply(401, _SIGN_IN)
        return
    if (fields.websocket or request.method not in _SAFE) and not _origin_fits(plane, request, site, visitor):
        client.reply(403, "This request comes from a page of another site.")
        return
    if page and visitor is not None and 0 < visitor.renew_at < plane.now_ms and request.key and request.method == "GET":
        client.lead_to(b"/.aen/renew?next=" + quote(request.target.decode("ascii"), safe="/").encode())
    elif entry is None or visitor is None:
        client.go(request, Door(plane.pages, _page_lines(plane, request, site, visitor), plane.limits.body_bytes))
    else:
        client.go(request, entry.door or _door(plane, entry))


def _outside(key: bytes, visitor: Visitor) -> str:
    """Why what is asked for (`owner/project/app server`) is nothing that an API token was narrowed to; empty when it is."""
    slug, _, server = key.decode().rpartition("/")
    if visitor.projects is None or slug in visitor.projects:
        return ""
    if visitor.looks is not None and slug not in visitor.looks:
        return _NARROW
    return "" if LOOKED_AT.fullmatch(server) else _LOOKS


def _show(plane: Plane, client: Downstream, request: Request, entry: Entry) -> None:
    """Lead to what is open to anyone: to look, and that is all. Who asks, and their cookies, are told to nobody."""
    fields = request.fields
    if request.method not in ("GET", "HEAD") or fields.websocket or fields.length:
        client.reply(405, "This can be looked at, and nothing else.", b"Allow: GET, HEAD\r\n")
        return
    if not plane.seat(client, f"anyone {client.address}"):
        client.drain()
        client.reply(429, "There are too many connections from your address.", b"Retry-After: 5\r\n")
        return
    client.go(request, entry.door or _door(plane, entry))


def _origin_fits(plane: Plane, request: Request, site: Site, visitor: Visitor | None) -> bool:
    """Whether a request that can change something comes from where it may come from.

    A script (API token) may say no Origin, or the one of the host it talks to: no browser sends its token unasked.
    """
    origin = request.fields.origin
    by_token = visitor is not None and visitor.by is By.TOKEN
    if origin is None:
        return by_token or visitor is None
    if origin == site.origin:
        return True
    return by_token and origin.lower() == f"{plane.sites.scheme}://".encode() + request.fields.host.lower()


def _door(plane: Plane, entry: Entry) -> Door:
    limits, route = plane.limits, entry.route
    most = limits.bodies.get(route.app_server, limits.body_bytes)
    door = entry.door = Door(plane.pools.of(route), entry.lines, most, entry)
    return door


def _page_lines(plane: Plane, request: Request, site: Site, visitor: Visitor | None) -> bytes:
    """What our own pages are told. They believe it because of the secret, and since nobody else reaches their socket."""
    lines = b"X-AEN-Page-Token: %b\r\nX-AEN-Origin: %b\r\n" % (plane.page_token, site.origin)
    if request.fields.asks_page:
        lines += b"X-AEN-Navigation: 1\r\n"
    if visitor is not None:
        lines += f"X-AEN-Login: {visitor.login}\r\n".encode("latin-1")
    return lines


def trouble_door(plane: Plane, request: Request, status: int, why: str) -> Door | None:
    """The way to our page about what can't be had (`status`, `why`), for a person on their way to it.

    None: it is no person's visit, or what can't be had is our pages themselves.
    """
    fields, door = request.fields, request.door
    visit = fields.asks_page and request.method in ("GET", "HEAD") and not fields.websocket and not fields.length
    if not visit or (door is not None and door.entry is None):
        return None
    site = plane.sites.find(fields.host, request.key) or Site(plane.sites.at(fields.host))
    visitor = request.visitor
    told = f"X-AEN-Trouble: {status} {why}\r\n".encode("latin-1", "replace")
    if door is None and visitor is not None:  # it was not let through: its page takes no place, and knows nobody
        told, visitor, request.visitor = told + visitor.language, None, None
    return Door(plane.pages, _page_lines(plane, request, site, visitor) + told, plane.limits.body_bytes)


def upstream_head(plane: Plane, client: Downstream, request: Request, door: Door) -> bytes:
    """The head as the app gets it: written anew, one framing header, who asks told by us alone."""
    fields = request.fields
    visitor = request.visitor
    page = door.entry is None
    address = b"X-Forwarded-For: %b\r\n" % (client.address or "unknown").encode()
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b%b%b%b%b\r\n" % (
        request.method.encode(),
        _target(request, door),
        fields.host or plane.host,
        _sent_lines(fields, door),
        visitor.lines if visitor is not None else b"",
        door.lines,
        address,
        plane.forwarded_host(fields.host),
        _framing(request, page=page),
    )


def _target(request: Request, door: Door) -> bytes:
    """The address as the app sees it."""
    if door.entry is None or not door.entry.strip:
        return request.target
    rest = request.target[door.entry.strip :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _sent_lines(fields: RequestFields, door: Door) -> bytes:
    """The client's lines as they go on: with all cookies to our pages, without any to what is open to anyone."""
    if door.entry is None:
        return fields.page_lines
    return fields.bare if door.entry.open else fields.forwarded


def _framing(request: Request, *, page: bool) -> bytes:
    fields = request.fields
    if fields.websocket and not page:
        return b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    if fields.length is None:
        return b""
    length = b"Transfer-Encoding: chunked\r\n" if fields.length < 0 else b"Content-Length: %d\r\n" % fields.length
    return length + b"Expect: 100-continue\r\n" if fields.expect and not request.old else length
