"""`aen login` and `aen logout`: a server elsewhere, which the other commands then speak to as the person of a token."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from aen.cli import app
from aen.errors import Invalid

T = TypeVar("T")
_MOST = 4096  # bytes of the file


def place() -> Path:
    """Where the login is kept: `aen/login.json` in the person's configuration directory."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "aen" / "login.json"


@app.command()
def login(
    url: Annotated[str, typer.Argument(help="The server's address, as https://aen.example.org.")],
    token_stdin: Annotated[
        bool,
        typer.Option("--token-stdin", help="Read the token from standard input; so too where that is no terminal."),
    ] = False,
) -> None:
    """Sign in to a server elsewhere with an API token: `user`, `project` and other commands then speak to it.

    The token is asked for, or read from standard input: aen login URL --token-stdin < FILE
    """
    from aen.client import Client

    url = url.rstrip("/")
    if token_stdin or not sys.stdin.isatty():
        token = sys.stdin.readline().strip()
    else:
        print(f"Make an API token at {url}/account/tokens and paste it here (it is not shown).")
        token = typer.prompt("Token", hide_input=True).strip()
    if not token:
        raise Invalid("That is no token: it is empty. Paste one, or give it on standard input with --token-stdin.")
    with Client(url, token) as client:
        name = client.get_me().name
    _keep({"url": url, "token": token})
    print(f"Signed in to {url} as {name}. `aen logout` forgets it.")


@app.command()
def logout() -> None:
    """Forget the server of `aen login`. The token itself ends on the page of API tokens."""
    if not place().exists():
        print("There was no login.")
        return
    place().unlink(missing_ok=True)
    print("Forgotten. The token itself ends on the server's page of API tokens.")


def known() -> tuple[str, str] | None:
    """The address and token of AEN_URL and AEN_TOKEN, else of `aen login`; None when there are none. Raises Invalid."""
    if os.environ.get("AEN_URL") and os.environ.get("AEN_TOKEN"):
        return os.environ["AEN_URL"], os.environ["AEN_TOKEN"]
    path = place()
    try:
        if path.stat().st_mode & 0o077:
            raise Invalid(
                f"{path} can be read by others: chmod 600 it, and make a new token, since this one may be known."
            )
        found = json.loads(path.read_bytes()[:_MOST])
        return str(found["url"]), str(found["token"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise Invalid(f"{path} can't be read. Sign in again: aen login URL") from None


def call(work: Callable[[Any], T], url: str, token: str) -> T:
    """Do `work` with the server at `url`."""
    from aen.cli.calling import Api
    from aen.client import Client

    class Remote(Api):
        """The same questions, by the network."""

        def __init__(self, client: Client) -> None:
            self._client = client

        def _ask(
            self, method: str, parts: tuple[str, ...], query: dict[str, str | int] | None = None, body: object = None
        ) -> Any:
            answer = self._client.request(method, *parts, query=dict(query or {}), body=body)
            return json.loads(answer) if answer else None

    with Client(url, token) as client:
        return work(Remote(client))


def _keep(told: dict[str, str]) -> None:
    """Write the file, for its owner alone, whole or not at all."""
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(told, file)
    fresh.replace(path)
