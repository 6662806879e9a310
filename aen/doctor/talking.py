"""Talking, as `aen doctor` examines it: whether this node belongs, and whether its broker can be reached."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from aen.config.checks import split_listen
from aen.doctor.findings import Finding, Patient, ok, problem

_SECONDS = 5.0


def bus(patient: Patient) -> Iterator[Finding]:
    """The bus: by what the running node says of it, else by a connection to its broker."""
    mode, mine = patient.config.bus.mode, patient.credentials
    if mode == "local":
        yield ok("bus", "in this process")
        return
    if mine is None and "server" not in patient.roles:
        cure = "On the server: `aen node invite`; here the line that it prints."
        yield problem("bus", "this node has not joined an AEN", cure)
        return
    running = None if patient.inside else health(patient)
    if running is not None:
        found = running.get("parts", {}).get("bus", {})
        if found.get("status") == "ok":
            yield ok("bus", "is connected, says the running node")
        else:
            yield problem("bus", f"the running node is without it: {found.get('why') or found}", _cure(patient))
        return
    yield from _broker(patient)


def _broker(patient: Patient) -> Iterator[Finding]:
    config, mine = patient.config, patient.credentials
    urls = mine.joined.bus_url if mine is not None and config.bus.mode == "managed" else config.bus.url
    for url in filter(None, urls.split(",")):
        parts = urlsplit(url)
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 4222), _SECONDS):
                yield ok("bus", f"the broker at {url} can be reached")
        except OSError as error:
            own = "server" in patient.roles and config.bus.mode == "managed"
            if own and not patient.inside:
                yield ok("bus", "its broker starts with AEN")
            else:
                yield problem(
                    "bus", f"the broker at {url} can't be reached ({error.strerror or error})", _cure(patient)
                )


def _cure(patient: Patient) -> str:
    if patient.config.bus.mode == "external":
        return "Look at your NATS cluster, and at the firewall between."
    where = (
        "this node's data center's gateway (port 4223)" if patient.roles == ("compute",) else "the server (port 4222)"
    )
    return f"Start AEN on the host of {where}, and open that port for this host. Nothing here needs a restart then."


def health(patient: Patient) -> dict[str, Any] | None:
    """What the node that runs here says of itself; None when none does."""
    if patient.config.ops.listen == "off":
        return None
    host, port = split_listen(patient.config.ops.listen)
    connection = http.client.HTTPConnection("127.0.0.1" if host in ("*", "") else host, port or 0, timeout=_SECONDS)
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/-/health")
        found = json.loads(connection.getresponse().read())
        return found if isinstance(found, dict) else None
    return None
