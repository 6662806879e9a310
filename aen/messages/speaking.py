"""Speaking: who may say which message, to whom, and what of it must be true of the one who says it.

What stands in no row is said by servers only. A new message from a node or gateway needs a row here: the brokers'
permissions are made from this table, and the receiving side checks by it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One row: which roles say it, to whom it goes, which fields tell of the sender and must be the sender's own."""

    by: tuple[str, ...] = ("server",)
    to: str = "all"  # events: a role, or all. Commands go to the address that they are sent to
    own: tuple[str, ...] = ()  # of: node, datacenter, roles
    asks: bool = False  # a command


_FROM_COMPUTE = Rule(("compute",), "server", ("node",))
_FROM_GATEWAY = Rule(("gateway",), "server", asks=True)
_TO_GATEWAYS = Rule(("server",), "gateway")
SERVERS_ONLY = Rule()

RULES: dict[str, Rule] = {
    # events
    "SessionReported": _FROM_COMPUTE,  # holds the secret of a launch: the server alone may hear it
    "ProjectReported": _FROM_COMPUTE,
    "EnvironmentReported": _FROM_COMPUTE,
    "ErrandReported": _FROM_COMPUTE,
    "PermissionsWalked": Rule(("compute",), "server"),
    "NodeReported": Rule(("compute", "gateway"), "server", ("node", "datacenter", "roles")),
    "FaultReported": Rule(("compute", "gateway"), "server", ("node",)),
    "NodeExamined": Rule(("compute", "gateway"), "server", ("node", "roles")),
    "RouteAdded": _TO_GATEWAYS,
    "RouteRemoved": _TO_GATEWAYS,
    "Revoked": _TO_GATEWAYS,
    "LanguageChosen": _TO_GATEWAYS,
    "ServerTold": Rule(("server",), "server"),
    # commands to the server
    "RedeemTicket": _FROM_GATEWAY,
    "RenewGrant": _FROM_GATEWAY,
    "CheckToken": _FROM_GATEWAY,
    "ReadKeys": _FROM_GATEWAY,
    "ReadRoutes": Rule(("gateway",), "server", ("datacenter",), asks=True),
    "ReadRevocations": _FROM_GATEWAY,
    "OpenSession": _FROM_GATEWAY,
    "JoinNode": Rule(("gateway",), "server", ("datacenter",), asks=True),
    "RenewLease": Rule(("compute",), "server", ("node",), asks=True),
    "RenewCertificate": Rule(("compute", "gateway"), "server", ("node",), asks=True),
}


def rule(kind: str) -> Rule:
    """The row of a kind of message."""
    return RULES.get(kind, SERVERS_ONLY)


def said_by(roles: tuple[str, ...]) -> list[tuple[str, Rule]]:
    """The kinds that one who has `roles` (and is no server) may say, with their rows, sorted."""
    return [(kind, row) for kind, row in sorted(RULES.items()) if set(row.by) & set(roles)]
