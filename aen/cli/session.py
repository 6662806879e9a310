"""`aen session`: what runs for people: list it, stop it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from aen.cli import Files, Json, Yes, app, ask_first
from aen.errors import Invalid, TimedOut

group = typer.Typer(help="What runs for people: list, stop.", no_args_is_help=True)
app.add_typer(group, name="session")

_COLUMNS = ("id", "title", "project", "user", "phase", "node", "since", "activity")
_LIVE = ("QUEUED", "STARTING", "RUNNING", "STOPPING")
_SECONDS = 30.0  # for sessions to be gone: their apps are asked first, and ended then


@group.command("list")
def list_sessions(as_json: Json = False, config: Files = None) -> None:
    """List all sessions that run, or are about to."""
    from aen.cli.calling import call
    from aen.cli.output import show

    show(call(config, _live), _COLUMNS, as_json=as_json, nothing="Nothing runs.")


@group.command()
def stop(
    ids: Annotated[list[str] | None, typer.Argument(help="Their ids, as `aen session list` shows them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that run, of everybody.")] = False,
    yes: Yes = False,
    config: Files = None,
) -> None:
    """Stop sessions and wait until they are gone. Unsaved work and variables in memory are lost; files stay."""
    from aen.cli.calling import Api, call

    if bool(ids) == everything:
        raise Invalid("Say which: ids that `aen session list` shows, or --all.")
    found = call(config, _live)
    missing = [id for id in ids or () if id not in [one["id"] for one in found]]
    if missing:
        raise Invalid(f"Nothing runs by the id {missing[0]!r}. See `aen session list`.")
    chosen = [one for one in found if everything or one["id"] in (ids or ())]
    if not chosen:
        print("Nothing runs.")
        return
    for one in chosen:
        print(f"{one['title']} of {one['user'].replace('*', '') or 'the team'} in {one['project']}")
    ask_first(f"Stop {'it' if len(chosen) == 1 else f'these {len(chosen)}'} (what is unsaved in them is lost)", yes)

    def work(api: Api) -> None:
        for one in chosen:
            api.delete("sessions", one["id"])
        _until_gone(api, {str(one["id"]) for one in chosen})

    call(config, work)
    print("Stopped.")


def _live(api: Any) -> list[dict[str, Any]]:
    return [one for phase in _LIVE for one in api.all("sessions", of="all", phase=phase, limit=200)]


def _until_gone(api: Any, ids: set[str]) -> None:
    deadline = time.monotonic() + _SECONDS
    while left := ids & {str(one["id"]) for one in _live(api)}:
        if time.monotonic() > deadline:
            raise TimedOut(
                f"Still stopping: {', '.join(sorted(left))}. A node that is not heard stops them when it is back; "
                "`aen node list` shows which is."
            )
        time.sleep(0.5)
