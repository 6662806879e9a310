"""SSH keys as people paste them."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from aen import sshkeys
from aen.errors import Invalid

BODY = "AAAAC3NzaC1lZDI1NTE5AAAAIOao0n5uNK+I6pENBOkngKHuAZl2tb4E5vXSDdq7Oo7o"
GOOD = f"ssh-ed25519 {BODY}"


def test_a_good_key() -> None:
    key = sshkeys.parse(f"  {GOOD} me@my laptop ")
    assert key.line == GOOD
    assert key.comment == "me@my laptop"
    assert key.fingerprint.startswith("SHA256:")
    assert sshkeys.parse(key.line) == key._replace(comment="")


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_what_ssh_keygen_makes(tmp_path: Path, kind: str) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "a b", "-f", file], check=True)
    key = sshkeys.parse(file.with_suffix(".pub").read_text().strip())
    shown = subprocess.run(["ssh-keygen", "-l", "-f", file], check=True, capture_output=True, text=True).stdout
    assert shown.split()[1] == key.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        GOOD + "\n" + GOOD,
        f'command="/bin/sh" {GOOD}',
        f"no-pty,{GOOD}",
        f"ssh-dss {BODY}",
        f"ssh-rsa {BODY}",
        "ssh-ed25519 " + BODY[:-8],
        "ssh-ed25519 " + BODY + "=" * 3,
        f"ssh-ed25519 {BODY} comment\x1b[2J",
        f"ssh-ed25519 {BODY}\0",
        "ssh-ed25519 " + base64.b64encode(b"\xff\xff\xff\xffssh-ed25519").decode(),
        GOOD + " " + "x" * 9000,
    ],
)
def test_bad_keys(text: str) -> None:
    with pytest.raises(Invalid):
        sshkeys.parse(text)


def test_private_keys_are_named_as_such() -> None:
    with pytest.raises(Invalid, match="private key"):
        sshkeys.parse("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_short_rsa() -> None:
    def part(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    body = part(b"ssh-rsa") + part(b"\x01\x00\x01") + part(b"\x00" + b"\xff" * 128)
    with pytest.raises(Invalid, match="2048 bits"):
        sshkeys.parse("ssh-rsa " + base64.b64encode(body).decode())
