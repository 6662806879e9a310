"""Subjects: the names under which messages travel between machines. Who speaks stands in each, and brokers enforce it.

    aen.event.<sender>.<Kind>.<audience>      audience: all, a role, or a role and its data center
    aen.ask.<address>.<Kind>.<sender>         address: one or two parts, as `names.address` makes it
    aen.answer.<sender>.<any>.<any>           the inbox of the one who asked

A sender is three parts: data center (`-` for servers, which belong to none), roles, node.
"""

from __future__ import annotations

from dataclasses import dataclass

from aen import names
from aen.errors import Denied
from aen.messages.speaking import Rule, rule
from aen.model import Word

NOWHERE = "-"  # no data center can be called so
ORDER = ("server", "gateway", "compute")


@dataclass(frozen=True)
class Speaker:
    """One node, as the bus knows it."""

    roles: tuple[str, ...]
    datacenter: str
    node: str

    @property
    def is_server(self) -> bool:
        """Whether it may say everything: one of its roles is the server."""
        return "server" in self.roles

    @property
    def tokens(self) -> str:
        """The three parts that stand in its subjects."""
        place = NOWHERE if self.is_server else names.token(self.datacenter)
        roles = "+".join(role for role in ORDER if role in self.roles)
        return f"{place}.{roles}.{names.token(self.node)}"

    @property
    def inbox(self) -> str:
        """What the subjects begin with at which it gets its answers."""
        return f"aen.answer.{self.tokens}"

    def may_say(self, kind: str) -> bool:
        """Whether the table lets its roles say this kind of message."""
        return self.is_server or bool(set(rule(kind).by) & set(self.roles))

    def audiences(self, kind: str) -> list[str]:
        """The audiences of a kind of event that it belongs to."""
        to = rule(kind).to
        return [to] if to in ("all", "server") else [to, f"{to}-{names.token(self.datacenter)}"]


def event_subject(speaker: Speaker, event: Word) -> str:
    """Where an event goes: to everybody it is for, or to those of the data center that it names."""
    kind = type(event).__name__
    row: Rule = rule(kind)
    place = getattr(event, "datacenter", "") if row.to not in ("all", "server") else ""
    audience = f"{row.to}-{names.token(place)}" if place else row.to
    return f"aen.event.{speaker.tokens}.{kind}.{audience}"


def events_of(kind: str, audience: str) -> str:
    """What a subscriber to a kind of event listens to: what servers alone say, from servers alone."""
    place = NOWHERE if rule(kind).by == ("server",) else "*"
    return f"aen.event.{place}.*.*.{kind}.{audience}"


def ask_subject(speaker: Speaker, address: str, kind: str) -> str:
    """Where a command goes."""
    return f"aen.ask.{address}.{kind}.{speaker.tokens}"


def asks_of(address: str, kind: str) -> str:
    """What a responder listens to."""
    return f"aen.ask.{address}.{kind}.*.*.*"


def sender_of_event(subject: str) -> Speaker:
    """Who said it, by the subject it came on. Raises Denied when that names nobody."""
    return _speaker(subject.split(".")[2:5])


def sender_of_ask(subject: str) -> Speaker:
    """Who asks, by the subject it came on. Raises Denied when that names nobody."""
    return _speaker(subject.split(".")[-3:])


def check(message: Word, sender: Speaker) -> None:
    """Raise Denied when this sender may not say this, or the message tells something of the sender that isn't so."""
    if sender.is_server:
        return
    kind = type(message).__name__
    if not sender.may_say(kind):
        raise Denied(f"{sender.node} may not say {kind}: it is {' and '.join(sender.roles)}.")
    true = {"node": {sender.node}, "datacenter": {sender.datacenter}, "roles": set(sender.roles)}
    for field in rule(kind).own:
        told = getattr(message, field)
        if not {told} <= true[field] if isinstance(told, str) else not set(told) <= true[field]:
            raise Denied(f"{kind} says {field} {told!r}, which is not so of {sender.node} that sent it.")


def _speaker(parts: list[str]) -> Speaker:
    place, roles, node = parts if len(parts) == 3 else ("", "", "")
    known = tuple(roles.split("+"))
    # A data center's leaf can speak as anything within its own data center: never as a server.
    if not node or not set(known) <= set(ORDER) or ("server" in known) != (place == NOWHERE):
        raise Denied("The bus brought a message of nobody that AEN knows.")
    return Speaker(known, names.plain(place), names.plain(node))
