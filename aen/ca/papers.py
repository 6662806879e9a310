"""What a node says to the authority and what the authority says of it: requests and certificates, made and read."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aen import names as words
from aen.errors import Invalid

RENEW_SHARE = 2 / 3  # of its life, after which a node asks for a new certificate
_LONGEST_REQUEST = 8192  # bytes of PEM
_MOST_NAMES = 20
_ROLES = ("server", "gateway", "compute")
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class Identity:
    """Who a node is: what its certificate says, and what others believe of it."""

    node: str
    roles: tuple[str, ...]
    datacenter: str = ""  # empty: of the server alone

    def uris(self) -> list[str]:
        """One URI for each role: `aen://<datacenter>/<role>/<node>`."""
        return [f"aen://{self.datacenter}/{role}/{self.node}" for role in self.roles]


@dataclass(frozen=True)
class Request:
    """What a node asks for: its own public key, proved, and the names that it is reached by."""

    node: str
    names: tuple[str, ...]
    key: ec.EllipticCurvePublicKey

    @classmethod
    def read(cls, pem: bytes) -> Request:
        """The request, checked: size, signature (the asker has the key), P-256, one common name, names of hosts only.

        Raises Invalid with what is wrong. Everything else that stands in it counts for nothing.
        """
        if len(pem) > _LONGEST_REQUEST:
            raise Invalid("The certificate request is too long.")
        try:
            found = x509.load_pem_x509_csr(pem)
            key = found.public_key()
            proved = found.is_signature_valid
            asked = _names_of(found)
            common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension) as error:
            raise Invalid("The certificate request can't be read. Make a new one: `aen node join`.") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Invalid("The certificate request holds another kind of key than ECDSA P-256.")
        if not proved:
            raise Invalid("The certificate request is not signed with its own key.")
        if len(common) != 1 or len(found.subject) != 1:
            raise Invalid("The certificate request must name the node, and nothing else.")
        return cls(words.node(str(common[0].value)), asked, key)


def make_key() -> ec.EllipticCurvePrivateKey:
    """A new private key, P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as it is kept in a file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request_pem(key: bytes, node: str, names: Sequence[str]) -> bytes:
    """The request for a certificate with this private key (PEM), for a node reached by `names`."""
    private = serialization.load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Invalid("The node's key is of another kind than ECDSA P-256. Let the node join again: `aen node join`.")
    built = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    )
    if names:
        asked = x509.SubjectAlternativeName([_general(name) for name in names])
        built = built.add_extension(asked, critical=False)
    return built.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Seen:
    """What a certificate says: whose it is, its serial number and its times (ms since 1970)."""

    identity: Identity
    serial: int
    names: tuple[str, ...]
    begins: int
    expires: int

    @property
    def renew_at(self) -> int:
        """When its node asks for a new one, ms since 1970."""
        return self.begins + int((self.expires - self.begins) * RENEW_SHARE)


def read_certificate(data: bytes) -> Seen:
    """What a certificate (PEM or DER, as TLS gives it) says. That the authority signed it is for TLS to check.

    Raises Invalid when it is none of ours.
    """
    try:
        pem = data.lstrip().startswith(b"-----")
        found = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
        node = str(found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        places = [_place(uri) for uri in extension.get_values_for_type(x509.UniformResourceIdentifier)]
    except (ValueError, IndexError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise Invalid("The certificate is not one of a node of AEN.") from error
    if not places or any((center, name) != (places[0][0], node) for center, _, name in places):
        raise Invalid("The certificate is not one of a node of AEN.")
    identity = Identity(node, tuple(role for _, role, _ in places), places[0][0])
    times = milliseconds(found.not_valid_before_utc), milliseconds(found.not_valid_after_utc)
    return Seen(identity, found.serial_number, tuple(_shown(name) for name in extension if _is_host(name)), *times)


def host_name(text: str) -> str:
    """A DNS name or address as it may stand in a certificate, in its one form. Raises Invalid."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        lower = text.lower().rstrip(".")
        if not _HOST.fullmatch(lower):
            raise Invalid(f"{text[:60]!r} is neither a host's name nor an address.") from None
        return lower


def _place(uri: str) -> tuple[str, str, str]:
    """Data center, role and node. Raises ValueError."""
    parts = urlsplit(uri)
    role, _, node = parts.path.removeprefix("/").partition("/")
    if parts.scheme != "aen" or role not in _ROLES or uri != f"aen://{parts.netloc}/{role}/{node}":
        raise ValueError("another kind of name")
    return parts.netloc, role, node


def _names_of(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    """The names that a request asks for. Raises Invalid for names of another kind than hosts."""
    try:
        asked = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    asked_names = list(asked)
    if len(asked_names) > _MOST_NAMES:
        raise Invalid(f"The certificate request asks for more than {_MOST_NAMES} names.")
    if not all(_is_host(name) for name in asked_names):
        raise Invalid("The certificate request asks for names of another kind than hosts and addresses.")
    return tuple(dict.fromkeys(host_name(_shown(name)) for name in asked_names))


def _is_host(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.DNSName) or (
        isinstance(name, x509.IPAddress) and isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address)
    )


def _shown(name: x509.GeneralName) -> str:
    return str(name.value)


def _general(name: str) -> x509.GeneralName:
    found = host_name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(found))
    except ValueError:
        return x509.DNSName(found)


def alternatives(identity: Identity, names: Sequence[str]) -> x509.SubjectAlternativeName:
    """Identity and names as they stand in a certificate. Raises Invalid."""
    if unknown := [role for role in identity.roles if role not in _ROLES]:
        raise Invalid(f"{unknown[0]!r} is not a role.")
    if identity.datacenter:
        words.node(identity.datacenter)
    uris = [x509.UniformResourceIdentifier(uri) for uri in identity.uris()]
    return x509.SubjectAlternativeName([*uris, *(_general(name) for name in names)])


def milliseconds(moment: datetime.datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp() * 1000)
