"""Dial: where a node's broker is, and what it shows there: address, TLS, nkey."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509

from aen import nkeys
from aen.config import Config
from aen.errors import Invalid

if TYPE_CHECKING:
    from aen.credentials import Credentials


@dataclass(frozen=True)
class Dial:
    """How to reach the bus. `given`: tls://host:port, or nats://host:port on this machine; tried in turn."""

    given: tuple[str, ...]
    credentials: Credentials | None = None
    public: bool = False  # the broker is the site's: its certificate may be by an authority that this machine knows
    own: Callable[[], str] | None = None  # this node's own broker: where it is now

    @classmethod
    def of(cls, config: Config, credentials: Credentials | None, own: Callable[[], str] | None = None) -> Dial:
        """What the configuration and the credentials say. Raises Invalid when it can't work or would be unsafe."""
        if own is not None:
            return cls((), credentials, own=own)
        given = config.bus.url or (credentials.joined.bus_url if credentials else "")
        urls = tuple(part.strip() for part in given.split(",") if part.strip())
        if not urls:
            raise Invalid("This node has not joined an installation yet: run the line that `aen node invite` printed.")
        for url in urls:
            _check(url)
        return cls(urls, credentials, config.bus.mode == "external")

    @property
    def urls(self) -> tuple[str, ...]:
        """Where to try, in turn."""
        return (self.own(),) if self.own else self.given

    @property
    def host_name(self) -> str | None:
        """The name that the broker's certificate must have, where it isn't that of its address: our own broker has ours."""
        if self.own is None or self.credentials is None:
            return None
        certificate = x509.load_pem_x509_certificate(self.credentials.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
        return found[0] if found else None

    @property
    def shown(self) -> str:
        """The addresses without what is secret in them."""
        return ", ".join(_bare(url) for url in self.urls)

    def context(self, url: str) -> ssl.SSLContext | None:
        """TLS for `url`, None without. Made for each connection: certificates are renewed meanwhile. Raises OSError."""
        if not url.startswith("tls://"):
            return None
        if self.credentials is None:
            return ssl.create_default_context()
        context = ssl.create_default_context(cafile=None if self.public else str(self.credentials.authority))
        context.load_verify_locations(self.credentials.authority)
        context.load_cert_chain(self.credentials.certificate, self.credentials.key)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def seed(self) -> bytes | None:
        """The nkey's seed, None without credentials. Raises OSError or Invalid."""
        if self.credentials is None:
            return None
        seed = self.credentials.nkey.read_bytes().strip()
        nkeys.public(seed)
        return seed


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("tls", "nats") or not parts.hostname:
        raise Invalid(f"bus.url must be like tls://nats.example.org:4222 (it is {_bare(url)!r}).")
    if parts.scheme == "nats" and not _here(parts.hostname):
        raise Invalid(
            f"bus.url {_bare(url)} has no TLS: what nodes say to each other opens people's sessions. "
            "Use tls://; nats:// is for a broker on 127.0.0.1 only."
        )


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bare(url: str) -> str:
    head, _, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://{tail}" if head else tail
