"""What `aen doctor` says of addresses: where they lead, and who else could answer there."""

from __future__ import annotations

import socket

import pytest

from aen.config import Config
from aen.config.machine import Machine
from aen.doctor.addresses import addresses
from aen.doctor.findings import Finding, Patient


def examined(option: str, server: dict[str, str], gateway: dict[str, str] | None = None) -> list[Finding]:
    """What is said of one option."""
    told = {"listen": "127.0.0.1:9", "url": "http://127.0.0.1:9"} | (gateway or {})
    config = Config.model_validate({"server": server, "gateway": told})
    found = addresses(Patient(config, Machine.here(), ()))
    return [finding for finding in found if finding.what == option]


@pytest.fixture
def port() -> int:
    """A port that is free at both addresses of the loopback."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        return int(probe.getsockname()[1])


def test_names_are_told_with_their_addresses(port: int) -> None:
    (said, *_) = examined("server.url", {"listen": f"*:{port}", "url": f"http://localhost:{port}"})
    assert said.state == "ok"
    assert "127.0.0.1" in f"{said.message} {said.cure}"
    (said, *_) = examined("server.url", {"listen": f"*:{port}", "url": "https://aen-no-such-host.invalid"})
    assert said.state == "problem"
    assert "does not resolve" in f"{said.message} {said.cure}"


@pytest.mark.parametrize(("ours", "other"), [("127.0.0.1", "[::1]"), ("[::1]", "127.0.0.1")])
def test_the_other_loopback_address_of_localhost(port: int, ours: str, other: str) -> None:
    server = {"listen": f"{ours}:{port}", "url": f"http://localhost:{port}"}
    said = examined("server.url", server)[1]
    assert said.state == "warning"
    assert f"{other}:{port}" in f"{said.message} {said.cure}"
    assert f"Use http://{ours}:{port} as server.url" in f"{said.message} {said.cure}"


def test_somebody_listens_there_already(port: int) -> None:
    with socket.socket(socket.AF_INET6) as neighbour:
        neighbour.bind(("::1", port))
        neighbour.listen()
        said = examined("server.url", {"listen": f"127.0.0.1:{port}", "url": f"http://localhost:{port}"})[1]
    assert said.state == "problem"
    assert "another program listens" in f"{said.message} {said.cure}"


@pytest.mark.parametrize(
    "server",
    [
        {"listen": "*:{port}", "url": "http://localhost:{port}"},  # all addresses are ours
        {"listen": "127.0.0.1:{port}", "url": "http://127.0.0.1:{port}"},
        {"listen": "unix:/run/aen/server.sock", "url": "http://localhost"},
        {"listen": "127.0.0.1:81", "url": "http://localhost:81"},  # only root could take it
    ],
)
def test_nothing_to_warn_of(port: int, server: dict[str, str]) -> None:
    told = {key: value.replace("{port}", str(port)) for key, value in server.items()}
    assert [finding.state for finding in examined("server.url", told)] == ["ok"]


def test_one_origin_for_each_project_below_localhost(port: int) -> None:
    gateway = {"listen": f"127.0.0.1:{port}", "url": f"http://{{project}}.localhost:{port}"}
    said = examined("gateway.url", {"listen": "*:9", "url": "http://localhost:9"}, gateway)
    assert [finding.state for finding in said][-1] == "warning"
    assert f"[::1]:{port}" in said[-1].message
    assert "Use " not in said[-1].message
