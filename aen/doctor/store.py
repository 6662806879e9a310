"""The store and passwords, as `aen doctor` examines them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aen.doctor.findings import Finding, Patient, ok, problem, warning
from aen.languages import size

_SECONDS = 5
_SHORTEST = 12  # characters of a password that machines type
_HERE = ("127.0.0.1", "localhost", "[::1]")
#: Passwords that stand in samples and images.
_DEFAULTS = frozenset("aen admin changeme default example guest mongo mongodb nats password root secret test".split())


def store(patient: Patient) -> Iterator[Finding]:
    """Whether the store answers, and is one that keeps what it acknowledged."""
    url = patient.config.store.url
    if url.startswith("mongodb"):
        yield from _mongo(url)
        return
    path = Path("/" + urlsplit(url).path.lstrip("/"))
    if not path.exists():
        yield ok("store", f"{path} is made at the first start")
        return
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_SECONDS)) as opened:
            opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        cure = "Run as the account that starts AEN; `aen store check` reads everything."
        yield problem("store", f"{path} can't be read ({error})", cure)
        return
    yield ok("store", f"SQLite at {path} ({size(path.stat().st_size)})")
    if patient.config.bus.mode == "external":
        yield warning(
            "store",
            "SQLite serves one server only",
            "For several servers move it: `aen store copy current env:AEN_TARGET`, with a mongodb:// address.",
        )


def _mongo(url: str) -> Iterator[Finding]:
    from aen.store.mongo_look import look  # its library is an extra

    told = look(url, _SECONDS)
    cure = "Check that it runs (`systemctl status mongod`), its port in the firewall, and the hosts in store.url."
    if told.why:
        yield problem("store", f"MongoDB does not answer: {told.why}", cure)
    elif told.stand_in:
        yield problem(
            "store",
            f"what answers is no MongoDB but a stand-in ({told.version}): for tests only",
            "Set store.url to a MongoDB replica set.",
        )
    elif not told.replica_set:
        yield warning(
            "store",
            f"MongoDB {told.version} is a standalone server: a crash of its host can lose it all",
            "Make it a replica set of three: `rs.initiate()`, and name it in store.url (?replicaSet=…).",
        )
    else:
        yield ok("store", f"MongoDB {told.version}, replica set {told.replica_set}, {told.members} members")


def passwords(patient: Patient) -> Iterator[Finding]:
    """Default and short secrets."""
    config, what = patient.config, "passwords"
    weak = []
    for option, url in (("store.url", config.store.url), ("bus.url", config.bus.url)):
        for part in url.split(",") if option == "bus.url" else [url]:
            found = _password(part)
            if found is not None and (found.lower() in _DEFAULTS or len(found) < _SHORTEST):
                weak.append(option)
    key = config.server.secret_key.get_secret_value()
    if key and len(set(key)) < 10:
        weak.append("server.secret_key")
    if "server" in patient.roles and _open_to_all(config.store.url):
        yield problem(
            what,
            "store.url has no user and password: whoever reaches that MongoDB has everything",
            "Make a user with readWrite on that database alone, and put it into store.url.",
        )
    if weak:
        yield problem(
            what,
            f"{', '.join(weak)}: the secret is a well-known or short one",
            "Set one made by `openssl rand -hex 24`.",
        )
    else:
        yield ok(what, "no default or short secret is configured")


def _password(url: str) -> str | None:
    login, at, _ = url.partition("://")[2].partition("/")[0].rpartition("@")
    return unquote(login.partition(":")[2]) if at else None


def _open_to_all(url: str) -> bool:
    """A MongoDB on another machine that lets in anybody."""
    if not url.startswith("mongodb") or _password(url) is not None:
        return False
    hosts = url.partition("://")[2].partition("/")[0].split(",")
    return any(host.removesuffix(f":{host.rpartition(':')[2]}") not in _HERE for host in hosts)
