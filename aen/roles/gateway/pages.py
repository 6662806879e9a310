"""Pages: the gateway's own: sign-in, the start page, errors. An aiohttp application on a private unix socket."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from aiohttp import web

from aen import names
from aen.bus import Bus
from aen.errors import AenError, Denied, Invalid, NotFound, NotSignedIn, Unavailable
from aen.languages import LANGUAGE, of_request
from aen.languages import said as in_words
from aen.links import SHARED
from aen.messages import OpenSession, SessionView
from aen.model.session import Phase
from aen.proxy.routes import RouteTable
from aen.roles.gateway import trouble
from aen.roles.gateway.addresses import netloc, next_of, see
from aen.roles.gateway.admission import Doorman
from aen.roles.gateway.caller import CALLER, Caller, by_data_plane
from aen.roles.gateway.opening import Opening
from aen.roles.gateway.trouble import in_their_words, start_page
from aen.tickets import hash_nonce
from aen.web.site import site

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_KEY = re.compile(r"/([a-z][a-z0-9_-]*)/([a-z0-9][a-z0-9._-]*)/([A-Za-z0-9][A-Za-z0-9._-]*)(?=[/?]|\Z)")
_NEAR = re.compile(r"/[a-z][a-z0-9_-]*(/[a-z0-9][a-z0-9._-]*)?/?")
_NONCE = re.compile(r"[A-Za-z0-9_-]{20,60}")
_NONCE_SECONDS = 600
_LOOK_SECONDS = 2.0  # tabs that ask for a session that is gone cost the server one question in this time
_MOST_LOOKS = 5_000
_LONGEST = 2048
_ONCE = "_other_host"  # as in the data plane: in an address that we have led to already


@dataclass(frozen=True)
class Cookies:
    """The names of our cookies; with `__Host-` where they are secure."""

    secure: bool

    @property
    def grant(self) -> str:
        """The cookie that lets people in."""
        return "__Host-aen-gateway" if self.secure else "aen-gateway"

    @property
    def nonce(self) -> str:
        """The cookie that binds a ticket to the browser that asked for it."""
        return "__Host-aen-nonce" if self.secure else "aen-nonce"

    def set(self, response: web.StreamResponse, name: str, value: str, seconds: int) -> None:
        """Set one."""
        response.set_cookie(
            name, value, max_age=seconds, path="/", httponly=True, samesite="Lax", secure=self.secure or None
        )

    def clear(self, response: web.StreamResponse, name: str) -> None:
        """Clear one."""
        self.set(response, name, "", 0)


class Pages:
    """What the gateway's pages share."""

    def __init__(
        self,
        bus: Bus,
        doorman: Doorman,
        routes: RouteTable,
        *,
        server_url: str,
        secure: bool,
        token: str,
        repair: Callable[[], Awaitable[None]],
        refresh_keys: Callable[[], Awaitable[None]],
    ) -> None:
        self._bus, self._doorman, self._routes = bus, doorman, routes
        self._server_url, self._token = server_url.rstrip("/"), token
        self._repair, self._refresh_keys = repair, refresh_keys
        self.cookies = Cookies(secure)
        self._opening = Opening(bus, routes, repair)
        self._looks: dict[tuple[str, str, str, str], tuple[float, SessionView | AenError]] = {}

    def application(self, join: Handler | None = None) -> web.Application:
        """The application. `join` passes on compute nodes that join, where nodes are machines of their own."""
        app = site(static_prefix="/.aen/static/", secure=self.cookies.secure)
        app[trouble.SERVER_URL] = self._server_url
        app.middlewares.insert(0, self._where_from)
        app.middlewares.append(self._who)
        app.router.add_get("/.aen/enter", self._enter)
        app.router.add_get("/.aen/renew", self._renew)
        app.router.add_get("/.aen/logout", self._to_server)
        app.router.add_post("/.aen/logout", self._logout)
        app.router.add_get("/.aen/api/session", self._session)
        app.router.add_post("/.aen/api/session", self._session)
        app.router.add_get("/", self._to_server)
        if join is not None:
            app.router.add_post("/.aen/join", join)
        app.router.add_route("*", "/{rest:.*}", self._elsewhere)
        return app

    @web.middleware
    async def _where_from(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Whom the data plane speaks for, told before our line in the log is: a unix socket's peer has no address."""
        address = request.headers.get("X-Forwarded-For", "")[:64]
        return await handler(request.clone(remote=address) if by_data_plane(request, self._token) else request)

    @web.middleware
    async def _who(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Believe the data plane, and nobody else."""
        if not by_data_plane(request, self._token):
            raise Denied("These pages are reached through the gateway only.")
        headers = request.headers
        request[CALLER] = Caller(
            user=headers.get("X-AEN-User", ""),
            login=headers.get("X-AEN-Login", ""),
            origin=headers["X-AEN-Origin"],
            navigation="X-AEN-Navigation" in headers and request.method in ("GET", "HEAD"),
            trouble=headers.get("X-AEN-Trouble", ""),
        )
        LANGUAGE.set(of_request(headers))
        if request[CALLER].refused:
            return trouble.refusal(request, self.cookies.grant, secure=self.cookies.secure)
        return await handler(request)

    # ── signing in ──────────────────────────────────────────────────────────────────────────────────

    def _to_sign_in(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the server, with the hash of a nonce that it keeps."""
        caller = request[CALLER]
        if _ONCE not in request.query and netloc(caller.origin, request.host) != urlsplit(caller.origin).netloc:
            # Another name of ours (127.0.0.1 for localhost): the cookie would not be there when the ticket comes back.
            mark = "&" if "?" in request.raw_path else "?"
            return see(f"{caller.origin}{request.raw_path}{mark}{_ONCE}=1")
        nonce = request.cookies.get(self.cookies.nonce, "")
        if not _NONCE.fullmatch(nonce):
            nonce = secrets.token_urlsafe(24)
        target = re.sub(rf"[?&]{_ONCE}=1\Z", "", request.raw_path)
        target = target if len(target) <= _LONGEST else target.partition("?")[0][:_LONGEST]
        query = f"gateway={quote(caller.origin, safe='')}&nonce={hash_nonce(nonce)}&next={quote(target, safe='')}"
        response = see(f"{self._server_url}/gateway/enter?{query}")
        self.cookies.set(response, self.cookies.nonce, nonce, _NONCE_SECONDS)
        return response

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """Back from the server with a ticket: it becomes a grant."""
        nonce = request.cookies.get(self.cookies.nonce, "")
        if not _NONCE.fullmatch(nonce):
            raise Invalid(
                "This sign-in was not begun in this browser, it took longer than ten minutes, or cookies are blocked. "
                "Open the app again from its project's page."
            )
        caller = request[CALLER]
        grant = await self._doorman.redeem(request.query.get("ticket", ""), caller.origin, nonce)
        response = see(next_of(request))
        await self._put(response, grant, caller.origin)
        self.cookies.clear(response, self.cookies.nonce)
        return response

    async def _renew(self, request: web.Request) -> web.StreamResponse:
        """A new grant for one that is past half its life. When that can't be had now, the old one does."""
        caller = request[CALLER]
        response = see(next_of(request))
        if not caller.user:
            return response
        self._doorman.postpone(caller.login)
        try:
            grant = await self._doorman.renew(caller.user, caller.login, caller.origin)
        except NotSignedIn:
            self.cookies.clear(response, self.cookies.grant)
        except AenError:
            pass  # the server can't be heard: known logins keep working until they expire
        else:
            await self._put(response, grant, caller.origin)
        return response

    async def _put(self, response: web.StreamResponse, grant: str, origin: str) -> None:
        """Set the grant's cookie for as long as it lives."""
        visitor = self._doorman.by_grant(grant.encode(), origin.encode())
        if visitor is None:
            await self._refresh_keys()  # signed by a key that is new to us
            visitor = self._doorman.by_grant(grant.encode(), origin.encode())
        if visitor is None:
            raise NotSignedIn(
                "This sign-in is not (or no longer) good here. Open the app again from its project's page."
            )
        self.cookies.set(response, self.cookies.grant, grant, max(1, int(visitor.expires / 1000 - time.time())))

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        """Forget the login at this gateway. (Signing out at the server ends it everywhere.)"""
        response = see(self._server_url + "/")
        self.cookies.clear(response, self.cookies.grant)
        return response

    async def _to_server(self, request: web.Request) -> web.StreamResponse:
        """The home page is the server's."""
        return see(self._server_url + "/")

    # ── starting ────────────────────────────────────────────────────────────────────────────────────

    async def _session(self, request: web.Request) -> web.StreamResponse:
        """How a session is doing (GET), or start it (POST): what the start page asks."""
        if not request[CALLER].user:
            raise NotSignedIn("Sign in again: this login has ended.")
        owner, project, server = (request.query.get(name, "") for name in ("owner", "project", "server"))
        if not _KEY.fullmatch(f"/{owner}/{project}/{server}"):
            raise NotFound("There is no such app.")
        app, look = request.query.get("app", ""), request.method != "POST"
        view = await self._view(request, owner, project, server, app=app, look=look)
        return web.json_response(in_their_words(view), headers={"Cache-Control": "no-store"})

    async def _view(
        self, request: web.Request, owner: str, project: str, server: str, *, app: str = "", look: bool = True
    ) -> SessionView:
        """What the server says. RUNNING only once the route is here, so that going there leads there."""
        caller = request[CALLER]
        command = OpenSession(
            user=caller.user, login=caller.login, owner=owner, project=project, app_server=server, app=app, look=look
        )
        view: SessionView = await self._bus.request(names.address("server"), command)
        key = f"{owner}/{project}/{server}".encode()
        if view.phase is Phase.RUNNING and self._routes.find(key, caller.user) is None:
            await self._repair()
            if self._routes.find(key, caller.user) is None:
                return view.model_copy(update={"phase": Phase.STARTING})
        return view

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        """Any address without a running session, or without a login."""
        caller, key = request[CALLER], _KEY.match(request.raw_path)
        if key is None:
            return self._no_app(request)
        owner, project, server = key.groups()
        if caller.trouble:
            return await trouble.page(request, self._bus, owner, project, server)
        if server.startswith(SHARED):
            return await self._opening.lead(request, owner, project, server)
        if not caller.user:
            return await self._unknown(request, owner, project, server)
        if not caller.navigation:
            return await self._not_running(request, owner, project, server)
        try:
            view = await self._view(request, owner, project, server)
        except NotFound:
            if server != "viewer":
                raise
            return await self._opening.lead(request, owner, project, server)  # signed in, and not in the team
        return start_page(request, owner, project, server, view)

    async def _unknown(self, request: web.Request, owner: str, project: str, server: str) -> web.StreamResponse:
        """Somebody without a login: shown what is public, else asked who they are. Whether there is more is told to nobody."""
        if not request[CALLER].navigation:
            raise NotSignedIn("Sign in first: with a browser at the gateway, or with an API token.")
        if server == "viewer":
            with suppress(NotFound):
                return await self._opening.lead(request, owner, project, server)
        return self._to_sign_in(request)

    def _no_app(self, request: web.Request) -> web.StreamResponse:
        """An address that can't be an app's: people's and projects' pages are the server's."""
        path = request.raw_path.partition("?")[0]
        if request[CALLER].navigation and _NEAR.fullmatch(path):
            return see(self._server_url + path)
        raise NotFound("There is no page at this address.")

    async def _not_running(self, request: web.Request, owner: str, project: str, server: str) -> web.StreamResponse:
        """A script's request: 403 when they may not see it or it does not exist, else 503 until it runs.

        Not 404: JupyterLab takes that for a folder that is gone, goes up, asks again at once, and never ends.
        """
        caller = request[CALLER]
        asked = (caller.login, owner, project, server)
        found = self._looks.get(asked)
        if found is None or found[0] < time.monotonic():
            answer: SessionView | AenError
            try:
                answer = await self._view(request, owner, project, server)
            except NotFound as error:
                answer = Denied(error.message)
            except AenError as error:
                answer = error
            if len(self._looks) >= _MOST_LOOKS:
                self._looks.clear()
            found = self._looks[asked] = (time.monotonic() + _LOOK_SECONDS, answer)
        said = found[1]
        if not isinstance(said, AenError):
            said = Unavailable("This app is not running. Start it from its project's page, or with the API.")
        headers = {"Retry-After": "2", "Cache-Control": "no-store"} if said.status >= 500 else {}
        told = {**said.to_wire(), "message": in_words(said.message)}
        return web.json_response({"error": told}, status=said.status, headers=headers)
