"""Caller: who asks the gateway's own pages, as the data plane says."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True)
class Caller:
    """Who asks, as the data plane says."""

    user: str
    login: str
    origin: str
    navigation: bool
    trouble: str = ""  # why the app that they asked for can't be had: status and words


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
