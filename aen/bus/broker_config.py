"""The configuration of a managed broker: one text, made from who may talk to it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aen import nkeys
from aen.bus import MAX_PAYLOAD
from aen.bus.rights import ANSWER_MINUTES, Rights, leaf_permissions, permissions


class Known(NamedTuple):
    """A node that belongs to the installation, as brokers know it."""

    node: str
    roles: tuple[str, ...]
    datacenter: str
    nkey: str  # the public half


@dataclass(frozen=True)
class Layout:
    """One broker: where it lies and listens, by which files it shows who it is, to which others it connects."""

    name: str
    folder: Path
    listen: str  # host:port of nodes
    leaves: str  # host:port of the brokers of data centers; empty: none
    certificate: Path
    key: Path
    authority: Path
    seed: str = field(repr=False)  # of the nkey by which it connects to `remotes`
    remotes: tuple[str, ...] = ()  # tls://host:port of the server's broker


def text(layout: Layout, me: Known, nodes: Iterable[Known]) -> str:
    """The configuration file; with `remotes` it holds a secret, the seed. Raises Invalid when a key is none."""
    users = [user(one, rights, kind) for one, rights, kind in _users(me, nodes)]
    lines = [
        "# Written by AEN, again and again: changes are lost.",
        f"server_name: {_quoted(layout.name)}",
        f"listen: {_quoted(layout.listen)}",
        f"pid_file: {_quoted(layout.folder / 'pid')}",
        f"ports_file_dir: {_quoted(layout.folder)}",
        f"logfile: {_quoted(layout.folder / 'log')}",
        "logfile_size_limit: 10MB",
        "logfile_max_num: 3",
        f"max_payload: {MAX_PAYLOAD + 64 * 1024}",
        'ping_interval: "2s"',  # a cut line is noticed within three of these
        "ping_max: 2",
        'write_deadline: "5s"',  # who reads too slowly for so long is dropped, and comes back
        _tls(layout),
        "accounts {",
        "  AEN: { users: [",
        *users,
        "  ] }",
        "  SYS: { users: [] }",
        "}",
        "system_account: SYS",
        *_leafnodes(layout),
    ]
    return "\n".join(lines) + "\n"


def stale(layout: Layout, before: Iterable[Known], now: Iterable[Known]) -> str:
    """Why a reload is not enough for this change of the nodes; empty when it is.

    It changes nothing for brokers that are connected to each other already: neither what they may hear, which is fixed
    when they connect, nor that one of them doesn't belong any more.
    """
    more = {known.node for known in set(now) - set(before) if "compute" in known.roles}
    if more and layout.remotes:
        return f"new compute nodes: {', '.join(sorted(more))}"
    gone = {known.node for known in set(before) - set(now) if "gateway" in known.roles}
    return f"removed gateways: {', '.join(sorted(gone))}" if gone and layout.leaves else ""


def _users(me: Known, nodes: Iterable[Known]) -> Iterable[tuple[Known, Rights, str]]:
    """Who may connect, with which rights, and as what."""
    hub = "server" in me.roles
    nodes = sorted({me, *(one for one in nodes if one.node != me.node)})
    for one in nodes:
        mine = one == me or ("compute" in one.roles and one.datacenter == me.datacenter)
        if hub and "gateway" in one.roles and "server" not in one.roles:
            behind = [other.node for other in nodes if other.datacenter == one.datacenter and "compute" in other.roles]
            yield one, leaf_permissions(one.datacenter, behind), "LEAFNODE"
        elif (hub and "server" in one.roles) or (mine and "gateway" in me.roles and "server" not in one.roles):
            yield one, permissions(one.roles, one.node, one.datacenter), "STANDARD"


def user(one: Known, rights: Rights, kind: str) -> str:
    """One user, as the configuration has it. Raises Invalid when its key is none."""
    answers = f', allow_responses: {{ max: 1, expires: "{ANSWER_MINUTES}m" }}' if rights.answers else ""
    return (
        f"    {{ nkey: {nkeys.check_public(one.nkey)}, allowed_connection_types: [{kind}], permissions: {{\n"
        f"      publish: {{ allow: {_list(rights.publish)} }}\n"
        f"      subscribe: {{ allow: {_list(rights.subscribe)} }}{answers}\n"
        "    } }"
    )


def _leafnodes(layout: Layout) -> list[str]:
    if not layout.leaves and not layout.remotes:
        return []
    lines = ["leafnodes {", '  reconnect: "1s"']
    if layout.leaves:
        lines += [f"  listen: {_quoted(layout.leaves)}", f"  {_tls(layout)}"]
    if layout.remotes:
        urls = _list(layout.remotes)
        seed, tls = _quoted(layout.seed), _tls(layout, verify=False)
        lines += [f"  remotes: [ {{ urls: {urls}, account: AEN, nkey: {seed}, {tls} }} ]"]
    return [*lines, "}"]


def _tls(layout: Layout, *, verify: bool = True) -> str:
    files = f"cert_file: {_quoted(layout.certificate)}, key_file: {_quoted(layout.key)}, ca_file: {_quoted(layout.authority)}"
    return f"tls {{ {files}{', verify: true' if verify else ''}, handshake_first: true, timeout: 5 }}"


def _list(items: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(item) for item in items) + "]"


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)
