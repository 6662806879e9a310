"""Rights: what each node may say and hear on a broker. Made from the table of messages; nothing here knows a broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aen import names
from aen.bus.subjects import NOWHERE, Speaker
from aen.messages.speaking import said_by

ANSWER_MINUTES = 15  # so long may an answer take


@dataclass(frozen=True)
class Rights:
    """Subjects (with NATS' wildcards) to publish to and to subscribe to; `answers`: it may answer whoever asked it."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


def permissions(roles: tuple[str, ...], node: str, datacenter: str) -> Rights:
    """What one node may do at the broker that it talks to."""
    me = Speaker(roles, datacenter, node)
    if me.is_server:
        return Rights(("aen.>",), ("aen.>",))
    said = [
        f"aen.ask.{row.to}.{kind}.{me.tokens}" if row.asks else f"aen.event.{me.tokens}.{kind}.{row.to}"
        for kind, row in said_by(roles)
    ]
    heard = [f"{me.inbox}.>", *_events(me)]
    if "gateway" in roles:
        heard.append(f"aen.ask.{names.address('gateway', datacenter)}.>")
    if "compute" in roles:
        heard.append(f"aen.ask.{names.address('compute', node)}.>")
    return Rights(tuple(said), tuple(heard), answers=True)


def leaf_permissions(datacenter: str, nodes: Iterable[str]) -> Rights:
    """What the broker of a data center with these compute `nodes` may pass on to the server's, and is passed by it.

    Whoever has such a broker in hand can speak for its data center, and for no other.
    """
    place = names.token(datacenter)
    said = ["aen.answer.-.>"]
    heard = [f"aen.answer.{place}.>", f"aen.ask.{names.address('gateway', datacenter)}.>"]
    heard += [f"aen.ask.{names.address('compute', node)}.>" for node in sorted(nodes)]
    heard += _events(Speaker(("gateway", "compute"), datacenter, ""))
    for roles in (("gateway",), ("compute",), ("gateway", "compute")):
        # Each ends in `>`: a broker passes on to a leaf only what lies wholly within its rights, or overlaps one of this form.
        who = f"{place}.{'+'.join(roles)}.>"
        said.append(f"aen.event.{who}")
        said += [f"aen.ask.{row.to}.{kind}.{who}" for kind, row in said_by(roles) if row.asks]
    return Rights(tuple(said), tuple(heard))


def _events(one: Speaker) -> list[str]:
    place = names.token(one.datacenter)
    audiences = ["all", *(audience for role in one.roles for audience in (role, f"{role}-{place}"))]
    return [f"aen.event.{NOWHERE}.*.*.*.{audience}" for audience in audiences]
