"""A real slapd on a free port, with people, groups and a certificate of its own; nothing of it is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ports import free_ports
from tests.waiting import until

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
needs_slapd = pytest.mark.skipif(SLAPD is None, reason="slapd is not installed: ./dev test installs it where it may")
BASE = "dc=example,dc=org"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reads everything"

_CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile {folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
TLSCACertificateFile {folder}/cert.pem
# As many servers in the field: a bind with a name and no password is let in as nobody.
allow bind_anon_cred bind_anon_dn
database mdb
maxsize 16777216
suffix "{base}"
rootdn "cn=admin,{base}"
rootpw admin
directory {folder}/db
index objectClass,uid eq
"""

_PEOPLE = f"""
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{BASE}
objectClass: organizationalUnit
ou: groups

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}

"""


def person(name: str, password: str, full_name: str = "", email: str = "") -> str:
    """A person as LDIF."""
    return (
        f"dn: uid={name},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {full_name or name}\nsn: {name}\n"
        f"mail: {email or name.lower() + '@example.org'}\nuserPassword: {password}\n\n"
    )


def group(name: str, *members: str) -> str:
    """A group as LDIF."""
    lines = "".join(f"member: uid={member},ou=people,{BASE}\n" for member in members)
    return f"dn: cn={name},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {name}\n{lines}\n"


@dataclass
class Slapd:
    """A running directory."""

    folder: Path
    port: int
    tls_port: int

    @property
    def url(self) -> str:
        return f"ldap://localhost:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://localhost:{self.tls_port}"

    def options(self, **more: object) -> dict[str, object]:
        """The section `server.login.ldap` that fits."""
        return {
            "servers": [self.url],
            "ca": str(self.folder / "cert.pem"),
            "bind_dn": READER,
            "bind_password": READER_PASSWORD,
            "base": BASE,
            **more,
        }

    async def change(self, ldif: str) -> None:
        """Changes as LDIF, by ldapmodify's own rules (`changetype:`)."""
        await _tool("ldapmodify", "-H", self.url, "-D", f"cn=admin,{BASE}", "-w", "admin", stdin=ldif)


@contextlib.asynccontextmanager
async def slapd(folder: Path, ldif: str) -> AsyncIterator[Slapd]:
    """A directory that holds `ldif` below BASE."""
    assert SLAPD is not None
    (folder / "db").mkdir(parents=True)
    _certificate(folder)
    (folder / "slapd.conf").write_text(_CONF.format(folder=folder, base=BASE))
    ports = free_ports(2)
    urls = f"ldap://127.0.0.1:{ports[0]}/ ldaps://127.0.0.1:{ports[1]}/"
    (folder / "people.ldif").write_text(_PEOPLE + ldif)
    await _tool(SLAPD, "-T", "add", "-f", str(folder / "slapd.conf"), "-l", str(folder / "people.ldif"))
    with (folder / "slapd.log").open("wb") as log:
        argv = (SLAPD, "-d", "0", "-f", str(folder / "slapd.conf"), "-h", urls)
        process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
        try:
            await until(lambda: _answer(ports), 20, "slapd answers")
            yield Slapd(folder, *ports)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _answer(ports: list[int]) -> bool:
    for port in ports:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
    return True


async def _tool(*argv: str, stdin: str = "") -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate(stdin.encode())
    assert process.returncode == 0, said.decode()


def _certificate(folder: Path) -> None:
    """A certificate for localhost, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    ssl.create_default_context(cafile=str(folder / "cert.pem"))  # it is readable
