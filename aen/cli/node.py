"""`aen node`: the machines that AEN runs on."""

from __future__ import annotations

import typer

from aen.cli import Files, Json, app

group = typer.Typer(help="Nodes: list.", no_args_is_help=True)
app.add_typer(group, name="node")


@group.command("list")
def list_nodes(as_json: Json = False, config: Files = None) -> None:
    """List every node and how it is doing."""
    from aen.cli.calling import call
    from aen.cli.output import show

    rows = call(config, lambda api: api.get("nodes")["items"])
    columns = ("name", "roles", "datacenter", "up", "ready", "sessions", "version", "last_seen")
    show(rows, columns, as_json=as_json, nothing="No node has been heard of yet.")
