"""`aen install`: systemd units, a supervisord sample and log rotation, with the paths of this very installation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aen.cli import Files, app, files
from aen.cli.serve import parse_roles
from aen.errors import Conflict, Invalid

if TYPE_CHECKING:
    from aen import units

group = typer.Typer(help="Let this host start AEN by itself: systemd, or supervisord.", no_args_is_help=True)
app.add_typer(group, name="install")

Role = Annotated[str, typer.Option("--role", help="all, or server, gateway, compute, or a list as gateway,compute.")]
Print = Annotated[bool, typer.Option("--print", help="Print them instead of writing.")]


@group.command()
def systemd(
    role: Role = "all",
    to: Annotated[Path, typer.Option("--to", help="Where units are written.")] = Path("/etc/systemd/system"),
    show: Print = False,
    config: Files = None,
) -> None:
    """Write the unit of a role (and of its broker's and apps' places), checked by systemd-analyze where that is."""
    from aen import units

    made = units.systemd(_installed(role, config))
    if show:
        _show(made)
        return
    _write(made, to)
    for complaint in units.verify([to / name for name in made if name.endswith(".service")]):
        print(f"systemd-analyze: {complaint}")
    service = next(name for name in made if name.endswith(".service"))
    print(f"\nNow: systemctl daemon-reload && systemctl enable --now {service.removesuffix('.service')}")


@group.command()
def supervisord(
    role: Role = "all",
    to: Annotated[Path, typer.Option("--to", help="Where the files are written.")] = Path("/etc"),
    show: Print = False,
    config: Files = None,
) -> None:
    """Write a section for supervisord, which keeps the log below /var/log/aen, and its rotation."""
    from aen import units

    made = units.supervisord(_installed(role, config))
    if show:
        _show(made)
        return
    _write(made, to)
    print("\nNow: mkdir -p /var/log/aen && supervisorctl reread && supervisorctl update")


def _installed(role: str, config: Files) -> units.Installed:
    """What units are written for. Raises Invalid when the configuration is wrong: a unit that can't start helps nobody."""
    import sys

    from aen import units
    from aen.config.load import DEFAULT_FILE, load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve

    roles = parse_roles(role)
    loaded = load(files(config), os.environ)
    resolved = resolve(loaded.config, roles=roles, machine=Machine.here())
    program = Path(sys.argv[0]).absolute()
    if program.name != "aen":
        program = Path(sys.executable).parent / "aen"
    if not os.access(program, os.X_OK):
        raise Invalid(f"There is no program {program}: install AEN into this Python's environment first.")
    return units.Installed(roles, program, loaded.files or (DEFAULT_FILE,), resolved)


def _show(made: dict[str, str]) -> None:
    for name, text in made.items():
        print(f"# ── {name} ──\n{text}")


def _write(made: dict[str, str], to: Path) -> None:
    for name, text in made.items():
        path = to / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644)
        except OSError as error:
            raise Conflict(
                f"{path} can't be written ({error.strerror}). Run it as root, or give another --to."
            ) from error
        print(f"written: {path}")
