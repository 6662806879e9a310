"""The authority's keys and what they sign: made, kept in a folder, changed without a gap."""

from __future__ import annotations

import datetime
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aen import names as words
from aen.ca.papers import Identity, Request, alternatives, key_pem, make_key, milliseconds
from aen.errors import Conflict, Invalid

CERTIFICATE_DAYS = 90
AUTHORITY_DAYS = 3650
_EARLIER = datetime.timedelta(
    days=1
)  # a certificate is good before it was made: a clock that was ahead then may be put right
_INDEX = "authority.json"


@dataclass(frozen=True)
class Issued:
    """A certificate that was made: PEM, its serial number, and when it ends (ms since 1970)."""

    certificate: bytes
    serial: int
    expires: int


@dataclass
class _Pair:
    """One key of the authority with its certificate."""

    id: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass
class Authority:
    """The authority as it lies in a folder (0700; keys 0600). More than one certificate is trusted while it changes."""

    folder: Path
    _pairs: list[_Pair] = field(default_factory=list)  # the first signs; all are trusted
    _revoked: dict[int, int] = field(default_factory=dict)  # serial → when it would have ended, ms

    @classmethod
    def load_or_make(cls, folder: Path) -> Authority:
        """The authority in `folder`, made when there is none. Raises Invalid when it can't be read."""
        return cls.load(folder) if (folder / _INDEX).exists() else cls.make(folder)

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """A new authority. Raises Conflict when there is one: the nodes that trust it would be lost."""
        if (folder / _INDEX).exists():
            raise Conflict(f"There is an authority in {folder} already.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = cls(folder)
        made._pairs.append(made._new_pair())
        made._write_index()
        return made

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The authority in `folder`. Raises Invalid when it can't be read."""
        try:
            index = json.loads((folder / _INDEX).read_text())
            pairs = [_read_pair(folder, str(id)) for id in index["trusted"]]
            revoked = {int(serial, 16): int(until) for serial, until in index["revoked"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid(
                f"AEN's own authority in {folder} can't be read ({error}). Bring the folder back from a backup: "
                "without it every node must join anew."
            ) from error
        if not pairs:
            raise Invalid(f"AEN's own authority in {folder} holds no certificate. Bring it back from a backup.")
        return cls(folder, pairs, revoked)

    def bundle(self) -> bytes:
        """PEM: every certificate that nodes are to trust."""
        return b"".join(_pem(pair.certificate) for pair in self._pairs)

    @property
    def expires(self) -> int:
        """When the certificate that signs ends, ms since 1970."""
        return milliseconds(self._pairs[0].certificate.not_valid_after_utc)

    # ── certificates ────────────────────────────────────────────────────────────────────────────────

    def issue(self, request: Request, identity: Identity, names: Sequence[str] | None = None) -> Issued:
        """A certificate for the request's key, saying that it is `identity`, reached by `names` (None: those asked for).

        Raises Invalid when the request names another node or names that are not among `names`.
        """
        if request.node != identity.node:
            raise Invalid(f"The certificate request is for another node ({request.node}) than {identity.node}.")
        if strange := set(request.names) - set(request.names if names is None else names):
            raise Invalid(f"{identity.node} may not have a certificate for {', '.join(sorted(strange))}.")
        return self._sign(request.key, identity, request.names if names is None else names)

    def own(self, identity: Identity, names: Sequence[str]) -> tuple[bytes, Issued]:
        """A new key (PEM) and its certificate, for the host that the authority lies on."""
        key = make_key()
        return key_pem(key), self._sign(key.public_key(), identity, names)

    def revoke(self, serial: int, expires: int) -> None:
        """From now on this certificate counts for nothing; `expires` (ms) says how long the list must tell it."""
        self._revoked[serial] = expires
        self._write_index()

    def revoked(self) -> frozenset[int]:
        """Serial numbers of certificates that were good once and are not any more. Those that have ended are left out."""
        return frozenset(serial for serial, until in self._revoked.items() if until > milliseconds(_now()))

    # ── the authority changes ───────────────────────────────────────────────────────────────────────

    def announce(self) -> None:
        """First step of a change: the coming certificate is trusted beside the present one, which signs on.

        Raises Conflict while another change goes on.
        """
        if len(self._pairs) > 1:
            raise Conflict("The authority is changing already.")
        self._pairs.append(self._new_pair())
        self._write_index()

    def switch(self) -> None:
        """Second step, once every node has heard of the coming one: it signs; both are trusted. Raises Conflict."""
        if len(self._pairs) != 2:
            raise Conflict("No change of the authority was announced.")
        self._pairs.reverse()
        self._write_index()

    def retire(self) -> None:
        """Last step, once every node has a certificate by the new one: the old one is trusted no more. Raises Conflict."""
        if len(self._pairs) != 2:
            raise Conflict("No change of the authority goes on.")
        old = self._pairs.pop()
        self._write_index()
        for path in _paths(self.folder, old.id):
            path.unlink(missing_ok=True)

    def tend(self, *, change_days: float, announced_days: float) -> None:
        """Take the next step of a change that is due: announced so many days before the end, and so many days after that done.

        The old certificate is trusted until everything that it signed has ended.
        """
        if len(self._pairs) == 1:
            if self.expires < _after(change_days):
                self.announce()
            return
        first, second = (pair.certificate for pair in self._pairs)
        if first.not_valid_before_utc < second.not_valid_before_utc:  # announced
            if _made(second) < _after(-announced_days):
                self.switch()
        elif _made(first) < _after(-announced_days - CERTIFICATE_DAYS - 1):
            self.retire()

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _sign(self, key: ec.EllipticCurvePublicKey, identity: Identity, names: Sequence[str]) -> Issued:
        signer = self._pairs[0]
        made = _now()
        ends = min(made + datetime.timedelta(days=CERTIFICATE_DAYS), signer.certificate.not_valid_after_utc)
        serial = x509.random_serial_number()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words.node(identity.node))]))
            .issuer_name(signer.certificate.subject)
            .public_key(key)
            .serial_number(serial)
            .not_valid_before(made - _EARLIER)
            .not_valid_after(ends)
            .add_extension(alternatives(identity, names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
            .sign(signer.key, hashes.SHA256())
        )
        return Issued(_pem(certificate), serial, milliseconds(ends))

    def _new_pair(self) -> _Pair:
        id, key, made = secrets.token_hex(4), make_key(), _now()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"AEN authority {id}")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(made - _EARLIER)
            .not_valid_after(made + datetime.timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        key_path, certificate_path = _paths(self.folder, id)
        _write(key_path, key_pem(key))
        _write(certificate_path, _pem(certificate))
        return _Pair(id, key, certificate)

    def _write_index(self) -> None:
        self._revoked = {serial: self._revoked[serial] for serial in self.revoked()}
        data: dict[str, Any] = {
            "trusted": [pair.id for pair in self._pairs],
            "revoked": {f"{serial:x}": until for serial, until in sorted(self._revoked.items())},
        }
        _write(self.folder / _INDEX, json.dumps(data, indent=1).encode() + b"\n")


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _paths(folder: Path, id: str) -> tuple[Path, Path]:
    return folder / f"{id}.key.pem", folder / f"{id}.pem"


def _read_pair(folder: Path, id: str) -> _Pair:
    key_path, certificate_path = _paths(folder, id)
    key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key_path} is not an ECDSA key")
    return _Pair(id, key, x509.load_pem_x509_certificate(certificate_path.read_bytes()))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _made(certificate: x509.Certificate) -> int:
    """When it was made, ms since 1970."""
    return milliseconds(certificate.not_valid_before_utc + _EARLIER)


def _after(days: float) -> int:
    """So many days from now, ms since 1970."""
    return milliseconds(_now() + datetime.timedelta(days=days))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _write(path: Path, data: bytes) -> None:
    """Replace the file at once, readable by us alone."""
    beside = path.with_name(path.name + ".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    beside.replace(path)
