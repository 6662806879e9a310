"""`aen datacenter`: a gateway and the compute nodes behind it: add, list, remove."""

from __future__ import annotations

from typing import Annotated

import typer

from aen.cli import Files, Json, app

group = typer.Typer(help="Data centers: add, list, remove.", no_args_is_help=True)
app.add_typer(group, name="datacenter")

Name = Annotated[str, typer.Argument(help="The data center's name.")]
_COLUMNS = ("name", "status", "nodes", "nodes_up", "sessions", "gateway_url", "last_seen")


@group.command()
def add(
    name: Name,
    title: Annotated[str, typer.Option("--title", help="What people see; else its name.")] = "",
    config: Files = None,
) -> None:
    """Add a data center. At any time: people go on working meanwhile."""
    from aen.cli.calling import call

    call(config, lambda api: api.post("datacenters", body={"name": name, "title": title}))
    print(f"Added {name}. Next, its gateway: `aen node invite --role gateway --datacenter {name}`.")


@group.command("list")
def list_centers(as_json: Json = False, config: Files = None) -> None:
    """List the data centers and how they are doing."""
    from aen.cli.calling import call
    from aen.cli.output import show

    rows = call(config, lambda api: api.get("datacenters", "status")["items"])
    show(rows, _COLUMNS, as_json=as_json, nothing="There is no data center yet.")
    if not as_json:
        for row in rows:
            for message in row["messages"]:
                print(f"{row['name']}: {message}")


@group.command()
def remove(name: Name, config: Files = None) -> None:
    """Remove a data center that has neither nodes nor projects any more."""
    from aen.cli.calling import call

    call(config, lambda api: api.delete("datacenters", name))
    print(f"Removed {name}.")
