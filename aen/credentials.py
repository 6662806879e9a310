"""Credentials: what a node of a distributed installation was given when it joined, and where it keeps that."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from aen.errors import Denied, Invalid

_FACTS = "joined.json"


@dataclass(frozen=True)
class Joined:
    """What the server decided about a node when it joined."""

    node: str  # its name; on the bus it may speak under this one only
    roles: tuple[str, ...]
    datacenter: str
    server_url: str
    bus_url: str  # tls://host:port of the broker that this node talks to: the hub, or its gateway's leaf


@dataclass(frozen=True)
class Credentials:
    """A node's own folder, `<data_dir>/node` (0700): private key, certificate, AEN's authority, nkey, facts."""

    folder: Path
    joined: Joined

    @property
    def key(self) -> Path:
        """PEM, 0600: made on this host, never sent."""
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        """PEM: who this node is, by AEN's own authority; for TLS as a client and as a server."""
        return self.folder / "certificate.pem"

    @property
    def authority(self) -> Path:
        """PEM: the certificates of AEN's own authority (two while it changes)."""
        return self.folder / "authority.pem"

    @property
    def nkey(self) -> Path:
        """The nkey's seed, 0600: made on this host, never sent; what the broker knows is the public half."""
        return self.folder / "bus.nk"

    @property
    def revocations(self) -> Path:
        """The serial numbers of certificates that were taken away, as the server told them; may be missing."""
        return self.folder / "revoked.json"

    def revoked(self) -> frozenset[int]:
        """Serial numbers of certificates that count for nothing although the authority signed them."""
        try:
            return frozenset(int(serial, 16) for serial in json.loads(self.revocations.read_text()))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, TypeError) as error:
            raise Invalid(f"{self.revocations} can't be read ({error}): remove it, it is fetched again.") from error

    def keep_revoked(self, serials: Iterable[int]) -> None:
        """Keep what the server told."""
        _write(self.revocations, json.dumps([f"{serial:x}" for serial in sorted(set(serials))]).encode() + b"\n")

    def renew(self, *, certificate: bytes = b"", authority: bytes = b"") -> None:
        """Keep a new certificate (of the same key) and what is trusted from now on."""
        if authority and authority != self.authority.read_bytes():
            _write(self.authority, authority)
        if certificate:
            _write(self.certificate, certificate)

    @classmethod
    def load(cls, data_dir: Path) -> Credentials | None:
        """The credentials below `data_dir`; None when the node has not joined. Raises Invalid when they can't be read."""
        folder = data_dir / "node"
        try:
            found = json.loads((folder / _FACTS).read_text())
            return cls(folder, Joined(**{**found, "roles": tuple(found["roles"])}))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise Denied(f"{folder / _FACTS} is for root and AEN's own account alone. Try again with sudo.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Invalid(
                f"{folder / _FACTS} can't be read ({error}). Let the node join again: `aen node join`."
            ) from error

    @classmethod
    def save(
        cls, data_dir: Path, joined: Joined, *, key: bytes, certificate: bytes, authority: bytes, nkey: bytes
    ) -> Credentials:
        """Keep what a node was given. The facts are written last: without them nothing is there."""
        folder = data_dir / "node"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = cls(folder, joined)
        _write(made.key, key)
        _write(made.nkey, nkey)
        _write(made.certificate, certificate)
        _write(made.authority, authority)
        _write(folder / _FACTS, json.dumps(asdict(joined), indent=1).encode() + b"\n")
        return made


def _write(path: Path, data: bytes) -> None:
    """Replace the file at once, readable by us alone."""
    beside = path.with_name(path.name + ".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    beside.replace(path)
