"""docs/identity.md: every configuration on it is loaded, and its back ends can be made as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aen import plugins
from aen.config.load import load
from aen.errors import Invalid
from aen.logins import Means, PasswordBackend, VisitBackend

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "identity.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


async def _never(user: str, password: str) -> bool:
    raise AssertionError


@pytest.mark.parametrize("text", EXAMPLES)
async def test_an_example(text: str, tmp_path: Path) -> None:
    path = tmp_path / "aen.yaml"
    path.write_text(text)
    config = load([path], {}).config
    config.server.login.ldap.ca = None  # no such file here
    for name in config.server.login.backends:
        backend = plugins.load("aen.logins", name)(Means(config, _never))
        assert backend.name == name
        assert isinstance(backend, (PasswordBackend, VisitBackend))


def test_there_are_examples_of_all() -> None:
    for name in ("ldap", "pam", "oidc", "second_factor", "sAMAccountName", "user_dn"):
        assert any(name in text for text in EXAMPLES), name


def test_a_missing_launcher_is_said(tmp_path: Path) -> None:
    config = load([], {}).config
    with pytest.raises(Invalid, match="start AEN as root"):
        plugins.load("aen.logins", "pam")(Means(config))
    with pytest.raises(Invalid, match="pam_service"):
        plugins.load("aen.logins", "pam")(Means(config, _never))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"issuer": "http://sso.example.org", "client_id": "x"}, "https"),
        ({"client_id": "x"}, "issuer"),
        ({"issuer": "https://sso.example.org", "client_id": "x", "name": "{email_local}"}, "domains"),
        ({"issuer": "https://sso.example.org", "client_id": "x", "name": "everybody"}, "claim"),
        ({"issuer": "https://sso.example.org", "client_id": "x", "scopes": ["email"]}, "openid"),
    ],
)
def test_dangerous_options_are_refused(options: dict[str, object], why: str) -> None:
    config = load([], {}).config
    config.server.login.oidc = type(config.server.login.oidc).model_validate(options)
    with pytest.raises(Invalid, match=why):
        plugins.load("aen.logins", "oidc")(Means(config))
