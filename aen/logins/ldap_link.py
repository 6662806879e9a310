"""LDAP, the wire: connections to one of several servers, encrypted and checked, in threads of their own."""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog

from aen.config.logins import Ldap
from aen.errors import Unavailable

with warnings.catch_warnings():  # names of pyasn1 that ldap3 still uses by their old spelling
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPException

log = structlog.get_logger(__name__)
T = TypeVar("T")
Entry = dict[str, Any]

_THREADS = 8
_WAITING = 200  # sign-ins that may wait for a thread
_PAGE = 500
_SUCCESS, _WRONG = 0, (19, 32, 34, 48, 49, 50, 53)  # results of a bind: fine; not with this name and password


class Unreached(Exception):
    """This server can't be asked: try the next."""


class Directory:
    """The servers. Every `ask` is one visit: connections are not kept, so nobody's rights are left on one."""

    def __init__(self, options: Ldap) -> None:
        self.options = options
        self._tls = _Tls(options)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ldap")
        self._waiting = 0

    async def ask(self, work: Callable[[Link], T]) -> T:
        """Do `work` in a thread at the first server that answers. Unavailable when none does."""
        if self._waiting >= _WAITING:
            raise Unavailable("Very many people are signing in right now. Try again in some seconds.", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, work)
        finally:
            self._waiting -= 1

    def _ask(self, work: Callable[[Link], T]) -> T:
        for url in self.options.servers:
            try:
                return work(Link(url, self.options, self._tls))
            except (Unreached, LDAPException, OSError, ValueError) as error:
                log.warning("a directory server could not be asked", server=url, reason=str(error)[:200])
        raise Unavailable("The directory that checks passwords can't be reached right now. Try again in a minute.")


class Link:
    """One server, for one visit."""

    def __init__(self, url: str, options: Ldap, tls: _Tls) -> None:
        parts = urlsplit(url)
        self._options = options
        self._start_tls = parts.scheme == "ldap" and options.start_tls
        self._server = ldap3.Server(
            parts.hostname,
            port=parts.port or (636 if parts.scheme == "ldaps" else 389),
            use_ssl=parts.scheme == "ldaps",
            tls=tls,
            get_info=ldap3.NONE,
            connect_timeout=options.seconds,
        )

    @contextlib.contextmanager
    def bound(self, dn: str, password: str) -> Iterator[ldap3.Connection | None]:
        """A connection as `dn`; None when name or password are wrong. Never without a password: that would be nobody.

        Raises Unreached when the server can't be asked or can't decide.
        """
        if not dn or not password:
            yield None
            return
        connection = ldap3.Connection(
            self._server,
            user=dn,
            password=password,
            authentication=ldap3.SIMPLE,
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False,  # else passwords would be handed to whatever server is named
            receive_timeout=math.ceil(self._options.seconds),  # whole seconds: ldap3 hands it to the kernel as they are
            read_only=True,
        )
        try:
            connection.open()
            if self._start_tls and not connection.start_tls():
                raise Unreached("StartTLS was refused")
            connection.bind()
            code = int(connection.result["result"])
            if code != _SUCCESS and code not in _WRONG:
                raise Unreached(str(connection.result["description"]))
            yield connection if code == _SUCCESS else None
        finally:
            with contextlib.suppress(LDAPException, OSError):
                connection.unbind()
            if connection.socket is not None:  # left open by ldap3 when TLS was refused
                connection.socket.close()

    def find(self, connection: ldap3.Connection, base: str, where: str, attributes: list[str]) -> list[Entry]:
        """Every entry below `base` that `where` (a filter, escaped already) finds, page by page."""
        found: list[Entry] = []
        cookie: Any = None
        while True:
            connection.search(base, where, ldap3.SUBTREE, attributes=attributes, paged_size=_PAGE, paged_cookie=cookie)
            if connection.result["result"] not in (
                _SUCCESS,
                10,
                32,
            ):  # 10: a referral, which we don't follow; 32: no such base
                raise Unreached(f"search: {connection.result['description']}")
            found += [entry for entry in connection.response or [] if entry["type"] == "searchResEntry"]
            control = connection.result.get("controls", {}).get("1.2.840.113556.1.4.319", {})
            cookie = control.get("value", {}).get("cookie")
            if not cookie:
                return found


class _Tls(ldap3.Tls):  # type: ignore[misc] # ldap3 has no types
    """TLS with the certificate and its name checked by OpenSSL itself."""

    def __init__(self, options: Ldap) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cafile=str(options.ca) if options.ca else None)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Called by ldap3 once the socket is connected."""
        host = connection.server.host
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=host, do_handshake_on_connect=do_handshake
        )
