"""Caller: who asks the gateway's own pages, as the data plane says."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True)
class Caller:
    """Who asks, as the data plane says."""

    user: str
    login: str
    origin: str
    navigation: bool
    trouble: str = ""  # why what they asked for can't be had: status and words

    @property
    def refused(self) -> bool:
        """Whether the data plane let it through to nothing."""
        return bool(self.trouble) and int(self.trouble.partition(" ")[0]) < 500


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)


def by_data_plane(request: web.Request, token: str) -> bool:
    """Whether the data plane passed it on, which alone knows the token."""
    return hmac.compare_digest(request.headers.get("X-AEN-Page-Token", "").encode(), token.encode())
