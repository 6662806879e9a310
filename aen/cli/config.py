"""`aen config`: check, show, sample, docs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from aen.cli import Files, Json, app, files
from aen.cli.serve import parse_roles

if TYPE_CHECKING:
    from aen.config import Config
    from aen.config.load import Loaded

group = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)
app.add_typer(group, name="config")

Role = Annotated[str, typer.Option("--role", help="For which roles blanks are filled.")]


@group.command()
def check(role: Role = "all", config: Files = None) -> None:
    """Say everything that is wrong with the configuration, with file and line. Exit code 2 if anything is."""
    loaded, _ = _resolved(config, role)
    read = ", ".join(str(path) for path in loaded.files) or "no file (defaults)"
    print(f"The configuration is fine. Read: {read}.")


@group.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value was set.")] = False,
    role: Role = "all",
    as_json: Json = False,
    config: Files = None,
) -> None:
    """Print the configuration that is in force, secrets hidden."""
    import json

    from aen.config import show as shown

    loaded, resolved = _resolved(config, role)
    if as_json:
        found = shown.values(resolved)
        rows = {path: {"value": value, "origin": loaded.origin(path)} for path, value in found.items()}
        print(json.dumps(rows if origin else found, indent=2, default=str))
        return
    print(shown.show(loaded, resolved, origin=origin), end="")


@group.command()
def sample() -> None:
    """Print a commented sample with every option."""
    from aen.config.show import sample as made

    print(made(), end="")


@group.command()
def docs() -> None:
    """Print the reference of every option, as Markdown."""
    from aen.config.show import reference

    print(reference(), end="")


def _resolved(config: Files, role: str) -> tuple[Loaded, Config]:
    from aen.config.load import load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve

    loaded = load(files(config), os.environ)
    return loaded, resolve(loaded.config, roles=parse_roles(role), machine=Machine.here())
