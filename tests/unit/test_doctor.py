"""What `aen doctor` finds: each fault is made here, and said with its cure; what is well is said so."""

from __future__ import annotations

import asyncio
import datetime
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aen.bus.local import LocalBus
from aen.ca import Authority, Identity
from aen.cli.doctor import tell
from aen.config import Config
from aen.config.machine import Machine
from aen.config.show import values
from aen.credentials import Credentials, Joined
from aen.doctor import examine, reaching, telling, worst_first
from aen.doctor.certificates import certificates, node_certificate
from aen.doctor.examinations import EXAMINATIONS
from aen.doctor.findings import ALL, Finding, Patient, problem
from aen.doctor.store import passwords, store
from aen.doctor.talking import bus
from aen.messages import ExamineNodes, NodeExamined
from aen.nkeys import make


def patient(roles: tuple[str, ...] = ALL, credentials: Credentials | None = None, **options: object) -> Patient:
    return Patient(Config.model_validate(options), Machine.here(), (), roles, credentials)


def states(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    found = list(findings)
    assert all(finding.cure for finding in found if finding.state != "ok"), found
    return [(finding.what, finding.state) for finding in found]


def pair(folder: Path, name: str, *, days: int = 90) -> tuple[Path, Path]:
    """A self-signed certificate with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=200))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(key, hashes.SHA256())
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    cert, private = folder / f"{days}.pem", folder / f"{days}.key"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


def of_listener(cert: Path, key: Path, host: str) -> list[str]:
    server = {"url": f"https://{host}", "tls": {"cert": str(cert), "key": str(key)}}
    found = list(certificates(patient(("server",), server=server)))
    assert all(finding.cure for finding in found if finding.state != "ok")
    return [f"{finding.state}: {finding.message}" for finding in found]


def test_certificates_of_listeners(tmp_path: Path) -> None:
    cert, key = pair(tmp_path, "aen.example.org")
    (said,) = of_listener(cert, key, "aen.example.org")
    assert said.startswith("warning: is self-signed")
    assert any("not for other.example.org" in said for said in of_listener(cert, key, "other.example.org"))
    _, strange = pair(tmp_path / "b", "aen.example.org")
    assert any("is not the key of" in said for said in of_listener(cert, strange, "aen.example.org"))
    soon = of_listener(*pair(tmp_path, "aen.example.org", days=3), "aen.example.org")
    assert any("ends in" in said for said in soon)
    ended = of_listener(*pair(tmp_path, "aen.example.org", days=-3), "aen.example.org")
    assert any(said.startswith("problem: has ended") for said in ended)
    (missing,) = of_listener(tmp_path / "none", key, "aen.example.org")
    assert missing.startswith("problem: can't be read")


@pytest.fixture
def joined(tmp_path: Path) -> Callable[[], Credentials]:
    authority = Authority.make(tmp_path / "authority")

    def credentials() -> Credentials:
        key, issued = authority.own(Identity("n7", ("compute",), "paris"), ["n7.example.org"])
        told = Joined("n7", ("compute",), "paris", "https://aen.example.org", "tls://127.0.0.1:1")
        return Credentials.save(
            tmp_path / "n7", told, key=key, certificate=issued.certificate, authority=authority.bundle(), nkey=make()
        )

    return credentials


def test_a_nodes_certificate(joined: Callable[[], Credentials], tmp_path: Path) -> None:
    from aen.ca import read_certificate

    mine = joined()
    assert states(node_certificate(patient(("compute",), mine))) == [("node certificate", "ok")]
    mine.keep_revoked([read_certificate(mine.certificate.read_bytes()).serial])
    (said,) = node_certificate(patient(("compute",), mine))
    assert (said.state, "was removed" in said.message) == ("problem", True)
    mine.keep_revoked([])
    mine.authority.write_bytes(Authority.make(tmp_path / "other").bundle())
    (said,) = node_certificate(patient(("compute",), mine))
    assert "not signed by the authority" in said.message
    key = mine.key.read_bytes()
    mine = joined()
    mine.key.write_bytes(key)
    (said,) = node_certificate(patient(("compute",), mine))
    assert "does not belong to the key" in said.message


def test_bus(joined: Callable[[], Credentials]) -> None:
    assert states(bus(patient())) == [("bus", "ok")]
    off = {"ops": {"listen": "off"}, "bus": {"mode": "managed"}}
    assert states(bus(patient(("compute",), None, **off))) == [("bus", "problem")]
    (said,) = bus(patient(("compute",), joined(), **off))
    assert "can't be reached" in said.message
    assert "4223" in said.cure


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("mongodb://aen:aen@db.example.org/aen", "problem"),
        ("mongodb://aen:Ba8oor7Xigheezoh3@db.example.org/aen", "ok"),
        ("mongodb://db.example.org/aen", "problem"),
        ("mongodb://127.0.0.1:27017/aen", "ok"),
    ],
)
def test_default_and_missing_passwords(url: str, state: str) -> None:
    assert states(passwords(patient(("server",), store={"url": url})))[0] == ("passwords", state)


def test_the_store(tmp_path: Path) -> None:
    path = tmp_path / "aen.db"
    assert states(store(patient(("server",), store={"url": f"sqlite://{path}"}))) == [("store", "ok")]
    path.write_bytes(b"not a database" * 100)
    assert states(store(patient(("server",), store={"url": f"sqlite://{path}"}))) == [("store", "problem")]


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    there: dict[str, Any] = {"server": {"url": "http://127.0.0.1:1"}, "gateway": {"url": "http://127.0.0.1:1"}}
    assert {state for _, state in states(reaching.answers(patient(**there)))} == {"warning"}
    outside = patient(("gateway",), **there)  # another role's address: it should be there
    assert ("server.url", "problem") in states(reaching.answers(outside))


def test_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reaching,
        "ask",
        lambda url, path: reaching.Answer(200, {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}, at=1767225600.5 + 60),
    )
    (said,) = reaching.clock(patient(("server",), server={"url": "http://127.0.0.1:1"}))
    assert (said.state, "60 s apart" in said.message) == ("problem", True)


def test_each_role_is_examined_for_what_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = {role: {look.__name__ for roles, look in EXAMINATIONS if role in roles} for role in ALL}
    assert "store" in looked["server"] - looked["gateway"] - looked["compute"]
    assert "graphics" in looked["compute"] - looked["gateway"]
    assert "websockets" in looked["gateway"] - looked["compute"] - looked["server"]


def test_a_fault_of_one_examination_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(patient: Patient) -> Iterator[Finding]:
        raise RuntimeError("a fault")

    def fine(patient: Patient) -> Iterator[Finding]:
        yield problem("x", "is wrong", "mend it")

    monkeypatch.setattr("aen.doctor.EXAMINATIONS", ((ALL, broken), (("server",), fine), (("compute",), fine)))
    found = examine(patient(("server",)))
    assert [(finding.what, finding.state) for finding in worst_first(found)] == [
        ("x", "problem"),
        ("broken", "warning"),
    ]


def test_secrets_are_masked_wherever_the_configuration_is_shown() -> None:
    config = Config.model_validate(
        {
            "store": {"url": "mongodb://aen:s3cr3t@db.example.org/aen"},
            "server": {"secret_key": "s3cr3t" * 8},
            "apps": {"x": {"command": ["x"], "env": {"TOKEN": "s3cr3t"}}},
        }
    )
    shown = json.dumps(values(config), default=str)
    assert "s3cr3t" not in shown
    assert "mongodb://aen:(hidden)@db.example.org/aen" in shown


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((), "No problems."),
        (("warning",), "No problems, 1 warning."),
        (("problem", "warning", "warning", "ok"), "1 problem, 2 warnings."),
        (("problem", "problem"), "2 problems."),
    ],
)
def test_the_last_line_counts_problems_and_warnings(
    found: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell([Finding("clock", state, "is looked at", "Do.") for state in found], as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == words


async def test_a_node_examines_itself_once_though_a_started_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    heard = asyncio.Semaphore(0)

    def look(patient: Patient) -> list[Finding]:
        looks.append(patient.roles[0])
        return [Finding("clock", "ok", "is right", "")]

    async def hear(event: NodeExamined) -> None:
        heard.release()

    monkeypatch.setattr(telling, "examine", look)
    monkeypatch.setattr(telling, "_FIRST_SECONDS", 0.0)
    async with LocalBus() as bus:
        held = bus.subscribe(NodeExamined, hear)
        async with telling.Telling(bus, patient(), "n1", None):
            await asyncio.wait_for(heard.acquire(), 30)
            await bus.publish(ExamineNodes(anew=False))  # what a server says some seconds after its start
            await asyncio.wait_for(heard.acquire(), 30)
            assert len(looks) == 1
            await bus.publish(ExamineNodes())  # what an administrator's button says
            await asyncio.wait_for(heard.acquire(), 30)
            assert len(looks) == 2
        held.cancel()


_ENDS_WITHIN_A_LOOK = """
import asyncio, threading
from aen.bus.local import LocalBus
from aen.doctor import telling

looks, never = threading.Event(), threading.Event()

def look(patient):
    looks.set()
    never.wait()

async def main():
    async with LocalBus() as bus, telling.Telling(bus, None, "n1", None):
        while not looks.is_set():
            await asyncio.sleep(0.01)

telling.examine, telling._FIRST_SECONDS = look, 0.0
asyncio.run(main())
"""


def test_an_examination_that_hangs_does_not_hold_up_the_end_of_aen() -> None:
    subprocess.run([sys.executable, "-c", _ENDS_WITHIN_A_LOOK], check=True, timeout=60)
