"""Cookies that are no good login: each over HTTP and WebSocket, with one origin for all projects and with one for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aen.bus.local import LocalBus
from aen.model import now
from aen.model.route import Grant, Revocation, RevocationKind
from aen.roles.gateway.admission import Doorman, Revoked
from aen.tickets import Signer
from tests.hostile.stand import request, stand
from tests.hostile.test_identity import HTTP_AND_WS
from tests.hostile.test_paths import MODES, OWN, at
from tests.unit.test_tickets import BAD

HOUR = 3_600_000
NAME = b"aen-gateway"


@dataclass
class Place:
    """A real doorman with a real server's key, at this gateway."""

    doorman: Doorman
    signer: Signer
    old: Signer  # the server's key before the one it has now
    origin: str

    def grant(self, user: str = "alice", login: str = "L1", hours: float = 1, issued: int = 0, **more: str) -> bytes:
        """What a cookie holds."""
        at = now() + issued
        said = Grant(user=user, login=login, audience=self.origin, issued=at, expires=at + int(hours * HOUR))
        return self.signer.grant(said.model_copy(update=more)).encode()

    def by_old_key(self) -> bytes:
        """Of the key before."""
        signer, self.signer = self.signer, self.old
        made, self.signer = self.grant(), signer
        return made

    def revoke(self, kind: RevocationKind, subject: str, grant: bytes) -> bytes:
        """The very grant, when that has been revoked."""
        assert self.doorman.by_grant(grant, self.origin.encode()) is not None, "it was good"
        self.doorman.revoked.take(Revocation(number=1, kind=kind, subject=subject, at=now()))
        self.doorman.end_revoked()
        return grant

    def rotated(self) -> bytes:
        """Of the key before, once that counts no more."""
        text = self.by_old_key()
        self.doorman.use_keys(self.signer.public_keys())
        return text

    def bad(self, name: str) -> bytes:
        """One of those that no verifier takes."""
        return BAD[name](self.grant().decode(), self.signer).encode()


def cookie(value: bytes) -> bytes:
    return b"Cookie: %b=%b\r\n" % (NAME, value)


def _bad(name: str) -> Callable[[Place], bytes]:
    return lambda place: cookie(place.bad(name))


MANY = b"; ".join(b"c%d=%b" % (number, b"v" * 20) for number in range(200))
#: name → (the lines that a browser sends, whether the app is reached, status)
ROWS: dict[str, tuple[Callable[[Place], bytes], int]] = {
    "good": (lambda place: cookie(place.grant()), 200),
    "good, with 200 others": (lambda place: b"Cookie: %b; %b=%b\r\n" % (MANY, NAME, place.grant()), 200),
    "good, issued by a clock one hour ahead": (lambda place: cookie(place.grant(issued=HOUR)), 200),
    "good, by a clock one hour behind": (lambda place: cookie(place.grant(issued=-HOUR, hours=2)), 200),
    "good, by the key before, while that is listed": (lambda place: cookie(place.by_old_key()), 200),
    "by the key before, once it is not": (lambda place: cookie(place.rotated()), 401),
    "ended an hour ago": (lambda place: cookie(place.grant(issued=-2 * HOUR)), 401),
    "of another gateway": (lambda place: cookie(place.grant(audience=place.origin + ":444")), 401),
    "of a sibling project": (lambda place: cookie(place.grant(audience="http://alice--other.gw.test")), 401),
    "first good, then another": (lambda place: b"Cookie: %b=%b; %b=x\r\n" % (NAME, place.grant(), NAME), 400),
    "first another, then good": (lambda place: b"Cookie: %b=x; %b=%b\r\n" % (NAME, NAME, place.grant()), 400),
    "a twin of a deeper path or parent domain": (lambda place: cookie(place.grant()) * 2, 400),
    "60 KiB": (lambda place: b"Cookie: a=%b; %b=%b\r\n" % (b"x" * 61_440, NAME, place.grant()), 431),
    "a byte in the name": (lambda place: b"Cookie: %b\xff=%b\r\n" % (NAME, place.grant()), 401),
    "a space in the name": (lambda place: b"Cookie: aen gateway=%b\r\n" % place.grant(), 401),
    "a byte in the value": (lambda place: cookie(place.grant() + b"\xff"), 401),
    "not ASCII": (lambda place: cookie("é".encode()), 401),
    "quoted": (lambda place: cookie(b'"%b"' % place.grant()), 401),
    "from before the password was changed": (
        lambda place: cookie(place.revoke(RevocationKind.USER, "alice", place.grant(issued=-HOUR, hours=3))),
        401,
    ),
    "from before signing out": (lambda place: cookie(place.revoke(RevocationKind.LOGIN, "L1", place.grant())), 401),
    **{f"{name} (no grant)": (_bad(name), 401) for name in BAD if name != "huge"},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize("name", ROWS)
async def test_only_a_good_login_of_this_very_gateway_counts(name: str, kind: bytes, mode: str, tmp_path: Path) -> None:
    make, status = ROWS[name]
    place = _place(tmp_path, mode)
    url = "http://{project}.gw.test" if mode == "host" else "http://gw.test"
    async with stand(tmp_path, url=url, admission=place.doorman) as here:
        answer = await here.one(at(mode, request(lines=kind, grant=make(place))))
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer
        assert bool(here.app.connections) is (status == 200)
        if status == 200:
            assert NAME not in here.app.got
            assert b"X-AEN-User: alice\r\n" in here.app.got


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
async def test_anothers_login_and_a_former_members_lead_to_no_app(kind: bytes, mode: str, tmp_path: Path) -> None:
    place = _place(tmp_path, mode)
    url = "http://{project}.gw.test" if mode == "host" else "http://gw.test"
    async with stand(tmp_path, url=url, admission=place.doorman) as here:
        assert (await here.one(at(mode, request(lines=kind, grant=cookie(place.grant("bob")))))).endswith(b"pages")
        here.plane.routes.expel("p1", "alice")
        assert (await here.one(at(mode, request(lines=kind, grant=cookie(place.grant()))))).endswith(b"pages")
        assert here.app.connections == []


def _place(tmp_path: Path, mode: str) -> Place:
    signer, old = Signer.load_or_make(tmp_path / "key.pem"), Signer.load_or_make(tmp_path / "old.pem")
    doorman = Doorman(LocalBus(), Revoked())
    doorman.use_keys({**signer.public_keys(), **old.public_keys()})
    return Place(doorman, signer, old, f"http://{OWN.decode()}" if mode == "host" else "http://gw.test")
