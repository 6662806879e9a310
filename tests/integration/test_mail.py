"""Mail to a real SMTP server: what arrives, what is never sent, what is tried again, who is told of what."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from aen.errors import Denied, Invalid, Unavailable
from aen.mail import Letter, Refused, compose
from aen.model.mail import Notice
from aen.model.session import Phase, Session
from aen.roles.server.account.accounts import Profile, UserPatch
from aen.roles.server.project.projects import NewProject
from tests.served import PASSWORD, ROOT, Served, served
from tests.smtp import Box, smtp_server
from tests.waiting import until

SECRET = "mail-secret-5150"


def options(box: Box, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": box.port, "security": "none", "sender": "aen@example.org", **more}


async def person(server: Served, name: str) -> None:
    await server.person(name)
    await server.domain.accounts.update(ROOT, name, UserPatch(email=f"{name}@example.org"))


async def arrived(box: Box, count: int) -> None:
    async def there() -> bool:
        return len(box.letters) >= count

    await until(there, 20, f"{count} letters arrive")


async def test_the_test_button_shows_the_servers_answer(tmp_path: Path) -> None:
    async with (
        smtp_server(user="aen", password=SECRET) as box,
        served(tmp_path, mail=options(box, user="aen", password=SECRET)) as server,
    ):
        browser = await server.browser("root1", admin=True)
        with capture_logs() as logs:
            answer = await browser.post("/admin/mail/test", data={"to": "ops@example.org"})
        assert answer.status == 200
        assert "queued as 4711" in answer.text
        [letter] = box.letters
        assert (letter["To"], letter["From"]) == ("ops@example.org", "AEN <aen@example.org>")
        assert letter.get_body(("html",)) is not None
        assert letter.get_body(("plain",)) is not None
        assert SECRET not in str(logs)
        page = await browser.get("/admin/mail")
        assert SECRET not in page.text
        box.refuse = "550 5.1.1 no such mailbox here"
        answer = await browser.post("/admin/mail/test", data={"to": "nobody@example.org"})
        assert answer.status == 400
        assert "550 5.1.1 no such mailbox here" in answer.text
        script = await server.script("root1")
        answer = await script.post("/api/v1/admin/mail/test", {"to": "nobody@example.org"})
        assert (answer.status, "550 5.1.1" in answer.json["error"]["message"]) == (400, True)
        box.refuse = ""
        answer = await script.post("/api/v1/admin/mail/test", {"to": "ops@example.org"})
        assert "queued as 4711" in answer.json["answer"]


async def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path) -> None:
    async with (
        smtp_server(user="aen", password="right") as box,
        served(tmp_path, mail=options(box, user="aen", password=SECRET)) as server,
    ):
        with pytest.raises(Unavailable, match="535") as caught:
            await server.domain.mail.test(ROOT, "ops@example.org")
        assert SECRET not in caught.value.message
        assert not box.letters


async def test_starttls_and_a_certificate_that_nobody_signed(tmp_path: Path) -> None:
    """With starttls, nothing goes to a server that can't prove who it is."""
    async with (
        smtp_server(context=own_certificate(tmp_path)) as box,
        served(tmp_path / "s", mail=options(box, security="starttls")) as server,
    ):
        with pytest.raises(Unavailable, match="certificate"):
            await server.domain.mail.test(ROOT, "ops@example.org")
        assert not box.letters


async def test_starttls_encrypts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = own_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    async with (
        smtp_server(user="aen", password=SECRET, context=context) as box,
        served(tmp_path / "s", mail=options(box, security="starttls", user="aen", password=SECRET)) as server,
    ):
        await server.domain.mail.test(ROOT, "ops@example.org")
        assert len(box.letters) == 1  # the server takes nothing before STARTTLS, and no login without it


async def test_starttls_is_never_left_out(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box, security="starttls")) as server:
        with pytest.raises(Unavailable):
            await server.domain.mail.test(ROOT, "ops@example.org")
        assert not box.letters


@pytest.mark.parametrize(
    "to",
    [
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org, b@example.org",
        "<a@example.org>",
        "a b@example.org",
        "a@",
        "ä@example.org",
    ],
)
def test_an_address_is_one_address(to: str) -> None:
    with pytest.raises(Refused):
        compose(Letter("1", to, "Subject", "text"), "aen@example.org", "aen.test")


@pytest.mark.parametrize("subject", ["", "a\r\nBcc: b@example.org", "a\nb", "a\x00b", "x" * 400])
def test_a_subject_is_one_line(subject: str) -> None:
    with pytest.raises(Refused):
        compose(Letter("1", "a@example.org", subject, "text"), "aen@example.org", "aen.test")


async def test_what_people_name_things_adds_no_header(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box)) as server:
        await person(server, "bob")
        bob = await server.domain.accounts.find("bob")
        assert bob is not None
        evil = "x\r\nBcc: eve@example.org\r\n\r\nhello <script>alert(1)</script>"
        await server.domain.mail.tell(bob, Notice.TEAM, "About {what}", ["{what} is new"], what=evil)
        await arrived(box, 1)
        assert box.envelopes[0].rcpt_tos == ["bob@example.org"]
        assert box.letters[0]["Bcc"] is None
        html = box.letters[0].get_body(("html",))
        assert html is not None
        assert "<script>" not in html.get_content()


async def test_a_letter_waits_until_the_server_is_back(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box)) as server:
        box.refuse = "451 4.7.1 come back later"
        await server.domain.mail.write("bob@example.org", "test", "Hello", ["text"])

        async def refused() -> bool:
            waiting, _ = await server.domain.mail.waiting(ROOT)
            return bool(waiting) and waiting[0].attempts > 0 and "451" in waiting[0].error

        await until(refused, 20, "the refusal is written down")
        [waiting], _ = await server.domain.mail.waiting(ROOT)
        assert waiting.state == "waiting"
        assert waiting.text == ""  # what letters say is not for administrators
        box.refuse = ""
        script = await server.script("root1")
        [told] = (await script.get("/api/v1/admin/mail")).json["items"]
        assert (told["id"], told["state"], "text" in told, "html" in told) == (waiting.id, "waiting", False, False)
        assert (await script.post(f"/api/v1/admin/mail/{waiting.id}/again", {})).status == 204
        await arrived(box, 1)

        async def empty() -> bool:
            return not (await server.domain.mail.waiting(ROOT))[0]

        await until(empty, 20, "the outbox is empty")


async def test_a_letter_that_is_refused_for_good_keeps_no_text(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box)) as server:
        box.refuse = "550 5.1.1 unknown"
        await server.domain.mail.write("bob@example.org", "test", "Hello", ["a-link-that-opens"])

        async def given_up() -> bool:
            waiting, _ = await server.domain.mail.waiting(ROOT)
            return bool(waiting) and waiting[0].state == "failed"

        await until(given_up, 20, "it is given up")
        [failed], _ = await server.domain.mail.waiting(ROOT)
        assert "a-link-that-opens" not in str(await server.domain.store.get("mails", failed.id))


async def test_nobody_is_flooded(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box, per_hour=3)) as server:
        sent = [await server.domain.mail.write("bob@example.org", "test", "Hello", ["text"]) for _ in range(5)]
        assert sent == [True, True, True, False, False]
        assert await server.domain.mail.write("carol@example.org", "test", "Hello", ["text"])
        await arrived(box, 4)


async def test_added_to_a_team_unless_one_does_not_want_to_know(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box)) as server:
        await server.node()
        for name in ("alice", "bob", "carol"):
            await person(server, name)
        alice, carol = await server.actor("alice"), await server.browser("carol")
        answer = await carol.post("/account/notifications", data={"session": "1"})
        assert answer.status == 303
        await server.domain.projects.create(alice, NewProject(name="genome"))
        await server.domain.team.set(alice, "alice", "genome", "carol", "member")
        await server.domain.team.set(alice, "alice", "genome", "bob", "member")
        await arrived(box, 1)
        assert [letter["To"] for letter in box.letters] == ["bob@example.org"]
        body = box.letters[0].get_body(("plain",))
        assert body is not None
        assert "alice added you to the project alice/genome as member." in body.get_content()
        assert f"{server.url}/alice/genome" in body.get_content()


async def test_an_idle_session_is_told_of_before_and_after(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box)) as server:
        await person(server, "bob")
        before = Session(
            id="s",
            project="p",
            slug="bob/x",
            owner="bob",
            name="x",
            app_server="jupyter",
            app="jupyterlab",
            user="bob",
            started_by="bob",
            datacenter="main",
            node="n1",
            phase=Phase.RUNNING,
        )
        warned = before.model_copy(update={"stops_soon": 1_800_000_000_000})
        stopped = warned.model_copy(update={"phase": Phase.STOPPED, "stops_soon": 0})
        server.domain.notices.session_changed(before, warned)
        server.domain.notices.session_changed(warned, warned)
        await arrived(box, 1)
        server.domain.notices.session_changed(warned, stopped)
        await arrived(box, 2)
        assert [letter["Subject"] for letter in box.letters] == [
            "bob/x: your session is stopped soon",
            "bob/x: your session was stopped",
        ]


async def test_registration_by_domain_proves_the_address(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box), registration={"open": True}) as server:
        await server.domain.settings.set(ROOT, "server.registration.domains", ["@Example.org"])
        accounts = server.domain.accounts
        with pytest.raises(Denied, match="link"):  # typing an address proves nothing
            await accounts.sign_up("mallory", PASSWORD, profile=Profile(email="boss@example.org"))
        guest = await server.nobody(origin=server.url, headers={"Accept": "text/html"})
        answer = await guest.post("/signup/link", data={"email": "mallory@elsewhere.org"})
        assert answer.status == 400
        assert (await guest.post("/signup/link", data={"email": "New@example.org"})).status == 200
        await arrived(box, 1)
        body = box.letters[0].get_body(("plain",))
        assert body is not None
        code = body.get_content().partition("/signup?code=")[2].split()[0]
        user = await accounts.sign_up("newcomer", PASSWORD, code, Profile(email="boss@example.org"))
        assert user.email == "new@example.org"  # the address that was proved, whatever was typed
        again = await guest.post("/signup/link", data={"email": "new@example.org"})
        assert again.status == 200  # says nothing about who has an account
        assert len(box.letters) == 1


async def test_daily_report_to_administrators(tmp_path: Path) -> None:
    async with smtp_server() as box, served(tmp_path, mail=options(box)) as server:
        await person(server, "bob")
        await server.domain.accounts.update(ROOT, "root1", UserPatch(email="root1@example.org"))
        assert await server.domain.daily.send() == 1
        await arrived(box, 1)
        assert box.letters[0]["To"] == "root1@example.org"


async def test_without_a_host_nothing_is_written(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        assert not await server.domain.mail.write("bob@example.org", "test", "Hello", ["text"])
        assert not (await server.domain.mail.waiting(ROOT))[0]
        with pytest.raises(Invalid, match=r"mail\.host"):
            await server.domain.mail.test(ROOT, "ops@example.org")


def own_certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 that only `cert.pem` vouches for."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smtp.test")])
    moment = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(moment - datetime.timedelta(days=1))
        .not_valid_after(moment + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
