"""Calling the server: over its admin socket; with no server running, one is run without listeners for the call."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlencode

from aen.cli import Files, files, remote
from aen.errors import AenError, Conflict, Denied, Unavailable, from_wire

T = TypeVar("T")

SOCKET = "admin.sock"
_SECONDS = 60.0  # for one answer
_STARTING_SECONDS = 30.0  # a server that has the lock must answer within this


class Api:
    """The server's JSON API over the admin socket. Raises the AenErrors that the server answers with."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, *parts: str, **query: str | int) -> Any:
        return self._ask("GET", parts, query)

    def post(self, *parts: str, body: object = None) -> Any:
        return self._ask("POST", parts, body=body)

    def put(self, *parts: str, body: object = None) -> Any:
        return self._ask("PUT", parts, body=body)

    def patch(self, *parts: str, body: object = None) -> Any:
        return self._ask("PATCH", parts, body=body)

    def delete(self, *parts: str, **query: str | int) -> Any:
        return self._ask("DELETE", parts, query)

    def all(self, *parts: str, **query: str | int) -> Iterator[dict[str, Any]]:
        """Every item of a paged list."""
        cursor = ""
        while True:
            page = self.get(*parts, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next") or ""
            if not cursor:
                return

    def _ask(
        self, method: str, parts: tuple[str, ...], query: dict[str, str | int] | None = None, body: object = None
    ) -> Any:
        path = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
        connection = _Connection(self._path)
        try:
            connection.request(
                method,
                path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
            )
            answer = connection.getresponse()
            return _read(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"The server at {self._path} did not answer ({error}). See its log.") from error
        finally:
            connection.close()

    def download(self, path: Path, *parts: str) -> int:
        """Write an answer into a file (beside, then renamed: a half one is never taken for whole); its bytes."""
        beside, size = path.with_name(f".{path.name}.part"), 0
        try:
            with _answered(self._path, "GET", parts, {}, None) as answer, beside.open("wb") as file:
                if answer.status >= 400:
                    _read(answer.status, answer.read())
                while chunk := answer.read(1 << 20):
                    size += file.write(chunk)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return size

    def upload(self, path: Path, *parts: str, **query: object) -> Any:
        """Send a file as it is."""
        with path.open("rb") as file, _answered(self._path, "POST", parts, query, file) as answer:
            return _read(answer.status, answer.read())


@contextlib.contextmanager
def _answered(
    socket_path: Path, method: str, parts: tuple[str, ...], query: dict[str, object], body: BinaryIO | None
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request whose body or answer is a file. Raises Unavailable when it is cut off."""
    path = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
    connection = _Connection(socket_path)
    headers = {"Content-Type": "application/gzip"} if body is not None else {}
    try:
        connection.request(method, path + (f"?{urlencode(query)}" if query else ""), body=body, headers=headers)
        yield connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"The server at {socket_path} did not answer, or not to the end ({error}).") from error
    finally:
        connection.close()


def call(config: Files, work: Callable[[Api], T]) -> T:
    """Do `work` with the running server, or with one that is run for it under the lock of the data directory.

    With a login of `aen login` (and no configuration file named), with that server.
    """
    elsewhere = None if files(config) else remote.known()
    if elsewhere is not None:
        return remote.call(work, *elsewhere)
    from aen.config.load import load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve
    from aen.places import Lock

    loaded = load(files(config), os.environ)
    resolved = resolve(loaded.config, roles=("server",), machine=Machine.here())
    path = resolved.run_dir / SOCKET
    lock = Lock(resolved.data_dir)
    deadline = time.monotonic() + _STARTING_SECONDS
    while not _answers(path):
        if not lock.taken():
            return _alone(loaded, work)
        if time.monotonic() > deadline:
            lock.check()  # says who has it
        time.sleep(0.1)  # a server is starting (or another command stands in for one): soon it answers, or is gone
    return work(Api(path))


def wait(api: Api, job: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Wait until a job is over, or has failed once and will be tried again. Raises Conflict when it failed for good."""
    said = ""
    while job["state"] == "RUNNING" or (job["state"] == "QUEUED" and not job["attempts"]):
        if job["message"] and job["message"] != said:
            tell(job["message"])
        said = job["message"]
        time.sleep(0.2)
        job = api.get("jobs", job["id"])
    if job["state"] == "QUEUED":
        tell(f"The rest is tried again by the server (job {job['id']}).")
    elif job["state"] != "DONE":
        raise Conflict(f"The job {job['id']} ended as {job['state']}: {job['message']}")
    return job


def _answers(path: Path) -> bool:
    """Whether a server listens on the admin socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except PermissionError:
            raise Denied(
                f"Only root and AEN's own account may speak to the server at {path}. Try again with sudo."
            ) from None
        except OSError:
            return False
        return True


def _alone(loaded: Any, work: Callable[[Api], T]) -> T:
    import asyncio

    from aen import ground, log
    from aen.node import Node

    log.configure("warning", loaded.config.log.format)
    laid = ground.lay(loaded, ("server",), headless=True)

    async def run() -> T:
        node = Node(laid)
        with contextlib.redirect_stdout(sys.stderr):  # what a server says at its start is not this command's answer
            await node.__aenter__()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_exit(node)
            return await asyncio.to_thread(work, Api(laid.config.run_dir / SOCKET))

    try:
        return asyncio.run(run())
    finally:
        (laid.config.run_dir / ground.COMMAND_SOCKET).unlink(missing_ok=True)


def _read(status: int, body: bytes) -> Any:
    try:
        data = json.loads(body) if body else None
    except ValueError:
        raise Unavailable(f"The server answered {status} and no JSON. See its log.") from None
    if status < 400:
        return data
    if isinstance(data, dict) and isinstance(data.get("error"), dict):
        raise from_wire(data["error"])
    raise AenError(f"The server answered {status}.")


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._socket_path))
