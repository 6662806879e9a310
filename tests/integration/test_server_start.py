"""Starting the server: secrets, keys, TLS, the set-up code, the redirecting listener, and what stops it from starting."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from aen.bus.local import LocalBus
from aen.config import Config
from aen.errors import AenError, Invalid
from aen.roles import Context
from aen.roles.server import Server
from aen.roles.server.account.secret import secret_of
from tests.served import PASSWORD, served


def with_secret(folder: Path, secret: str) -> Config:
    config = Config.model_validate({"data_dir": str(folder)})
    server = config.server.model_copy(update={"secret_key": SecretStr(secret)})
    return config.model_copy(update={"server": server})


@pytest.mark.parametrize(
    "secret", ["short", "x" * 64, "changeme" * 8, "my-secret-key-that-is-long-enough-0123456789", "0123" * 16]
)
def test_short_and_default_secrets_are_refused(tmp_path: Path, secret: str) -> None:
    with pytest.raises(Invalid, match=r"server\.secret_key"):
        secret_of(with_secret(tmp_path, secret))


def test_a_secret_is_made_once_and_kept_for_us_alone(tmp_path: Path) -> None:
    config = with_secret(tmp_path, "")
    first = secret_of(config)
    assert len(first) >= 32
    assert secret_of(config) == first
    file = tmp_path / "secret-key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(Invalid, match="can be read by others"):
        secret_of(config)


def test_a_secret_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "secret-key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        secret_of(with_secret(tmp_path, ""))


async def test_logins_outlive_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        client = await server.browser("alice")
        cookie = next(cookie.value for cookie in client.http.cookie_jar)
        await server.person("bob")
    async with served(tmp_path, set_up=False) as again:
        client = await again.nobody(headers={"Cookie": f"aen-login={cookie}"})
        assert (await client.get("/api/v1/me")).json["name"] == "alice"


async def test_the_set_up_code_is_said_once_on_stdout_and_survives_a_restart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with served(tmp_path, set_up=False) as server:
        code = server.domain.accounts.setup_code
        said = capfd.readouterr().out
        assert code in said
        assert f"{server.url}/setup" in said
    async with served(tmp_path, set_up=False) as again:
        assert again.domain.accounts.setup_code == code
        client = await again.nobody(origin=again.url, headers={"Accept": "text/html"})
        assert (await client.get("/")).headers["Location"] in ("/setup", "/login")
        form = {"code": code.upper(), "name": "ada", "password": PASSWORD, "full_name": "Ada"}
        assert (await client.post("/setup", data=form)).status == 303
        assert (await client.get("/api/v1/me")).json["admin"] is True


async def test_https_and_the_listener_that_leads_there(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    listeners = {
        "server": socket.create_server(("127.0.0.1", 0)),
        "server.redirect": socket.create_server(("127.0.0.1", 0)),
    }
    port = listeners["server"].getsockname()[1]
    tls = {"cert": str(certificate), "key": str(key)}
    async with served(tmp_path, listeners=listeners, url=f"https://127.0.0.1:{port}", tls=tls) as server:
        await server.person("alice")
        trust = ssl.create_default_context(cafile=str(certificate))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http:
            plain = f"http://127.0.0.1:{listeners['server.redirect'].getsockname()[1]}"
            async with http.get(f"{plain}/a?b=c", allow_redirects=False) as led:
                assert (led.status, led.headers["Location"]) == (308, f"{server.url}/a?b=c")
            form = {"name": "alice", "password": PASSWORD}
            async with http.post(
                f"{server.url}/login", data=form, headers={"Origin": server.url}, allow_redirects=False
            ) as answer:
                assert answer.headers["Set-Cookie"].startswith("__Host-aen-login=")
                assert "max-age" in answer.headers["Strict-Transport-Security"]


async def test_a_bad_certificate_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("x")
    with pytest.raises(AenError, match=r"server\.tls"):
        async with served(tmp_path, tls={"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "cert.pem")}):
            pass


async def test_without_a_listener_only_the_admin_socket_answers(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        config = server.config.model_copy(update={"run_dir": server.config.run_dir / "second"})
    async with LocalBus() as bus, Server(Context(config, ("server",), bus, None, {})) as role:
        assert isinstance(role, Server)
        assert not role.domain.accounts.needs_setup()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)

    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret
