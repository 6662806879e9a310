"""Reset links, linking to a directory, asking the directory again, deleting one's own account."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aen.errors import Conflict, Denied, Invalid, NotFound, NotSignedIn
from aen.logins.local import hashed
from aen.roles.server.account import resets
from aen.roles.server.account.accounts import NewUser, UserPatch
from aen.roles.server.permissions import Actor
from aen.roles.server.project.projects import NewProject
from tests.directory import BASE, needs_slapd, person, slapd
from tests.served import PASSWORD, ROOT, Served, served

HTML = {"Accept": "text/html"}
NEW = "a quite new password"


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


async def test_a_link_of_an_administrator(server: Served) -> None:
    ada, boss = await server.browser("ada"), await server.browser("boss", admin=True)
    page = await boss.post("/admin/users/ada/reset", data={"csrf": boss.csrf})
    found = re.search(r"/forgotten/([\w-]{40,})<", page.text)
    assert found is not None
    path = f"/forgotten/{found[1]}"
    stranger = await server.nobody(origin=server.url, headers=HTML)
    shown = await stranger.get(path)
    assert shown.status == 200
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert (await stranger.post(path, data={"password": "short"})).status == 400
    assert (await stranger.post(path, data={"password": NEW})).status == 303
    assert (await stranger.get("/api/v1/me")).json["name"] == "ada"
    assert (await ada.get("/api/v1/me")).status == 401  # other logins ended
    assert (await stranger.post(path, data={"password": PASSWORD})).status in (403, 404)
    assert (await (await server.nobody(origin=server.url, headers=HTML)).get(path)).status == 404
    with pytest.raises(NotSignedIn):
        await server.domain.accounts.sign_in("ada", PASSWORD, "", "")


async def test_links_that_count_no_more(server: Served) -> None:
    accounts = server.domain.accounts
    await server.person("ada")
    first, second = await accounts.reset_link(ROOT, "ada"), await accounts.reset_link(ROOT, "ada")
    for code in (first, "x", "", "x" * 1000, second + "x"):
        with pytest.raises(NotFound):
            await accounts.use_reset(code, NEW)
    await accounts.lock(ROOT, "ada")
    with pytest.raises(Conflict, match="locked"):
        await accounts.use_reset(second, NEW)
    short = await accounts.reset_link(ROOT, "ada", hours=1e-7)
    with pytest.raises(NotFound):
        await accounts.reset_of(short)
    with pytest.raises(Invalid):
        await accounts.reset_link(ROOT, "ada", hours=10_000)
    with pytest.raises(Denied):
        await accounts.reset_link(await server.actor("ada"), "root1")


async def staff(server: Served, name: str = "sue") -> Actor:
    await server.person(name)
    await server.domain.accounts.update(ROOT, name, UserPatch(staff=True))
    return await server.actor(name)


async def test_staff_make_links_for_ordinary_people_alone(server: Served) -> None:
    accounts, sue = server.domain.accounts, await staff(server)
    await server.person("ada")
    await server.person("boss", admin=True)
    await staff(server, "sam")
    assert (await accounts.reset_of(await accounts.reset_link(sue, "ada"))).id == "ada"
    for name in ("boss", "sam", "sue"):
        with pytest.raises(Denied, match="only administrators make such a link"):
            await accounts.reset_link(sue, name)
    log, _ = await server.domain.activity.security(ROOT, 10)
    refused = [(entry.actor, entry.who) for entry in log if entry.act == "password.link_refused"]
    assert refused == [("sue", "sue"), ("sue", "sam"), ("sue", "boss")]


@pytest.mark.parametrize("right", ["admin", "staff"])
async def test_a_link_of_staff_opens_nobody_who_has_more_rights_since(server: Served, right: str) -> None:
    accounts, sue = server.domain.accounts, await staff(server)
    await server.person("ada")
    code = await accounts.reset_link(sue, "ada")
    await accounts.update(ROOT, "ada", UserPatch.model_validate({right: True}))
    with pytest.raises(NotFound):
        await accounts.use_reset(code, NEW)
    await accounts.update(ROOT, "ada", UserPatch.model_validate({right: False}))
    assert (await accounts.use_reset(code, NEW)).id == "ada"


@pytest.mark.parametrize(
    ("person", "patch", "refused"),
    [
        ("ada", {"admin": True}, NotFound),  # whose link it is gets rights
        ("ada", {"locked": True}, Conflict),
        ("sue", {"staff": False}, NotFound),  # who made it loses theirs
    ],
)
async def test_what_changes_while_a_link_is_used_counts(
    server: Served, monkeypatch: pytest.MonkeyPatch, person: str, patch: dict[str, bool], refused: type[Exception]
) -> None:
    """All was well when it was looked at; then it changes, before the password is stored."""
    accounts, sue = server.domain.accounts, await staff(server)
    await server.person("ada")
    code = await accounts.reset_link(sue, "ada")
    before = (await server.actor("ada")).user

    async def meanwhile(password: str) -> str:
        await accounts.update(ROOT, person, UserPatch.model_validate(patch))
        return await hashed(password)

    monkeypatch.setattr(resets, "hashed", meanwhile)
    with pytest.raises(refused):
        await accounts.use_reset(code, NEW)
    after = (await server.actor("ada")).user
    assert before is not None
    assert after is not None
    assert after.password == before.password


async def test_a_link_of_who_administers_no_more_opens_no_administrator(server: Served) -> None:
    accounts = server.domain.accounts
    await server.person("boss", admin=True)
    await server.person("ada", admin=True)
    code = await accounts.reset_link(await server.actor("boss"), "ada")
    await accounts.update(ROOT, "boss", UserPatch(admin=False))
    with pytest.raises(NotFound):
        await accounts.use_reset(code, NEW)


@pytest.mark.parametrize("patch", [{"staff": False}, {"locked": True}])
async def test_a_link_ends_with_the_rights_of_who_made_it(server: Served, patch: dict[str, bool]) -> None:
    accounts, sue = server.domain.accounts, await staff(server)
    await server.person("ada")
    code = await accounts.reset_link(sue, "ada", hours=168)
    await accounts.update(ROOT, "sue", UserPatch.model_validate(patch))
    with pytest.raises(NotFound):
        await accounts.use_reset(code, NEW)


async def test_staff_reach_the_rights_of_administrators_by_no_way(server: Served) -> None:
    """All that sets a password, a right, a second factor or a login of somebody else."""
    accounts, sue = server.domain.accounts, await staff(server)
    await server.person("ada")
    for rights in {"admin": True}, {"staff": True}, {"locked": True}, {"email": "sue@example.org"}:
        with pytest.raises(NotFound):
            await accounts.update(sue, "ada", UserPatch.model_validate(rights))
    with pytest.raises(Denied):
        await accounts.update(sue, "sue", UserPatch(admin=True))
    with pytest.raises(Denied):
        await accounts.create(sue, NewUser(name="mole", admin=True))
    with pytest.raises(Denied):
        await accounts.invite(sue, admin=True)
    with pytest.raises(NotFound):
        await accounts.set_password(sue, "ada", NEW)
    with pytest.raises(NotFound):
        await accounts.remove_second_factor(sue, "ada")
    with pytest.raises(NotFound):
        await accounts.new_token(sue, "ada")
    assert not (await server.actor("ada")).admin


async def test_what_staff_see(server: Served) -> None:
    await staff(server)
    await server.person("ada")
    sue = await server.browser("sue")
    home = (await sue.get("/")).text
    assert 'href="/admin"' in home
    assert (await sue.get("/admin")).headers["Location"] == "/admin/report"
    page = (await sue.get("/admin/report")).text
    shown = set(re.findall(r'<a href="(/admin[^"?]*)"', page))
    assert shown == {"/admin/report", "/admin/reset", "/admin/exceptions", "/admin/mail"}
    made = await sue.post("/admin/reset", data={"csrf": sue.csrf, "name": " ADA "})
    assert re.search(r"/forgotten/[\w-]{40,}<", made.text)
    refused = await sue.post("/admin/reset", data={"csrf": sue.csrf, "name": "sue"})
    assert (refused.status, "only administrators make such a link" in refused.text) == (403, True)
    me = (await sue.get("/api/v1/me")).json
    assert (me["admin"], me["staff"]) == (False, True)


async def test_a_recreated_name_is_not_opened_by_an_old_link(server: Served) -> None:
    accounts = server.domain.accounts
    await server.person("ada")
    code = await accounts.reset_link(ROOT, "ada")
    await accounts.remove(ROOT, "ada")
    await server.person("ada")
    with pytest.raises(NotFound):
        await accounts.use_reset(code, NEW)


async def test_asking_for_a_link_tells_nothing(server: Served) -> None:
    await server.person("ada")
    client = await server.nobody(origin=server.url, headers=HTML)
    answers = [await client.post("/forgotten", data={"name": name}) for name in ("ada", "nobody-here", "a@b.example")]
    assert {answer.status for answer in answers} == {200}
    assert len({re.sub(r"\s+", "", answer.text) for answer in answers}) == 1


async def test_deleting_ones_own_account(server: Served) -> None:
    browser = await server.browser("ada")
    form = {"csrf": browser.csrf, "password": PASSWORD, "typed": "ada"}
    assert (await browser.get("/account/delete")).status == 200
    for wrong, status in (({"password": "wrong"}, 403), ({"typed": "Ada"}, 400)):
        assert (await browser.post("/account/delete", data={**form, **wrong})).status == status
    script = await server.script("ada")
    assert (await script.post("/account/delete", data=form)).status == 403
    answer = await browser.post("/account/delete", data=form)
    assert (answer.status, answer.headers["Location"]) == (303, "/login?done=account-deleted")
    assert await server.domain.accounts.find("ada") is None
    assert (await browser.get("/api/v1/me")).status == 401
    assert (await script.get("/api/v1/me")).status == 401


async def test_who_owns_projects_is_told_which(server: Served) -> None:
    await server.node()
    browser = await server.browser("ada")
    await server.domain.projects.create(await server.actor("ada"), NewProject(name="genome"))
    assert "ada/genome" in (await browser.get("/account/delete")).text
    form = {"csrf": browser.csrf, "password": PASSWORD, "typed": "ada"}
    assert (await browser.post("/account/delete", data=form)).status == 409
    assert await server.domain.accounts.find("ada") is not None


async def test_the_last_administrator_stays(server: Served) -> None:
    browser = await server.browser("root1")
    form = {"csrf": browser.csrf, "password": PASSWORD, "typed": "root1"}
    assert (await browser.post("/account/delete", data=form)).status == 409
    assert await server.domain.accounts.find("root1") is not None


@needs_slapd
async def test_linked_and_asked_again(tmp_path: Path) -> None:
    async with slapd(tmp_path / "ldap", person("ada", "ada's own word") + person("eve", "eve's own word")) as directory:
        login = {"backends": ["local", "ldap"], "ldap": directory.options()}
        async with served(tmp_path / "aen", login=login) as server:
            accounts = server.domain.accounts
            await server.person("ada")
            with pytest.raises(NotSignedIn):  # the account is local: what the directory says of the name is nobody's
                await accounts.sign_in("ada", "ada's own word", "", "")
            await accounts.update(ROOT, "ada", UserPatch(login_backend="ldap"))
            with pytest.raises(NotSignedIn):
                await accounts.sign_in("ada", PASSWORD, "", "")
            await accounts.sign_in("ada", "ada's own word", "", "")
            await accounts.sign_in("eve", "eve's own word", "", "")
            with pytest.raises(Conflict, match="last administrator with a local password"):
                await accounts.update(ROOT, "root1", UserPatch(login_backend="ldap"))
            with pytest.raises(Invalid):
                await accounts.update(ROOT, "ada", UserPatch(login_backend="oidc"))
            script = await server.script("eve")
            assert await accounts.recheck() == 0
            await directory.change(f"dn: uid=eve,ou=people,{BASE}\nchangetype: delete\n")
            assert await accounts.recheck() == 1
            assert (await script.get("/api/v1/me")).status == 401
            entries, _ = await server.domain.activity.of_user(ROOT, "eve", 3)
            assert "does not let them in" in entries[0].detail
