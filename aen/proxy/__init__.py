"""Proxy: the gateway's data plane. This is what it asks of whoever runs it; `plane.py` is its door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class By(StrEnum):
    """How somebody proved who they are."""

    COOKIE = "cookie"
    TOKEN = "token"  # noqa: S105


class Visitor:
    """Somebody who may come in. One object for each login, so that ending it is seen by all that hold it."""

    __slots__ = (
        "by",
        "ended",
        "expires",
        "issued",
        "language",
        "language_name",
        "lines",
        "login",
        "looks",
        "projects",
        "renew_at",
        "user",
    )

    def __init__(
        self,
        user: str,
        login: str,
        by: By,
        expires: int,
        *,
        issued: int = 0,
        renew_at: int = 0,
        projects: frozenset[str] | None = None,
        looks: frozenset[str] | None = None,
        language: str = "",
    ) -> None:
        self.user, self.login, self.by = user, login, by
        self.projects = (
            projects  # the only ones (`owner/name`) that an API token was narrowed to; None: all of the person's
        )
        self.looks = looks  # the same for what only looks (`LOOKED_AT`); counts beside `projects`, not without it
        self.expires = expires  # ms since 1970
        self.issued = issued  # for whoever admits: what a revocation is compared with
        self.renew_at = renew_at  # ms since 1970; from then on a page visit renews the login; 0: never
        self.ended = False
        self.language_name = language  # empty: as their browser
        self.language = f"X-AEN-Language: {language}\r\n".encode("ascii") if language else b""
        self.lines = f"X-AEN-User: {user}\r\nX-AEN-Auth: {by}\r\n".encode("latin-1") + self.language


class Admission(Protocol):
    """Who may come in. The quick answers are given on every request: they look up, they never wait."""

    def by_grant(self, grant: bytes, origin: bytes) -> Visitor | None:
        """Whose cookie this is at this origin; None: nobody's (any more)."""

    def by_token(self, token: bytes) -> Visitor | None:
        """Whose API token this is, as far as is known here."""

    async def ask(self, token: bytes, address: str) -> Visitor | None:
        """Whose API token this is. Raises an AenError when that can't be found out now."""


@dataclass(frozen=True)
class Limits:
    """What one client may take, and how long things may take (seconds)."""

    head_bytes: int = 32768
    headers: int = 128
    head_seconds: float = 15
    connect_seconds: float = 5
    first_byte_seconds: float = 600
    idle_seconds: float = 75
    stall_seconds: float = 300  # a peer that takes nothing of what is waiting for it
    body_bytes: int = 0  # 0: no limit
    bodies: Mapping[str, int] = field(default_factory=dict)  # the same for single apps
    connections: int = 2048  # of one person at the same time; 0: no limit
