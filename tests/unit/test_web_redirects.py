"""Where `next` may lead: the table of bad inputs, and what must be kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aen.web.redirects import safe_next, to_sign_in

REFUSED = [
    None,
    "",
    "https://evil",
    "HTTPS://EVIL",
    "//evil",
    "///evil",
    "////evil",
    "\\\\evil",
    "/\\evil",
    "\\/evil",
    "/%5cevil",
    "/%5Cevil",
    "/%255cevil",
    "/%2fevil",
    "/%2f%2fevil",
    "/%252fevil",
    "http:evil",
    "https:/evil",
    "https:///evil",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "ftp://evil",
    "relative/path",
    "?q=1",
    "#x",
    "/ok\r\nX: y",
    "/ok\nX: y",
    "/%0d%0a",
    "/%00",
    "\t/ok",
    " /ok",
    "\x00/ok",
    "/\t/evil",
    "/\n/evil",
    "127.0.0.1//evil/",
    "http://127.0.0.1@evil/",
    "http://127.0.0.1.evil/",
    "//user:password@evil",
    "/.//evil",
    "/../evil",
    "/%2e%2e/evil",
    "/a/../logout",
    "//еvil.example",
    "/пример",
    "/logout",
    "/logout/",
    "/LOGOUT",
    "/%6cogout",
    "/" + "a" * 8192,
]
KEPT = [
    "/",
    "/alice/genome",
    "/a?repo=https://x",
    "/a#repo=https://x",
    "/a?q#h",
    "/a?x=%0d%0a",
    "/gateway/enter?gateway=http%3A%2F%2F127.0.0.1%3A8089&nonce=ab&next=%2Falice%2Fgenome%2Fjupyter%2Flab",
    "/alice/genome/jupyter/lab/tree/a%20b.ipynb",
    "/logout-story",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_leads_elsewhere_falls_back(text: str | None) -> None:
    assert safe_next(text, "/fallback") == "/fallback"


@pytest.mark.parametrize("text", KEPT)
def test_what_stays_here_is_kept(text: str) -> None:
    assert safe_next(text) == text


@given(st.text())
def test_an_answer_is_always_a_path_of_this_site(text: str) -> None:
    there = safe_next(text)
    assert there.startswith("/")
    assert not there.startswith(("//", "/\\"))
    assert there.isascii()
    assert there.isprintable()


def test_the_way_to_the_login_page_leads_back_only_to_what_can_be_asked_again() -> None:
    assert to_sign_in("/login", "GET", "/alice/genome?x=1") == "/login?next=/alice/genome%3Fx%3D1"
    assert to_sign_in("/login", "POST", "/alice/genome/stop") == "/login"
    assert to_sign_in("/login", "GET", "//evil") == "/login"
