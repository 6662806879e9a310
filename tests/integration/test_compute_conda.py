"""A project's environment by conda, from a hand-made channel: cloned by the launcher for real accounts, prefix and all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channel import channel
from tests.computing import MATE, OWNER, box
from tests.integration.test_compute_environments import folder, prepared
from tests.launching import Place, as_user, place

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    """A place for a compute role."""
    with place("managed") as made:
        yield made


async def test_default_is_a_clone_of_the_root_environment(here: Place, tmp_path: Path) -> None:
    options: dict[str, object] = {
        "backend": "conda",
        "channels": [await channel(tmp_path / "channel")],
        "packages": ["tool <2"],
    }
    async with box(here, environments=options) as running:
        envs = await prepared(running)
        default = folder(here) / "default"
        for user in (OWNER, MATE):
            account = await running.launcher.ensure_account(user)
            ran = as_user(account, str(default / "bin/tool"))
            assert ran.stdout.split() == ["1.0", str(default)], ran.stderr
        root = next(here.envs.glob("conda-root-*"))
        status = (default / "share/tool/large.bin").stat()
        assert status.st_ino == (root / "share/tool/large.bin").stat().st_ino or status.st_uid == account.uid
        # What is shared belongs to the service: nobody of the team writes to it, and its rights are its own.
        owner = await running.launcher.ensure_account(OWNER)
        shared = str(default / "share/tool/large.bin")
        assert as_user(owner, "/bin/sh", "-c", f"echo x >> {shared}").returncode != 0
        assert f"{default}/share/tool:{default}/etc\0".encode() in (default / "lib/libtool.so").read_bytes()
        assert (default / "lib/libtool.so").stat().st_uid == owner.uid

        (found,) = (await envs.list()).environments
        assert (found.kind, found.kernel, found.packages) == ("conda", True, 4)
        twin = await envs.done(MATE, act="standard", name="twin")
        assert twin.state == "done", twin
        ran = as_user(owner, str(folder(here) / "twin/bin/tool"))
        assert ran.stdout.split() == ["1.0", str(folder(here) / "twin")], ran.stderr
        detail = await envs.read("twin")
        assert "  - tool=1.0=0\n" in detail.yml
        assert all(os.access(path, os.R_OK) for path in (default / "conda-meta").iterdir())
        # This channel's py-rattler is an empty package: that it is missing is told.
        missing = await envs.done(act="install", name="twin", packages=["pandas"])
        assert (missing.state, "no py-rattler" in missing.reason) == ("failed", True)
