"""Signing in by PAM: a real Linux account, real modules, the launcher in between; the server never sees root."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aen.errors import NotSignedIn, TooMany
from aen.launchers.process import ProcessLauncher
from tests.integration.test_launcher_pam import UNIX, set_password, started
from tests.launching import Place, place
from tests.served import PASSWORD, Served, served

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]
SERVICE = Path("/etc/pam.d/aent-login")


@pytest.fixture
def spot() -> Iterator[Place]:
    SERVICE.write_text(UNIX)
    with place() as made:
        yield made
    SERVICE.unlink()


@pytest.fixture
async def server(spot: Place, tmp_path: Path) -> AsyncIterator[Served]:
    async with ProcessLauncher(started(spot, SERVICE.name)) as launcher, served(tmp_path) as running:
        await launcher.ensure_account("aentpam")
        set_password("aentpam", "correct hörse")
        running.config.accounts.pam_service = SERVICE.name
        running.config.server.login.backends = ["local", "pam"]
        running.domain.accounts.use_backends(launcher)
        yield running


async def test_the_password_of_the_linux_account(server: Served) -> None:
    accounts = server.domain.accounts
    for name, password in (("aentpam", "wrong one"), ("aentpam", ""), ("aentpam@corp", "correct hörse"), ("root", "x")):
        with pytest.raises((NotSignedIn, TooMany)):
            await accounts.sign_in(name, password, "", "")
    assert await accounts.find("aentpam") is None
    login = await accounts.sign_in("AENTPAM", "correct hörse", "", "")
    user = await accounts.find(login.user)
    assert user is not None
    assert (user.id, user.login_backend, user.password) == ("aentpam", "pam", "")
    assert (await accounts.sign_in("root1", PASSWORD, "", "")).user == "root1"
