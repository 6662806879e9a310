"""Tickets and grants: what is accepted, and everything near it that is not."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from aen.errors import Invalid, NotSignedIn
from aen.model.route import Grant
from aen.tickets import Signer, Verifier, hash_nonce

HERE = "https://gateway.example.org"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.load_or_make(tmp_path / "key.pem")


def grant(seconds: int = 3600) -> Grant:
    now = time.time_ns() // 1_000_000
    return Grant(user="alice", login="L1", audience=HERE, issued=now, expires=(now // 1000 + seconds) * 1000)


def test_a_grant_comes_back_as_it_was(signer: Signer) -> None:
    sent = grant()
    assert Verifier(signer.public_keys()).grant(signer.grant(sent), HERE) == sent


def test_a_ticket_comes_back_as_it_was(signer: Signer) -> None:
    claims = Verifier(signer.public_keys()).ticket(signer.ticket("alice", "L1", HERE, hash_nonce("n")), HERE)
    assert (claims.user, claims.login, claims.nonce_hash) == ("alice", "L1", hash_nonce("n"))
    assert 0 < claims.expires - time.time() * 1000 <= 30_000


def test_every_ticket_has_an_id_of_its_own(signer: Signer) -> None:
    verifier = Verifier(signer.public_keys())
    ids = {verifier.ticket(signer.ticket("a", "L", HERE, ""), HERE).id for _ in range(20)}
    assert len(ids) == 20


def test_the_key_is_kept_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"
    first, second = Signer.load_or_make(path), Signer.load_or_make(path)
    assert first.public_keys() == second.public_keys()
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["key.pem"]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    Signer.load_or_make(path)
    path.chmod(0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        Signer.load_or_make(path)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.touch(0o600)
    with pytest.raises(Invalid, match="not a private key"):
        Signer.load_or_make(path)


def _part(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


def _unsigned(text: str, algorithm: str) -> str:
    header = {**jwt.get_unverified_header(text), "alg": algorithm}
    return ".".join([_part(header), text.split(".")[1], ""])


def _by_hmac(text: str, signer: Signer) -> str:
    """Signed with the public key taken as a shared secret (the classic confusion)."""
    claims = jwt.decode(text, options={"verify_signature": False})
    secret = next(iter(signer.public_keys().values())).replace("PUBLIC KEY", "SECRET")
    return jwt.encode(claims, secret, "HS256", headers={"kid": signer.kid, "typ": "aen-grant+jwt"})


def _by_other_curve(text: str, signer: Signer) -> str:
    claims = jwt.decode(text, options={"verify_signature": False})
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims, key, "ES256", headers={"kid": signer.kid, "typ": "aen-grant+jwt"})


def _flipped(text: str) -> str:
    head, body, mac = text.split(".")
    return f"{head}.{body}.{'A' if mac[0] != 'A' else 'B'}{mac[1:]}"


BAD: dict[str, Callable[[str, Signer], str]] = {
    "empty": lambda text, signer: "",
    "words": lambda text, signer: "not a token",
    "dots": lambda text, signer: "..",
    "unsigned none": lambda text, signer: _unsigned(text, "none"),
    "unsigned None": lambda text, signer: _unsigned(text, "None"),
    "unsigned EdDSA": lambda text, signer: _unsigned(text, "EdDSA"),
    "hmac": _by_hmac,
    "other curve": _by_other_curve,
    "tampered": lambda text, signer: _flipped(text),
    "truncated": lambda text, signer: text[:-5],
    "huge": lambda text, signer: text + "A" * 70_000,
    "non-ASCII": lambda text, signer: text + "é",
    "expired": lambda text, signer: signer.grant(grant(-1)),
    "a ticket": lambda text, signer: signer.ticket("alice", "L1", HERE, ""),
    "other audience": lambda text, signer: signer.grant(grant().model_copy(update={"audience": HERE + ".evil"})),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_good_grant_is_refused(name: str, signer: Signer) -> None:
    bad = BAD[name](signer.grant(grant()), signer)
    with pytest.raises(NotSignedIn):
        Verifier(signer.public_keys()).grant(bad, HERE)


def test_a_grant_is_no_ticket(signer: Signer) -> None:
    with pytest.raises(NotSignedIn):
        Verifier(signer.public_keys()).ticket(signer.grant(grant()), HERE)


def test_another_servers_grant_is_refused(signer: Signer, tmp_path: Path) -> None:
    other = Signer.load_or_make(tmp_path / "other.pem")
    with pytest.raises(NotSignedIn):
        Verifier(signer.public_keys()).grant(other.grant(grant()), HERE)


def test_old_keys_count_while_they_are_listed(signer: Signer, tmp_path: Path) -> None:
    new = Signer.load_or_make(tmp_path / "new.pem")
    both = Verifier({**signer.public_keys(), **new.public_keys()})
    assert both.grant(signer.grant(grant()), HERE).user == "alice"
    assert both.grant(new.grant(grant()), HERE).user == "alice"
