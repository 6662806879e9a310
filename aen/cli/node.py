"""`aen node`: the machines that AEN runs on: invite, join, drain, remove, list, show."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aen.cli import Files, Json, Yes, app, ask_first, files
from aen.errors import Conflict, Invalid

if TYPE_CHECKING:
    from aen.config import Config
    from aen.config.load import Loaded

group = typer.Typer(help="Nodes: invite, join, drain, remove, list, show.", no_args_is_help=True)
app.add_typer(group, name="node")

Name = Annotated[str, typer.Argument(help="The node's name.")]
Hosts = Annotated[list[str] | None, typer.Option("--host", help="A name or address it is reached by; may be repeated.")]
_COLUMNS = ("name", "roles", "datacenter", "up", "ready", "draining", "sessions", "version", "last_seen")


@group.command("list")
def list_nodes(as_json: Json = False, config: Files = None) -> None:
    """List every node and how it is doing."""
    from aen.cli.calling import call
    from aen.cli.output import show

    rows = call(config, lambda api: api.get("nodes")["items"])
    show(rows, _COLUMNS, as_json=as_json, nothing="No node has been heard of yet.")


@group.command("show")
def show_node(name: Name, as_json: Json = False, config: Files = None) -> None:
    """Say everything that is known of a node."""
    from aen.cli.calling import call
    from aen.cli.output import details

    details(call(config, lambda api: api.get("nodes", name)), as_json=as_json)


@group.command()
def invite(
    role: Annotated[str, typer.Option("--role", help="compute, gateway, or gateway,compute.")],
    datacenter: Annotated[str, typer.Option("--datacenter", help="The data center it will belong to.")] = "main",
    name: Annotated[str, typer.Option("--name", help="The name it must have; else its own host name.")] = "",
    host: Hosts = None,
    again: Annotated[bool, typer.Option("--again", help="It may replace a node of that name.")] = False,
    hours: Annotated[float, typer.Option("--hours", help="The invitation ends after so many hours.")] = 1.0,
    as_json: Json = False,
    config: Files = None,
) -> None:
    """Print the line to run on a new host. It is good for one host and one hour."""
    from aen.cli.calling import call
    from aen.cli.output import details

    roles = [word.strip() for word in role.split(",")]
    body = {"roles": roles, "datacenter": datacenter, "node": name, "hosts": host or [], "again": again, "hours": hours}
    made = call(config, lambda api: api.post("nodes", "invitations", body=body))
    if as_json:
        details(made, as_json=True)
        return
    print("Run this on the new host, as the account that will run AEN there (usually root):\n")
    print(f"  {made['command']}\n")
    print(f"It is good for one host, for {hours:g} h. Open invitations: `aen node invitations`.")


@group.command()
def invitations(
    withdraw: Annotated[str, typer.Option("--withdraw", help="Withdraw the one whose id begins so.")] = "",
    as_json: Json = False,
    config: Files = None,
) -> None:
    """List the open invitations, or withdraw one."""
    from aen.cli.calling import call
    from aen.cli.output import show

    if withdraw:
        call(config, lambda api: api.delete("nodes", "invitations", withdraw))
        print("Withdrawn.")
        return
    rows = call(config, lambda api: api.get("nodes", "invitations")["items"])
    shown = rows if as_json else [{**row, "id": row["id"][:12]} for row in rows]
    columns = ("id", "roles", "datacenter", "node", "created_by", "expires")
    show(shown, columns, as_json=as_json, nothing="No invitation is open.")


@group.command()
def join(
    url: Annotated[str, typer.Argument(help="The address that `aen node invite` printed.")],
    token: Annotated[str, typer.Option("--token", help="The token that it printed; or $AEN_TOKEN.")] = "",
    role: Annotated[str, typer.Option("--role", help="As printed.")] = "compute",
    name: Annotated[str, typer.Option("--name", help="This node's name; else the host's.")] = "",
    host: Hosts = None,
    again: Annotated[bool, typer.Option("--again", help="Replace what this host was given earlier.")] = False,
    config: Files = None,
) -> None:
    """Make this host a node: keys are made here, the certificate comes from the server. Safe to run again."""
    from aen.cli import joining
    from aen.config.machine import Machine
    from aen.credentials import Credentials

    given = token or os.environ.get("AEN_TOKEN", "")
    if "." not in given:
        raise Invalid("Give the whole token that `aen node invite` printed, with --token.")
    loaded, machine = _loaded(config), Machine.here()
    roles = tuple(word.strip() for word in role.split(","))
    resolved = _resolved(loaded, roles, machine)
    before = Credentials.load(resolved.data_dir)
    if before is not None and not again:
        raise Conflict(
            f"This host has joined already, as {before.joined.node} ({' and '.join(before.joined.roles)} of "
            f"{before.joined.datacenter}). Start it; or join anew with --again: what it was given is replaced."
        )
    owner = _prepared(resolved, machine)
    _as_owner(
        joining.join(resolved, joining.Host.of(resolved, machine, roles, name, host or []), url, given, print), owner
    )
    _next_steps(Credentials.load(resolved.data_dir), resolved)


@group.command()
def drain(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="It takes new work again.")] = False,
    config: Files = None,
) -> None:
    """Start nothing new on a node; what runs there goes on."""
    from aen.cli.calling import call

    node = call(config, lambda api: api.put("nodes", name, "drain", body={"draining": not off}))
    if off:
        print(f"{name} takes new work again.")
    else:
        print(f"Nothing new is started on {name}. Sessions there now: {node['sessions']}.")


@group.command()
def remove(
    name: Name,
    yes: Yes = False,
    config: Files = None,
) -> None:
    """Take away all that a node was given: it can talk to nobody any more, and its sessions are lost."""
    from aen.cli.calling import call

    ask_first(f"Remove {name} (its sessions are lost; its files stay on its disk)", yes)
    call(config, lambda api: api.post("nodes", name, "remove", body={}))
    print(f"Removed {name}: its certificate and key count for nothing any more.")


def _loaded(config: Files) -> Loaded:
    from aen.config.load import load

    return load(files(config), os.environ)


def _resolved(loaded: Loaded, roles: tuple[str, ...], machine: Any) -> Config:
    from aen.config.resolve import resolve
    from aen.roles import ROLES

    if not roles or any(role not in ("gateway", "compute") for role in roles):
        raise Invalid(
            f"--role is gateway, compute or gateway,compute; servers don't join. (Roles: {', '.join(ROLES)}.)"
        )
    return resolve(loaded.config, roles=roles, machine=machine)


def _prepared(config: Config, machine: Any) -> tuple[int, int]:
    """The data directory, made as the first start would, and whose it is. Conflict while AEN runs from it."""
    from aen import places
    from aen.privileges import ensure_service_account

    uid, gid = ensure_service_account(config.service_account) if machine.root else (os.geteuid(), os.getegid())
    places.Lock(config.data_dir).check()
    places.make([place for place in places.wanted(config, (), uid, gid) if place.option == "data_dir"], [])
    return uid, gid


def _as_owner(kept: Any, owner: tuple[int, int]) -> None:
    for path in (kept.folder, *kept.folder.iterdir()):
        os.chown(path, *owner, follow_symlinks=False)


def _next_steps(credentials: Any, config: Config) -> None:
    joined = credentials.joined
    roles = ",".join(joined.roles)
    print(f"\nThis host is the node {joined.node}: {' and '.join(joined.roles)} of data center {joined.datacenter}.")
    if "gateway" in joined.roles:
        print(f"People reach its apps at {config.gateway.url}/ (gateway.url; set it before the first start).")
    print(f"Start it:  aen serve --role {roles}      (or: systemctl enable --now aen-{joined.roles[0]})")
