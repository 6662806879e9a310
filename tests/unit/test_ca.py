"""AEN's own authority: what it signs, what it refuses, how it changes, and that OpenSSL itself believes the same."""

from __future__ import annotations

import datetime
import socket
import ssl
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from aen.ca import Authority, Identity, Issued, Request, host_name, key_pem, make_key, read_certificate, request_pem
from aen.errors import Conflict, Invalid

N7 = Identity("n7", ("compute",), "paris")
EDGE = Identity("edge", ("gateway",), "paris")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "authority")


def asked(node: str = "n7", names: Sequence[str] = ("n7.example.org", "10.0.0.7")) -> Request:
    return Request.read(request_pem(key_pem(make_key()), node, names))


def csr(
    key: object = None,
    *,
    subject: Sequence[tuple[x509.ObjectIdentifier, str]] = ((NameOID.COMMON_NAME, "n7"),),
    alternatives: Sequence[x509.GeneralName] = (),
) -> bytes:
    """A request as an attacker builds it, without our own code."""
    built = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    )
    if alternatives:
        built = built.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    signing = key or make_key()
    algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return built.sign(signing, algorithm).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]


def test_certificate_says_what_the_server_decided(authority: Authority) -> None:
    issued = authority.issue(asked(), N7)
    seen = read_certificate(issued.certificate)
    assert (seen.identity, seen.serial, seen.expires) == (N7, issued.serial, issued.expires)
    assert set(seen.names) == {"n7.example.org", "10.0.0.7"}
    found = x509.load_pem_x509_certificate(issued.certificate)
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.UniformResourceIdentifier) == ["aen://paris/compute/n7"]
    life = found.not_valid_after_utc - found.not_valid_before_utc
    assert life == datetime.timedelta(days=91)  # a day of it before it was made
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert seen.begins < seen.renew_at < seen.expires


def test_what_else_a_request_asks_for_counts_for_nothing(authority: Authority) -> None:
    built = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n7")])
    )
    wish = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    request = Request.read(wish.sign(make_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    made = x509.load_pem_x509_certificate(authority.issue(request, N7).certificate)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not made.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


BAD = {
    "nothing": b"",
    "no PEM": b"\x00\xff" * 40,
    "a certificate's frame around nothing": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    "huge": csr(alternatives=[x509.DNSName(f"{'a' * 60}.{n}.example.org") for n in range(500)]),
    "many names": csr(alternatives=[x509.DNSName(f"n{n}") for n in range(21)]),
    "RSA": csr(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "RSA 1024": csr(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    "Ed25519": csr(ed25519.Ed25519PrivateKey.generate()),
    "P-384": csr(ec.generate_private_key(ec.SECP384R1())),
    "no subject": csr(subject=()),
    "two common names": csr(subject=((NameOID.COMMON_NAME, "n7"), (NameOID.COMMON_NAME, "server"))),
    "more than a name": csr(subject=((NameOID.COMMON_NAME, "n7"), (NameOID.ORGANIZATION_NAME, "AEN"))),
    "no name of a node": csr(subject=((NameOID.COMMON_NAME, "../n7"),)),
    "upper case": csr(subject=((NameOID.COMMON_NAME, "N7"),)),
    "another role by URI": csr(alternatives=[x509.UniformResourceIdentifier("aen://paris/gateway/n7")]),
    "mail": csr(alternatives=[x509.RFC822Name("a@example.org")]),
    "wildcard": csr(alternatives=[x509.DNSName("*.example.org")]),
    "every name": csr(alternatives=[x509.DNSName("*")]),
    "NUL in a name": csr(alternatives=[x509.DNSName("server.example.org\0.evil.example")]),
    "blank": csr(alternatives=[x509.DNSName("a b")]),
}


@pytest.mark.parametrize("pem", BAD.values(), ids=BAD)
def test_hostile_requests_are_refused(pem: bytes) -> None:
    with pytest.raises(Invalid):
        Request.read(pem)


def test_rsa_512_is_refused() -> None:
    # Made by OpenSSL: the library that we use refuses to make such keys.
    pem = b"""-----BEGIN CERTIFICATE REQUEST-----
MIHGMHICAQAwDTELMAkGA1UEAwwCbjcwXDANBgkqhkiG9w0BAQEFAANLADBIAkEA
uMMLlueIepXDDqD+y383HykXYbJ1my2QemLAQ6vf9bxpEHAR5ueTJMS+0mqcwWKV
BojsuO7dQhvA74thrCCaLQIDAQABoAAwDQYJKoZIhvcNAQELBQADQQAnmhrL9yMa
ki3dTh+9fLiSL46/D37rUuZhWfL8BtuaoyHHvUD1y366d/he8Zhj9A5vV7Hp6Py/
he7P3b8gNE5/
-----END CERTIFICATE REQUEST-----
"""
    with pytest.raises(Invalid):
        Request.read(pem)


def test_signature_must_be_by_the_requests_own_key() -> None:
    """Somebody else's public key put into a request: the signature can't be made without its private half."""
    victim, attacker = make_key(), make_key()
    der = x509.load_pem_x509_csr(csr(attacker)).public_bytes(serialization.Encoding.DER)
    public = [
        key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        for key in (attacker, victim)
    ]
    forged = x509.load_der_x509_csr(der.replace(public[0], public[1])).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(Invalid, match="not signed"):
        Request.read(forged)


def test_request_for_another_node_is_refused(authority: Authority) -> None:
    with pytest.raises(Invalid, match="another node"):
        authority.issue(asked("n8"), N7)


def test_names_beyond_those_allowed_are_refused(authority: Authority) -> None:
    with pytest.raises(Invalid, match=r"server\.example\.org"):
        authority.issue(asked(names=["n7.example.org", "server.example.org"]), N7, ["n7.example.org"])
    only = authority.issue(asked(names=["n7.example.org"]), N7, ["n7.example.org", "10.0.0.7"])
    assert set(read_certificate(only.certificate).names) == {"n7.example.org", "10.0.0.7"}


@pytest.mark.parametrize(
    "identity", [Identity("n7", ("root",), "paris"), Identity("n7", ("compute",), "a/b")], ids=["role", "data center"]
)
def test_identities_that_do_not_exist_are_never_signed(authority: Authority, identity: Identity) -> None:
    with pytest.raises(Invalid):
        authority.issue(asked(), identity)


def test_keys_are_for_their_owner_only(authority: Authority) -> None:
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in authority.folder.iterdir()} == {0o600}


def test_authority_is_never_made_over_another(authority: Authority) -> None:
    with pytest.raises(Conflict):
        Authority.make(authority.folder)
    assert Authority.load_or_make(authority.folder).bundle() == authority.bundle()


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"trusted": [], "revoked": {}}', '{"trusted": ["x"], "revoked": {}}']
)
def test_broken_authority_is_said(authority: Authority, content: str) -> None:
    (authority.folder / "authority.json").write_text(content)
    with pytest.raises(Invalid, match="backup"):
        Authority.load_or_make(authority.folder)


def test_revoked_serials_outlive_a_restart_and_end_with_the_certificate(authority: Authority) -> None:
    issued = authority.issue(asked(), N7)
    authority.revoke(issued.serial, issued.expires)
    authority.revoke(5, 1)  # ended in 1970
    assert authority.revoked() == {issued.serial}
    assert Authority.load(authority.folder).revoked() == {issued.serial}


@pytest.mark.parametrize("text", ["", "a b", "*.a", "-a", "a..b", "a" * 64, "a\nb", "http://a", "a/b", "1.2.3.4/8"])
def test_host_names_that_are_none(text: str) -> None:
    with pytest.raises(Invalid):
        host_name(text)


def test_host_names_have_one_form() -> None:
    assert [host_name(text) for text in ("N7.Example.Org.", "0:0::1", "10.0.0.7")] == [
        "n7.example.org",
        "::1",
        "10.0.0.7",
    ]


@pytest.mark.parametrize("data", [b"", b"-----BEGIN CERTIFICATE-----", b"\x30\x03"], ids=["empty", "frame", "DER"])
def test_certificates_that_are_none(data: bytes) -> None:
    with pytest.raises(Invalid):
        read_certificate(data)


# ── as OpenSSL sees it ──────────────────────────────────────────────────────────────────────────────


class Party:
    """One end of a TLS connection."""

    def __init__(self, folder: Path, authority: bytes, key: bytes, issued: Issued) -> None:
        folder.mkdir()
        (folder / "key").write_bytes(key)
        (folder / "certificate").write_bytes(issued.certificate)
        (folder / "authority").write_bytes(authority)
        self.folder = folder

    def context(self, *, server: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(self.folder / "authority")
        context.load_cert_chain(self.folder / "certificate", self.folder / "key")
        return context


def party(tmp_path: Path, authority: Authority, identity: Identity, names: Sequence[str], trusts: bytes = b"") -> Party:
    key, issued = authority.own(identity, names)
    return Party(tmp_path / f"party-{len(list(tmp_path.iterdir()))}", trusts or authority.bundle(), key, issued)


def meet(client: Party, server: Party, name: str) -> bytes:
    """Shake hands over a socket pair; the server's view of the client's certificate. Raises SSLError."""
    ours, theirs = socket.socketpair()
    found: list[bytes | Exception] = []

    def serve() -> None:
        try:
            with server.context(server=True).wrap_socket(theirs, server_side=True) as tls:
                found.append(tls.getpeercert(binary_form=True) or b"")
                tls.recv(1)
        except (ssl.SSLError, OSError) as error:
            found.append(error)
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.context(server=False).wrap_socket(ours, server_hostname=name) as tls:
            tls.sendall(b".")
    finally:
        ours.close()
        thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def test_two_nodes_believe_each_other(authority: Authority, tmp_path: Path) -> None:
    gateway = party(tmp_path, authority, EDGE, ["edge.example.org"])
    node = party(tmp_path, authority, N7, ["n7.example.org", "10.0.0.7", "fd00::7"])
    for name in ("n7.example.org", "10.0.0.7", "fd00::7"):
        assert read_certificate(meet(gateway, node, name)).identity == EDGE


def test_wrong_name_is_refused(authority: Authority, tmp_path: Path) -> None:
    gateway, node = party(tmp_path, authority, EDGE, []), party(tmp_path, authority, N7, ["n7.example.org"])
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(gateway, node, "n8.example.org")


def test_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority.make(tmp_path / "other")
    stranger = party(tmp_path, other, EDGE, [], trusts=authority.bundle())
    node = party(tmp_path, authority, N7, ["n7.example.org"])
    with pytest.raises(ssl.SSLError):
        meet(stranger, node, "n7.example.org")


def test_a_nodes_certificate_signs_nothing(authority: Authority, tmp_path: Path) -> None:
    """A node that uses its own key as if it were an authority is not believed."""
    key, issued = authority.own(N7, [])
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    mine, issuer = make_key(), x509.load_pem_x509_certificate(issued.certificate)
    moment = datetime.datetime.now(datetime.UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge")]))
        .issuer_name(issuer.subject)
        .public_key(mine.public_key())
        .serial_number(7)
        .not_valid_before(moment - datetime.timedelta(hours=1))
        .not_valid_after(moment + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("aen://paris/gateway/edge")]), critical=False
        )
        .sign(private, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    chain = Issued(forged + issued.certificate, 7, issued.expires)
    stranger = Party(tmp_path / "stranger", authority.bundle(), key_pem(mine), chain)
    with pytest.raises(ssl.SSLError):
        meet(stranger, party(tmp_path, authority, N7, ["n7.example.org"]), "n7.example.org")


def test_authority_changes_without_a_gap(authority: Authority, tmp_path: Path) -> None:
    before = authority.bundle()
    old = party(tmp_path, authority, N7, ["n7"])
    authority.announce()
    assert before in authority.bundle()
    both = party(tmp_path, authority, EDGE, ["edge"])  # has heard of the coming one, signed by the present one
    assert meet(old, both, "edge")  # who has not heard of the coming one still believes it
    authority.switch()
    fresh = party(tmp_path, Authority.load(authority.folder), Identity("n8", ("compute",), "paris"), ["n8"])
    assert meet(both, fresh, "n8")
    assert meet(fresh, both, "edge")
    authority.retire()
    assert before not in authority.bundle()
    after = party(tmp_path, Authority.load(authority.folder), EDGE, ["edge"])
    assert meet(fresh, after, "edge")
    with pytest.raises(ssl.SSLError):
        meet(old, after, "edge")
    assert len(list(authority.folder.glob("*.pem"))) == 2  # the old key is gone


def test_steps_of_a_change_keep_their_order(authority: Authority) -> None:
    with pytest.raises(Conflict):
        authority.switch()
    with pytest.raises(Conflict):
        authority.retire()
    authority.announce()
    with pytest.raises(Conflict):
        authority.announce()
