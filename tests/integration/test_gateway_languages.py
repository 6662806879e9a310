"""The reader's language at a gateway: told to apps, chosen anew at any time, and spoken by its own pages and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from aen.messages import LanguageChosen
from aen.model import now
from aen.model.session import Phase
from tests.integration.test_gateway import PATH, House, housed
from tests.waiting import until as until_true

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
GERMAN = {**PAGE, "Accept-Language": "de-AT,en;q=0.5"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path) as made:
        yield made


async def test_an_app_is_told_the_language_of_the_account_and_nobody_elses_word(house: House) -> None:
    claim = {"X-AEN-Language": "fr", "X_AEN_Language": "fr"}
    for chosen in ("", "de"):
        house.server.language = chosen
        async with house.client("alice", **claim) as browser, browser.get(PATH) as answer:
            told = (await answer.json())["headers"]
        assert told.get("X-AEN-Language", "") == chosen
        assert "fr" not in told.values()


async def test_another_choice_counts_from_the_next_page_on(house: House) -> None:
    async with house.client("alice", **PAGE) as browser:
        async with browser.get(PATH) as answer:
            assert "X-AEN-Language" not in (await answer.json())["headers"]
        house.server.language = "de"
        await house.bus.publish(LanguageChosen(user="bob", at=now()))
        await house.bus.publish(LanguageChosen(user="alice", at=now()))
        await until_true(lambda: _led_away(browser), 10, "the gateway has heard of it")
        async with browser.get(PATH + "lab?a=b") as answer:
            seen = await answer.json()
    assert (seen["path"], seen["headers"]["X-AEN-Language"]) == (PATH + "lab?a=b", "de")
    assert house.server.renewed == 1


async def _led_away(browser: aiohttp.ClientSession) -> bool:
    async with browser.get(PATH, allow_redirects=False) as answer:
        return answer.headers.get("Location", "").startswith("/.aen/renew")


async def test_the_start_page_speaks_the_language_of_the_account_else_of_the_browser(house: House) -> None:
    house.server.phase, house.server.routes = Phase.STOPPED, []
    await house.gateway.stop()
    await house.start()
    for chosen, headers, words in (("", GERMAN, "Starten"), ("de", PAGE, "Starten"), ("en", GERMAN, "Start")):
        house.server.language = chosen
        async with house.client("alice", **headers) as browser, browser.get(PATH) as answer:
            text = await answer.text()
        assert f"<span>{words}</span>" in text


async def test_why_an_app_can_not_be_had_is_told_in_german(house: House) -> None:
    (house.tmp / "app").unlink()
    house.server.phase = Phase.RUNNING
    async with house.client("alice", **GERMAN) as browser, browser.get(PATH) as answer:
        text = await answer.text()
    assert answer.status == 503
    assert "Die App ist nicht zu erreichen." in text


async def test_scripts_of_pages_are_told_why_in_the_readers_language(house: House) -> None:
    """JupyterLab shows such a message to people. The code is the same in every language; who says nothing reads English."""
    (house.tmp / "app").unlink()
    house.server.phase = Phase.RUNNING
    asked: tuple[tuple[str, dict[str, str], str], ...] = (
        ("", {"Accept-Language": "de-AT,en;q=0.5"}, "Die App ist nicht zu erreichen."),
        ("de", {"Accept-Language": "en"}, "Die App ist nicht zu erreichen."),
        ("de", {}, "Die App ist nicht zu erreichen."),
        ("", {}, "The app can't be reached."),
        ("en", {"Accept-Language": "de"}, "The app can't be reached."),
        ("", {"Accept-Language": "xx,;q=a"}, "The app can't be reached."),
    )
    for chosen, headers, words in asked:
        house.server.language = chosen
        async with house.client("alice", **headers) as browser, browser.get(PATH + "api/kernels") as answer:
            error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (503, "unavailable")
        assert error["message"].startswith(words), (chosen, headers, error)
    async with house.client(**{"Accept-Language": "de"}) as nobody, nobody.get(PATH + "api/kernels") as answer:
        assert (answer.status, (await answer.json())["error"]["message"][:21]) == (401, "Melde dich zuerst an:")


async def test_a_person_who_is_not_let_through_gets_a_page_and_a_script_what_it_reads(house: House) -> None:
    async with house.client(**GERMAN) as browser, browser.get(PATH + "?token=wrong") as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (401, "text/html")
    assert 'lang="de"' in text
    assert "Dieser API-Token gilt nicht" in text
    async with house.client(Authorization="Bearer wrong") as script, script.get(PATH) as answer:
        assert (answer.status, answer.content_type) == (401, "application/json")


async def test_a_cookie_that_comes_twice_is_cleared_on_a_page(house: House) -> None:
    twice = {**GERMAN, "Cookie": "aen-gateway=a; aen-gateway=b"}
    async with house.client(**twice) as browser, browser.get(PATH + "lab") as answer:
        text = await answer.text()
        cleared = answer.headers.getall("Set-Cookie")
        assert (answer.status, answer.content_type) == (400, "text/html")
    assert "Dein Anmelde-Cookie kam doppelt an." in text
    places = [line.partition("Path=")[2].partition(";")[0] for line in cleared]
    assert {"/", "/alice", "/alice/genome/", "/alice/genome/jupyter"} <= set(places)
    assert all(line.startswith("aen-gateway=; ") for line in cleared)
