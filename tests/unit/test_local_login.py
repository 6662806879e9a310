"""Local logins: what is stored, what is accepted, and that names which do not exist cost the same work."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from aen.errors import Invalid
from aen.logins import local
from aen.logins.local import LocalLogin, check_policy, hashed, is_outdated
from aen.model.user import User


async def test_a_hash_is_salted_argon2id() -> None:
    first, second = await hashed("correct horse"), await hashed("correct horse")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not is_outdated(first)
    assert is_outdated("$argon2id$v=19$m=4096,t=1,p=1$xxxx$yyyy")


async def test_checking() -> None:
    user = User(id="alice", incarnation="1", password=await hashed("correct horse"))
    login = LocalLogin()
    assert await login.check("alice", "correct horse", user) is not None
    assert await login.check("alice", "correct horse ", user) is None
    assert await login.check("alice", "", user) is None
    for stored in ("", "x", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$AAAA"):
        assert await login.check("alice", "", user.model_copy(update={"password": stored})) is None
    elsewhere = user.model_copy(update={"login_backend": "ldap"})
    assert await login.check("alice", "correct horse", elsewhere) is None


@pytest.mark.parametrize("user", [None, User(id="x", incarnation="1"), User(id="x", incarnation="1", locked=True)])
async def test_the_work_is_done_whoever_asks(user: User | None, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    class Counting:
        @staticmethod
        def verify_phc_encoded(secret: bytes, stored: str) -> None:
            checked.append(stored)
            Argon2id.verify_phc_encoded(secret, stored)

    local._dummy()
    monkeypatch.setattr(local, "Argon2id", Counting)
    assert await LocalLogin().check("x", "correct horse", user) is None
    assert [is_outdated(stored) for stored in checked] == [False]


@pytest.mark.parametrize(
    "password", ["short", "x" * 1025, "ä" * 513, "aaaaaaaaaaaaa", "ababababababab", "nul\x00nulnulnul"]
)
def test_policy(password: str) -> None:
    with pytest.raises(Invalid):
        check_policy(password)


@pytest.mark.parametrize("password", ["ten chars!", "пароль из слов", "x y" * 340])
def test_policy_takes(password: str) -> None:
    check_policy(password)
