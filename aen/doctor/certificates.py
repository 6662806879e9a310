"""Certificates, as `aen doctor` examines them: of listeners and of the node: times, chain, names, and whether the key is theirs."""

from __future__ import annotations

import datetime
import itertools
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from aen.ca import Seen, read_certificate
from aen.credentials import Credentials
from aen.doctor.findings import Finding, Patient, ok, problem, warning
from aen.errors import Invalid
from aen.model import now

_SOON = 21  # days
_DAY_MS = 86_400_000
_AGAIN = "Let it join again: `aen node invite --again --name …` on the server, and its line here."


def certificates(patient: Patient) -> Iterator[Finding]:
    """The certificates that browsers are shown."""
    config = patient.config
    for role, tls, url in (
        ("server", config.server.tls, config.server.url),
        ("gateway", config.gateway.tls, config.gateway.url),
    ):
        if role in patient.roles and tls.cert is not None and tls.key is not None:
            yield from _listener(
                f"{role}.tls", tls.cert, tls.key, urlsplit(url.replace("{project}", "*")).hostname or ""
            )


def _listener(option: str, cert: Path, key: Path, host: str) -> Iterator[Finding]:
    try:
        chain = x509.load_pem_x509_certificates(cert.read_bytes())
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        yield problem(
            option, f"can't be read: {error}", "PEM files: the chain, leaf first; the key without a passphrase."
        )
        return
    leaf, bad = chain[0], False
    if leaf.public_key() != private.public_key():
        bad = True
        yield problem(option, f"{key} is not the key of {cert}", "Put the key of this very certificate there.")
    for finding in (_times(option, leaf), _chained(option, chain), _named(option, leaf, host)):
        if finding is not None:
            bad = bad or finding.state != "ok"
            yield finding
    if not bad:
        yield ok(option, f"{host}: key, names and chain fit, good until {leaf.not_valid_after_utc:%Y-%m-%d}")


def _times(option: str, leaf: x509.Certificate) -> Finding | None:
    left = leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    renew = "Renew it: new files in place of the old ones are taken up within 5 s."
    if left.total_seconds() < 0:
        return problem(option, f"has ended on {leaf.not_valid_after_utc:%Y-%m-%d}: browsers refuse it", renew)
    if leaf.not_valid_before_utc > datetime.datetime.now(datetime.UTC):
        return problem(option, f"begins on {leaf.not_valid_before_utc:%Y-%m-%d} only", "Set the clock, or wait.")
    return warning(option, f"ends in {left.days} days", renew) if left.days < _SOON else None


def _chained(option: str, chain: list[x509.Certificate]) -> Finding | None:
    """Each is issued by the next; a leaf of an unknown issuer alone works in browsers only by luck."""
    for lower, upper in itertools.pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            return problem(
                option,
                f"{lower.subject.rfc4514_string()} is not issued by the certificate after it in the file",
                "Leaf first, then each issuer in order.",
            )
    last = chain[-1]
    if last.issuer == last.subject:
        if len(chain) == 1:
            return warning(
                option, "is self-signed: browsers and scripts warn of it", "Have one issued, or trust it everywhere."
            )
        return None
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    issuers = {x509.load_der_x509_certificate(der).subject for der in trusted}
    if issuers and last.issuer not in issuers:
        return warning(
            option,
            f"the issuer {last.issuer.rfc4514_string()} is not known to this machine and not in the file",
            "Add the intermediate certificates to the file, leaf first; a CA of the site's own must be trusted by browsers.",
        )
    return None


def _named(option: str, leaf: x509.Certificate, host: str) -> Finding | None:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = {str(name.value).lower() for name in names}
    except x509.ExtensionNotFound:
        found = set()
    wild = f"*.{host.partition('.')[2]}"
    if host.lower() in found or wild in found:
        return None
    wildcard = " (for {project} a wildcard certificate is needed)" if host.startswith("*") else ""
    return problem(
        option,
        f"is for {', '.join(sorted(found)) or 'no name'}, not for {host}{wildcard}",
        f"Have one issued for {host}.",
    )


def node_certificate(patient: Patient) -> Iterator[Finding]:
    """The certificate that this node shows other nodes; it renews itself."""
    mine, what = patient.credentials, "node certificate"
    if mine is None:
        return
    try:
        pem = mine.certificate.read_bytes()
        seen = read_certificate(pem)
        private = load_pem_private_key(mine.key.read_bytes(), None)
    except PermissionError:
        yield warning(what, f"{mine.folder} is not ours to read", "Run `aen doctor` as root or as the service account.")
        return
    except (OSError, ValueError, Invalid) as error:
        yield problem(what, f"can't be read ({error})", _AGAIN)
        return
    key_fits = x509.load_pem_x509_certificate(pem).public_key() == private.public_key()
    why = "" if key_fits else "does not belong to the key beside it"
    yield _judged(
        mine, seen, why or ("" if _signed(pem, mine.authority) else "is not signed by the authority beside it")
    )


def _judged(mine: Credentials, seen: Seen, why: str) -> Finding:
    """What is said of a node's certificate that could be read; `why`: it can't be used."""
    what, days = "node certificate", (seen.expires - now()) // _DAY_MS
    if not why and seen.serial in mine.revoked():
        why = f"was taken away: {mine.joined.node} was removed by an administrator"
    if not why and seen.expires < now():
        why = "has ended: this node was without its server for too long"
    if why:
        return problem(what, why, _AGAIN)
    if now() > seen.renew_at:
        cure = "It is renewed over the bus; look whether the bus is connected."
        return warning(what, f"ends in {days} days and is not renewed yet", cure)
    return ok(what, f"{mine.joined.node} in {mine.joined.datacenter or '-'}, good for {days} days")


def _signed(pem: bytes, authority: Path) -> bool:
    leaf = x509.load_pem_x509_certificate(pem)
    for issuer in x509.load_pem_x509_certificates(authority.read_bytes()):
        try:
            leaf.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False
