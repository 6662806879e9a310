"""An app that can't be had: a person is told why, with the end of its log and a button; a script gets JSON. Nobody waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from aen.model.session import Phase
from tests.hostile.stand import BASE, one_answer, request, stand
from tests.integration.test_gateway import PATH, House, housed

HTML = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
TAIL = "Traceback: no such table: <users>"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Its app has gone; the server believes that it runs."""
    async with housed(tmp_path) as made:
        (tmp_path / "app").unlink()
        made.server.phase, made.server.log_tail = Phase.RUNNING, TAIL
        yield made


async def test_a_person_is_told_why_with_the_log_and_a_button(house: House) -> None:
    async with house.client("alice", **HTML) as browser, browser.get(PATH + "lab?a=b") as answer:
        text = await answer.text()
        assert (answer.status, answer.headers["Retry-After"], answer.content_type) == (503, "2", "text/html")
    assert "The app can&#39;t be reached" in text
    assert "no such table: &lt;users&gt;" in text
    assert f'href="{PATH}lab?a=b"' in text
    assert 'href="http://server.test/alice/genome"' in text


async def test_what_the_server_knows_by_now_comes_first(house: House) -> None:
    """It ended, and the gateway has not heard yet: the start page, with the reason, and a button that starts it anew."""
    house.server.phase, house.server.reason = Phase.PROBLEM, "It ended with exit code 7."
    async with house.client("alice", **HTML) as browser, browser.get(PATH + "lab") as answer:
        text = await answer.text()
        assert answer.status == 503
    for word in ('data-phase="PROBLEM"', "exit code 7", "no such table", "data-start", f'data-next="{PATH}lab"'):
        assert word in text
    assert text.count('href="http://server.test/alice/genome"') == 2  # its name, and a button


async def test_without_the_server_the_reason_alone(house: House) -> None:
    house.server.silence()
    async with house.client("alice", **HTML) as browser, browser.get(PATH) as answer:
        text = await answer.text()
        assert answer.status == 503
    assert "The app can&#39;t be reached" in text
    assert TAIL not in text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_scripts_and_forms_get_json(house: House, method: str) -> None:
    headers = {"Origin": house.origin, **({} if method == "GET" else HTML)}
    async with house.client("alice", **headers) as browser, browser.request(method, PATH + "api") as answer:
        said = (await answer.json())["error"]
        assert (answer.status, answer.headers["Retry-After"], said["code"]) == (503, "2", "unavailable")
        assert TAIL not in str(said)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_form_for_what_does_not_run_is_refused(house: House, method: str) -> None:
    """It would start nothing and be lost: so it is said, also to a browser."""
    house.server.phase = Phase.STOPPED
    async with (
        house.client("alice", Origin=house.origin, **HTML) as browser,
        browser.request(method, "/alice/genome/board/x", data=b"x") as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert (await answer.json())["error"]["code"] == "unavailable"
    assert house.server.phase is Phase.STOPPED


async def test_websockets_get_no_page(house: House) -> None:
    async with house.client("alice", Origin=house.origin, **HTML) as browser:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await browser.ws_connect(PATH + "ws")


@pytest.mark.parametrize(("said", "status"), [(b"rubbish\r\n\r\n", 502), (b"", 502), (None, 503)])
async def test_our_page_is_asked_once_and_the_connection_serves_on(
    said: bytes | None, status: int, tmp_path: Path
) -> None:
    async def talk(reader: object, writer: object) -> None:
        assert said is not None
        writer.write(said)  # type: ignore[attr-defined]

    async with stand(tmp_path, talk) as here:
        if said is None:
            (tmp_path / "app").unlink()
        reader, writer = await here.connect()
        for _ in range(2):
            writer.write(request(lines=b"Accept: text/html\r\nX-AEN-Trouble: 200 EVIL\r\n"))
            assert (await one_answer(reader)).endswith(b"pages")
        told = here.pages.got.split(b"\r\n")
        assert [line[:18] for line in told if line.lower().startswith(b"x-aen-trouble")] == [
            b"X-AEN-Trouble: %d" % status
        ] * 2
        assert b"EVIL" not in here.pages.got
        (tmp_path / "pages").unlink()  # our pages can't be had either
        here.plane.pages.prune()
        writer.write(request(f"GET {BASE}/y HTTP/1.1", b"Accept: text/html\r\n"))
        assert (await one_answer(reader)).startswith(b"HTTP/1.1 503 ")
        writer.close()
