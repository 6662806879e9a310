"""`aen broker`: end the broker that AEN runs; what a NATS of your own must let a node do."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from aen.cli import Files, app, files
from aen.cli.serve import parse_roles

group = typer.Typer(help="The bus between machines: end the managed broker, rights for a NATS of your own.")
app.add_typer(group, name="broker")


@group.command()
def stop(config: Files = None) -> None:
    """End the broker that AEN left running (it outlives AEN). Stop AEN first: it would start it again."""
    from aen import places
    from aen.bus.broker import stop as end
    from aen.config.load import load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve
    from aen.roles import ROLES

    resolved = resolve(load(files(config), os.environ).config, roles=tuple(ROLES), machine=Machine.here())
    places.Lock(resolved.data_dir).check()
    print("The broker has ended." if asyncio.run(end(resolved.data_dir)) else "No broker of this node runs.")


@group.command()
def rights(
    node: Annotated[str, typer.Argument(help="The node's name.")],
    role: Annotated[str, typer.Option("--role", help="Its roles.")],
    datacenter: Annotated[str, typer.Option("--datacenter", help="Its data center.")] = "main",
    nkey: Annotated[str, typer.Option("--nkey", help="The public half of its nkey.")] = "",
) -> None:
    """Print the user that a NATS of your own needs for a node (bus.mode external), as its configuration has it."""
    from aen import names, nkeys
    from aen.bus.broker_config import Known, user
    from aen.bus.rights import permissions

    known = Known(names.node(node), parse_roles(role), names.node(datacenter), nkey or nkeys.public(nkeys.make()))
    print(user(known, permissions(known.roles, known.node, known.datacenter), "STANDARD"))
    if not nkey:
        print("# This nkey is an example: give the node's own with --nkey.")
