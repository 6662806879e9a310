"""The `aen` command: reads arguments, calls one function. Heavy imports stand inside the functions, so it starts quickly."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from aen import __version__
from aen.errors import AenError, Invalid

#: `-c`, before or after the subcommand.
Files = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", help="A configuration file; may be given several times, the last one wins."),
]
#: On every command that asks first.
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
#: On every command that lists something.
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

app = typer.Typer(
    name="aen",
    help="AEN: team notebooks on your own machines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_before: list[Path] = []  # the files given before the subcommand


@app.callback()
def _first(config: Files = None) -> None:
    _before[:] = config or []


@app.command()
def version() -> None:
    """Print AEN's version."""
    print(f"aen {__version__}")


def files(after: list[Path] | None) -> list[Path]:
    """The configuration files in the order in which they were given, before and after the subcommand."""
    return [path.absolute() for path in [*_before, *(after or [])]]


def ask_first(question: str, yes: bool) -> None:
    """Go on only when a person at a terminal says so, or a script said it with --yes. Raises Invalid when nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{question}? There is no terminal to ask on, so nothing was done: add --yes if you mean it.")
    typer.confirm(f"{question}?", abort=True)


def main() -> None:
    """Read the arguments and call one function. What goes wrong is one sentence on stderr; exit code 1, or 2 for usage."""
    for module in (
        "serve",
        "remote",
        "config",
        "user",
        "project",
        "session",
        "node",
        "datacenter",
        "broker",
        "doctor",
        "install",
        "store",
        "records",
    ):
        import_module(f"aen.cli.{module}")
    try:
        app()
    except AenError as error:
        _say(error.message)
        sys.exit(2 if isinstance(error, Invalid) else 1)
    except BrokenPipeError:  # `aen user list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("AEN_DEBUG"):
            raise
        _say(f"a fault in AEN itself: {type(error).__name__}: {error}. Set AEN_DEBUG=1 to see where.")
        sys.exit(1)


def _say(message: str) -> None:
    for line in message.splitlines():
        print(f"aen: {line}", file=sys.stderr)
