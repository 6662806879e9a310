"""Limits: how often one may try to sign in before being asked to wait, per account and per address."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aen.errors import TooMany

_FORGET = 900.0  # seconds without a failure after which all is forgotten
_LONGEST_WAIT = 300.0  # seconds
_MOST = 100_000  # keys remembered: an attacker with many names must not fill the memory


@dataclass
class _Failures:
    count: int = 0
    last: float = 0.0


class Attempts:
    """Counts failures. After `allowed` of them one waits 1, 2, 4 … seconds after each, at most five minutes.

    An address from which a person signed in before is not held up by failures that others make with that person's name:
    otherwise anybody could lock anybody out.
    """

    def __init__(
        self,
        allowed: int,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str, str], None] = lambda account, address: None,
    ) -> None:
        """`tell`: other servers hear of each failure, and give it to `failed_elsewhere` of theirs."""
        self._allowed = allowed
        self._tell = tell
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, account: str, address: str) -> None:
        """Raise TooMany, with `retry_after`, while this account or address must wait."""
        wait = max(self._wait(key) for key in self._keys(account, address))
        if wait > 0:
            raise TooMany(
                f"Too many failed attempts. Wait {max(1, round(wait))} seconds, then try again.", retry_after=wait
            )

    def failed(self, account: str, address: str) -> None:
        """Remember a failure."""
        self.failed_elsewhere(account, address)
        self._tell(account[:300], address[:100])

    def failed_elsewhere(self, account: str, address: str) -> None:
        """Remember a failure that another server told of."""
        for key in self._keys(account, address):
            entry = self._failures.pop(key, None) or _Failures()
            if self._clock() - entry.last > _FORGET:
                entry.count = 0
            entry.count += 1
            entry.last = self._clock()
            self._failures[key] = entry
            _trim(self._failures)

    def succeeded(self, account: str, address: str) -> None:
        """The account is fine from here on; what its address did with other names stays remembered."""
        for key in self._keys(account, address)[:1]:
            self._failures.pop(key, None)
        if address:
            self._known[account, network(address)] = None
            _trim(self._known)

    def _keys(self, account: str, address: str) -> list[tuple[str, str]]:
        if not address:  # nobody in particular: what one person does there must not hold up all others
            return [("account", account)]
        net = network(address)
        if (account, net) in self._known:
            return [(f"account {account}", net), ("address", net)]
        return [("account", account), ("address", net)]

    def _wait(self, key: tuple[str, str]) -> float:
        entry = self._failures.get(key)
        if entry is None or entry.count < self._allowed:
            return 0.0
        pause = min(_LONGEST_WAIT, 2.0 ** min(30, entry.count - self._allowed))
        return entry.last + pause - self._clock()


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _trim(entries: OrderedDict[tuple[str, str], _Failures] | OrderedDict[tuple[str, str], None]) -> None:
    while len(entries) > _MOST:
        entries.popitem(last=False)
