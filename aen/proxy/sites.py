"""Sites: which origin a request came to: one for all projects, or one for each. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from aen.names import host_label

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Site:
    """Where a request came to. `tokens_only`: for scripts; no cookie counts there."""

    origin: bytes
    tokens_only: bool = False


class Sites:
    """The gateway's addresses. `url` may hold `{project}`; then every project is an origin of its own."""

    def __init__(self, url: str, api_url: str = "") -> None:
        self.url = url.rstrip("/")
        parts = self._parts = urlsplit(self.url.replace("{project}", "project"))
        self.scheme, self.secure = parts.scheme, parts.scheme == "https"
        self.apart = "{project}" in self.url
        self._one = Site(self.url.lower().encode())
        self._api = Site(api_url.rstrip("/").lower().encode(), tokens_only=True) if api_url else None
        before, _, after = urlsplit(self.url).netloc.lower().partition("{project}")
        pattern = f"{re.escape(before)}([a-z0-9-]{{1,63}}){re.escape(after)}"
        self._host = re.compile(pattern.encode())

    def find(self, host: bytes, key: bytes) -> Site | None:
        """The site of a request for `host` whose path begins with the route key `key`; None: it is not one of ours.

        With one origin for all, every host is that site: what counts is the Origin.
        """
        if not self.apart:
            return self._one
        return self._apart(host.lower(), key)

    def origin_of(self, owner: str, project: str) -> str:
        """The origin of a project's pages."""
        return self.url.replace("{project}", host_label(owner, project))

    def at(self, name: bytes) -> bytes:
        """The origin that somebody means who came to the host `name` at another port; without {project} there is one."""
        if not self.apart:
            return self._one.origin
        label, _, rest = name.lower().partition(b".")
        here = self._parts.hostname or ""
        wanted = here.partition(".")[2].encode()
        project = label.decode("ascii", "replace") + "." if rest == wanted else ""
        return self.url.lower().replace("{project}.", project).encode()

    @lru_cache(maxsize=4096)  # noqa: B019 - there is one of these in a process
    def _apart(self, host: bytes, key: bytes) -> Site | None:
        if self._api and self._api.origin == f"{self.scheme}://".encode() + host:
            return self._api
        match = self._host.fullmatch(host)
        if match is None:
            return None
        owner, _, rest = key.decode().partition("/")
        if key and host_label(owner, rest.partition("/")[0]).encode() != match[1]:
            return None
        return Site(f"{self.scheme}://".encode() + host)
