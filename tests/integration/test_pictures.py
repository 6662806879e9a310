"""Pictures of people: a PNG without anything besides, kept here, for those who are signed in, gone with the person."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aen.client import AsyncClient
from aen.errors import Invalid
from aen.model.user import User
from aen.roles.server.account import png
from tests.served import ROOT, Answer, Client, Served, served


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def picture(side: int = 2, *besides: bytes) -> bytes:
    """A grey PNG; `besides` are more chunks in it."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * side) * side))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(besides) + pixels + chunk(b"IEND", b"")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


async def send(client: Client, data: bytes) -> Answer:
    form = aiohttp.FormData()
    form.add_field("csrf", client.csrf)
    form.add_field("picture", data, filename="me.png", content_type="image/png")
    return await client.post("/account/picture", data=form)


def test_what_is_about_a_picture_is_left_out() -> None:
    told = chunk(b"tEXt", b"Comment\0at home, 59.8586 N 17.6389 E"), chunk(b"eXIf", b"GPS")
    assert png.cleaned(picture(2, *told) + b"<script>") == picture(2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GIF89a", "PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG"),
        (picture()[:-5], "broken"),
        (picture().replace(b"IDAT", b"IDAX"), "broken"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "broken"),
        (picture(513), "512"),
        (picture() + b"x" * png.LARGEST, "too large"),
    ],
)
def test_what_is_no_picture(data: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        png.cleaned(data)


async def test_chosen_shown_and_gone_with_the_person(server: Served) -> None:
    alice, bob, nobody = await server.browser("alice", admin=True), await server.browser("bob"), await server.nobody()
    assert "/avatar/" not in (await alice.get("/people/bob")).text
    assert (await send(bob, b"no picture")).status == 400
    assert (await send(bob, picture(2, chunk(b"tEXt", b"x\0secret")))).status == 303
    text = (await alice.get("/people/bob")).text
    address = text.partition('src="/avatar/bob')[2].partition('"')[0]
    assert address.startswith("?v=")
    shown = await alice.get(f"/avatar/bob{address}")
    assert (shown.status, shown.headers["Content-Type"]) == (200, "image/png")
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "secret" not in shown.text
    assert (await nobody.get("/avatar/bob")).status in (303, 401)
    assert (await alice.get("/avatar/eve")).status == 404
    assert (await send(bob, picture(3))).status == 303
    assert address not in (await alice.get("/people/bob")).text  # a new one has another address
    assert (await bob.post("/account/picture/remove", data={"csrf": bob.csrf})).status == 303
    assert "/avatar/" not in (await alice.get("/people/bob")).text
    assert (await send(bob, picture(3))).status == 303
    await server.domain.accounts.remove(ROOT, "bob")
    assert await server.domain.store.get("picture_data", "bob") is None
    assert server.domain.pictures.address("bob") == ""


async def test_a_row_is_never_kept_without_the_new_picture(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await server.browser("alice", admin=True), await server.browser("bob")
    change = server.domain.accounts.change_user

    async def looked_at_meanwhile(*given: Any) -> User:
        user = await change(*given)
        assert "bob" in (await alice.get("/admin/users")).text
        return user

    monkeypatch.setattr(server.domain.accounts, "change_user", looked_at_meanwhile)
    assert (await send(bob, picture())).status == 303
    assert 'src="/avatar/bob' in (await alice.get("/admin/users")).text
    assert (await bob.post("/account/picture/remove", data={"csrf": bob.csrf})).status == 303
    assert 'src="/avatar/bob' not in (await alice.get("/admin/users")).text


async def test_the_api_has_them_too(server: Served) -> None:
    alice, bob = await server.script("alice"), await server.script("bob")
    reader = await server.script("alice", scope=("read",))
    told = chunk(b"tEXt", b"Comment\0at home")
    body = {"png": base64.b64encode(picture(2, told)).decode()}
    assert (await bob.get("/api/v1/users/alice/picture")).status == 404
    assert (await reader.ask("PUT", "/api/v1/me/picture", body)).status == 403
    assert (await alice.ask("PUT", "/api/v1/me/picture", body)).status == 204
    async with bob.http.get(
        f"{server.url}/api/v1/users/alice/picture", headers={"Authorization": f"Bearer {bob.token}"}
    ) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert await answer.read() == picture(2)
    assert (await alice.get("/api/v1/users/alice")).json["picture"] is True
    for wrong in ("not base64!", "größe", base64.b64encode(b"GIF89a").decode(), ""):
        assert (await alice.ask("PUT", "/api/v1/me/picture", {"png": wrong})).status == 400
    assert (await (await server.nobody()).get("/api/v1/users/alice/picture")).status == 401
    async with AsyncClient(server.url, alice.token) as client:
        assert await client.get_users_user_picture("alice") == picture(2)
        await client.delete_me_picture()
    assert (await bob.get("/api/v1/users/alice/picture")).status == 404
