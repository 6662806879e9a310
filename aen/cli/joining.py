"""Joining, on the new host: keys are made here and stay here; what comes back is checked before anything is kept."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import random
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aen import __version__, nkeys, reaching
from aen.ca import host_name, key_pem, make_key, read_certificate, request_pem
from aen.config import Config
from aen.config.checks import split_listen
from aen.config.machine import Machine
from aen.credentials import Credentials, Joined
from aen.errors import AenError, Denied, Invalid, TimedOut, Unavailable, from_wire

_SECONDS = 60.0  # for the answer, with the look at this host in it
_KNOCK_SECONDS = 10.0
_AGAIN_SECONDS = 1.0  # between two questions, when the answer to one was lost
_CLOCK_WARN, _CLOCK_MOST = 30.0, 300.0  # seconds between the two clocks
_JOIN_PATHS = {"server": "/api/v1/join", "gateway": "/.aen/join"}


@dataclass(frozen=True)
class Place:
    """Where this host will listen, and how others reach that."""

    what: str  # broker, or compute: how the others call it
    option: str
    listen: tuple[str, int]
    address: str = ""  # as others reach it


@dataclass(frozen=True)
class Host:
    """What this host tells of itself."""

    node: str
    names: tuple[str, ...]
    places: tuple[Place, ...]

    @classmethod
    def of(cls, config: Config, machine: Machine, roles: Sequence[str], name: str, hosts: Sequence[str]) -> Host:
        """From the configuration; `name` and `hosts` are what the administrator said instead."""
        places = _places(config, roles)
        reached = tuple(host_name(each) for each in hosts) or _names(config, machine, places)
        first = f"[{reached[0]}]" if ":" in reached[0] else reached[0]
        told = tuple(
            place if place.address else replace(place, address=f"{first}:{place.listen[1]}") for place in places
        )
        return cls(name or config.compute.name, reached, told)


def _places(config: Config, roles: Sequence[str]) -> list[Place]:
    """Where the roles will listen for nodes. Beside a gateway in the same process, nobody connects to the compute role."""
    if "gateway" in roles:
        return [Place("broker", "bus.leaf_listen", split_listen(config.bus.leaf_listen))]
    return [Place("compute", "compute.listen", split_listen(config.compute.listen), config.compute.address)]


class Keys:
    """The private halves, in `<data_dir>/node`; those of a joining that was cut short are used again with the same token."""

    def __init__(self, data_dir: Path, token: str) -> None:
        self.folder = data_dir / "node.joining"
        self.key, self.seed = self._again(token) or self._new(token)

    def _again(self, token: str) -> tuple[bytes, bytes] | None:
        try:
            found = json.loads((self.folder / "keys.json").read_text())
        except (OSError, ValueError):
            return None
        return (found["key"].encode(), found["seed"].encode()) if found["token"] == _digest(token) else None

    def _new(self, token: str) -> tuple[bytes, bytes]:
        key, seed = key_pem(make_key()), nkeys.make()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        kept = json.dumps({"token": _digest(token), "key": key.decode(), "seed": seed.decode()})
        fd = os.open(self.folder / "keys.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(kept)
            file.flush()
            os.fsync(fd)
        return key, seed

    def forget(self) -> None:
        """They stand among the credentials now."""
        with contextlib.suppress(OSError):
            (self.folder / "keys.json").unlink()
            self.folder.rmdir()


def join(config: Config, host: Host, url: str, token: str, say: Callable[[str], None]) -> Credentials:
    """Join, and keep what was given. Raises AenErrors; nothing is kept then but the keys, for the next try."""
    _check_url(url, say)
    keys = Keys(config.data_dir, token)
    public = nkeys.public(keys.seed)
    body = {
        "token": token,
        "node": host.node,
        "csr": request_pem(keys.key, host.node, host.names).decode(),
        "nkey": public,
        "addresses": {place.what: place.address for place in host.places},
        "version": __version__,
    }
    with reaching.answering({place.option: place.listen for place in host.places}, public):
        before = time.time()
        given = _answered(url, body)
        after = time.time()
    _check_answer(given, token, keys, host)
    _check_clock(given["now"] / 1000, before, after, say)
    joined = Joined(given["node"], tuple(given["roles"]), given["datacenter"], given["server_url"], given["bus_url"])
    kept = Credentials.save(
        config.data_dir,
        joined,
        key=keys.key,
        certificate=given["certificate"].encode(),
        authority=given["authority"].encode(),
        nkey=keys.seed,
    )
    kept.keep_revoked(int(serial, 16) for serial in given["revoked"])
    keys.forget()
    options = {place.what: place.option for place in host.places}
    for what, why in given["unreached"].items():
        say(f"! {options.get(what, what)}: {why}. Open that port to it, or this node can't be used.")
    for line in _reachable(joined):
        say(line)
    return kept


def _answered(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask until it is known how it went: another host that joins at this moment may cost us the answer. Raises AenErrors."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return _ask(url, body)
        except TimedOut:  # the same keys may use the token again
            if time.monotonic() > deadline:
                raise
        time.sleep(_AGAIN_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - not all hosts at once


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask the server; where a gateway answers instead, ask that. Raises AenErrors."""
    last: AenError = Unavailable(f"{url} does not answer.")
    for path in _JOIN_PATHS.values():
        request = urllib.request.Request(  # noqa: S310 - http(s) only: checked before
            url.rstrip("/") + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                last = _refusal(url, error)
            if error.code not in (401, 404, 405, 421):
                raise last from None
        except (OSError, ValueError) as error:
            raise Unavailable(f"{url} does not answer ({_why(error)}). {_advice(error)}") from error
    raise last


def _refusal(url: str, error: urllib.error.HTTPError) -> AenError:
    try:
        return from_wire(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return Unavailable(f"{url} answers {error.code}, but not as AEN does: is that the address that was printed?")


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def _advice(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            "This host does not know who signed its certificate: put the authority's certificate into "
            "/usr/local/share/ca-certificates and run update-ca-certificates, or name it in SSL_CERT_FILE."
        )
    return "Check that it runs, and that no firewall is between."


def _check_url(url: str, say: Callable[[str], None]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f"{url!r} is not an address: copy the whole line that `aen node invite` printed.")
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{parts.hostname} does not resolve on this host: see /etc/hosts or your DNS.") from error
    here = all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)
    if parts.scheme == "http" and not here:
        say(f"! {url} is not HTTPS: whoever can listen between could join with this token in your place.")


def _check_answer(given: dict[str, Any], token: str, keys: Keys, host: Host) -> None:
    """What came back is by the authority that the token names, and for our key and name. Raises Denied."""
    mark = hashlib.sha256(given["authority"].encode()).hexdigest()[:32]
    if mark != token.rpartition(".")[2]:
        raise Denied(
            "What answered is not the AEN that this token is from: the authorities differ. Somebody may be between, "
            "or the invitation is older than a change of the authority: make a new one."
        )
    seen = read_certificate(given["certificate"].encode())
    fits = seen.identity.node == host.node and _same_key(given["certificate"].encode(), keys.key)
    if not fits:
        raise Denied("The certificate that came back is not for this host. Nothing was kept.")


def _same_key(certificate: bytes, key: bytes) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    mine = serialization.load_pem_private_key(key, None).public_key()
    return x509.load_pem_x509_certificate(certificate).public_key() == mine


def _check_clock(theirs: float, before: float, after: float, say: Callable[[str], None]) -> None:
    apart = max(before - theirs, theirs - after, 0.0)
    if apart > _CLOCK_MOST:
        raise Invalid(
            f"This host's clock and the server's are {apart:.0f} s apart: certificates and sign-ins would not be "
            "believed. Set it (`timedatectl set-ntp true`), then run the same line again."
        )
    if apart > _CLOCK_WARN:
        say(f"! this host's clock and the server's are {apart:.0f} s apart: set it (`timedatectl set-ntp true`).")


def _reachable(joined: Joined) -> Iterator[str]:
    """Whether the broker, and for a gateway the server, can be reached from here."""
    places = {"the bus": joined.bus_url}
    if "gateway" in joined.roles:
        places["the server"] = joined.server_url
    for what, url in places.items():
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        why = _knock(parts.hostname or "", port)
        if why:
            yield f"! {what}, {parts.hostname}:{port}, can't be reached from here ({why}): open that port."
        else:
            yield f"  {what} at {parts.hostname}:{port} can be reached"


def _knock(host: str, port: int) -> str:
    """Why nothing answers there, or an empty string. A broker that has just been told of this node may connect anew."""
    deadline = time.monotonic() + _KNOCK_SECONDS
    while True:
        try:
            socket.create_connection((host, port), reaching.SECONDS).close()
            return ""
        except (OSError, UnicodeError) as error:
            if not isinstance(error, ConnectionRefusedError) or time.monotonic() > deadline:
                return _why(error)
        time.sleep(0.2)


def _names(config: Config, machine: Machine, places: Sequence[Place]) -> tuple[str, ...]:
    """What others may call this host: what the configuration says, else its full name or outward address first."""
    listened = [place.listen[0] for place in places]
    specific = [host for host in listened if host not in ("*", "", "0.0.0.0", "::")]  # noqa: S104 - compared
    found = [urlsplit(f"//{place.address}").hostname or "" for place in places] + specific
    if len(specific) < len(listened):
        found += [machine.host, socket.gethostname()]
    names: list[str] = []
    for text in found:
        with contextlib.suppress(Invalid):
            names.append(host_name(text))
    if not names:
        raise Invalid("This host has no name that others could call it by. Say one: --host n7.example.org.")
    return tuple(dict.fromkeys(names))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
