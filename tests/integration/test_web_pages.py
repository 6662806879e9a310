"""The pages on a real server: forms do what they say, hostile text stays text, nothing changes without its token."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from aen.model.project import Visibility
from aen.roles.server.account.accounts import NewUser
from aen.roles.server.project.projects import NewProject
from aen.roles.server.urls import table
from tests.fakenode import FakeNode
from tests.integration.test_pictures import picture
from tests.served import PASSWORD, ROOT, Client, Served, served
from tests.waiting import until

HOSTILE = "'\"><script>alert(1)</script><img src=x onerror=alert(1)>{{7**9}}"
HTML = {"Accept": "text/html"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made, FakeNode(made.role.context.bus):
        yield made


@pytest.fixture
async def alice(server: Served) -> Client:
    return await server.browser("alice", admin=True)


def sound(text: str) -> None:
    """Assert that nothing of the payload became markup."""
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    for tag in re.findall(r"<[a-zA-Z][^<>]*>", text):
        assert not re.search(r"\son\w+\s*=", re.sub(r'"[^"]*"', '""', tag)), tag
    assert "40353607" not in text  # what a template would make of it: nothing else is ever that


def browserlike(client: Client) -> Client:
    """The same browser, sending forms as browsers do: the token as a field, not as a header."""
    return replace(client, csrf="")


async def form(client: Client, path: str, fields: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Send a form with the page's token: status, Location, text."""
    answer = await browserlike(client).post(path, data={"csrf": client.csrf, **(fields or {})})
    return answer.status, answer.headers.get("Location", ""), answer.text


async def test_permissions_that_differ_are_shown_and_repaired(server: Served, alice: Client) -> None:
    actor = await server.actor("alice")
    project = await server.domain.projects.create(actor, NewProject(name="genome"))
    await server.domain.projects.start(actor, "alice", "genome")
    page = "/alice/genome/settings/permissions"
    shown = (await alice.get(f"{page}?look=1", headers=HTML)).text
    assert "1 of 7 differ" in shown
    assert "<strong>bob</strong> can&#39;t read 1 of them" in shown
    assert "nb/&lt;b&gt;secret&lt;/b&gt;.txt" in shown
    assert await form(alice, f"{page}/repair") == (303, page, "")

    async def repaired() -> bool:
        last = await server.domain.projects.repairs.last(project)
        return last is not None and last.state == "DONE"

    await until(repaired, 10, "the repair is done")
    assert "0 of 1 files changed." in (await alice.get(page, headers=HTML)).text


async def test_rights_on_one_file_are_shown_looked_at_and_set(server: Served, alice: Client) -> None:
    actor = await server.actor("alice")
    await server.person("bob")
    await server.domain.projects.create(actor, NewProject(name="genome"))
    await server.domain.team.set(actor, "alice", "genome", "bob", "member")
    page = "/alice/genome/settings/rights"
    assert "was never started" in (await alice.get(f"{page}?path=a.md", headers=HTML)).text
    await server.domain.projects.start(actor, "alice", "genome")
    shown = (await alice.get(f"{page}?path=na%20%25%3Cb%3E.md", headers=HTML)).text
    sound(shown)
    assert 'value="na%20%25%3Cb%3E.md"' in shown  # the name as it is typed, in the form that is sent
    assert re.search(r'value="r:bob"[^>]* checked', shown)
    fields = {"file": "na%20%25%3Cb%3E.md", "person": "bob", "right": "r:bob", "act": "look"}
    status, _, text = await form(alice, page, fields)
    assert status == 200
    assert "1 file or folder would change." in text
    assert not re.search(r'value="w:bob"[^>]* checked', text)  # what was asked for stays in the form
    status, _, text = await form(alice, page, {**fields, "act": "set", "right": "q:bob", "closed": "1"})
    assert (status, "1 file or folder was changed." in text) == (200, True)
    status, _, text = await form(alice, page, {**fields, "file": "../x"})
    assert status == 400


async def test_ssh_keys_are_added_and_taken_away(alice: Client) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOao0n5uNK+I6pENBOkngKHuAZl2tb4E5vXSDdq7Oo7o"
    status, _, text = await form(alice, "/account/keys", {"key": f"command=x {key}", "title": HOSTILE})
    assert status == 400
    assert "no SSH public key" in text
    sound(text)
    assert (await form(alice, "/account/keys", {"key": key + " laptop", "title": HOSTILE[:90]}))[0] == 303
    shown = (await alice.get("/account/keys", headers=HTML)).text
    sound(shown)
    (fingerprint,) = set(re.findall(r"SHA256:[A-Za-z0-9+/]{43}", unescape(shown)))
    assert (await form(alice, "/account/keys/remove", {"fingerprint": fingerprint}))[0] == 303
    assert fingerprint not in unescape((await alice.get("/account/keys", headers=HTML)).text)


async def test_every_page_opens(server: Served, alice: Client) -> None:
    actor = await server.actor("alice")
    await server.domain.projects.create(actor, NewProject(name="genome"))
    await server.domain.pictures.set(actor, picture())
    fill = {
        "{owner}": "alice",
        "{project}": "genome",
        "{name}": "alice",
        "{app}": "jupyterlab",
        "{environment}": "default",
    }
    paths = [url.path for url in table() if url.method == "GET" and not url.path.startswith(("/api/", "/gateway/"))]
    assert len(paths) > 25
    wrong = []
    for path in paths:
        for part, value in fill.items():
            path = path.replace(part, value)
        answer = await alice.get(path)
        never_started = path.endswith(("/environments/default", "/export"))
        nothing_there = "{" in path  # a way to sign in, a revision, a publication … of a name that there is not
        asks_for_a_path = path.endswith("/genome/file")
        fine: tuple[int, ...] = (200, 303)
        if never_started or nothing_there or asks_for_a_path:
            fine = (409,) if never_started and not nothing_there else (400,) if asks_for_a_path else (303, 404, 409)
        if path.endswith("/admin/security/export"):
            fine = (200,)
        if answer.status not in fine:
            wrong.append((path, answer.status))
    assert wrong == []


async def test_hostile_parameters_stay_text(server: Served, alice: Client) -> None:
    nobody = await server.nobody(origin=server.url, headers=HTML)
    names = ("q", "tag", "next", "code", "cursor", "show", "sort", "order", "filter", "phase", "done")
    for path in ("/login", "/signup", "/setup"):
        for name in names:
            sound((await nobody.get(path, params={name: HOSTILE})).text)
    for path in ("/", "/people", "/admin/users", "/admin/sessions", "/admin/jobs", "/account/security", "/new"):
        for name in names:
            sound((await alice.get(path, params={name: HOSTILE})).text)
    for path in (f"/{HOSTILE}", f"/alice/{HOSTILE}", f"/people/{HOSTILE}", f"/admin/users/{HOSTILE}"):
        answer = await alice.get(path)
        assert answer.status in (400, 404)
        sound(answer.text)


@pytest.mark.parametrize("path", ["/login", "/signup"])
async def test_hostile_fields_stay_text(server: Served, path: str) -> None:
    nobody = await server.nobody(origin=server.url, headers=HTML)
    fields = dict.fromkeys(("name", "full_name", "email", "code", "next", "password"), HOSTILE)
    answer = await nobody.post(path, data=fields)
    assert answer.status in (400, 401, 403)
    sound(answer.text)
    assert HOSTILE in unescape(answer.text)  # shown again, as text


async def test_hostile_stored_text_stays_text(server: Served, alice: Client) -> None:
    status, there, _ = await form(alice, "/new", {"name": "genome", "summary": HOSTILE, "visibility": "public"})
    assert (status, there) == (303, "/alice/genome")
    fields = {"summary": HOSTILE, "description": HOSTILE, "tags": HOSTILE[:30]}
    assert (await form(alice, "/alice/genome/settings", fields))[0] == 303
    profile = dict.fromkeys(("full_name", "company", "location"), HOSTILE)
    assert (await form(alice, "/account", {**profile, "email": "", "url": ""}))[0] == 303
    for path in (
        "/",
        "/alice/genome",
        "/alice/genome/settings",
        "/people",
        "/people/alice",
        "/admin/users",
        "/account",
    ):
        answer = await alice.get(path)
        assert answer.status == 200
        sound(answer.text)


async def test_the_web_site_of_a_profile_is_never_a_script(alice: Client) -> None:
    fields = dict.fromkeys(("full_name", "company", "location", "email"), "")
    status, _, text = await form(alice, "/account", {**fields, "url": "javascript:alert(1)"})
    assert status == 400
    assert "must begin with http" in text


async def test_no_form_works_without_its_token_or_from_elsewhere(server: Served, alice: Client) -> None:
    paths = [url.path for url in table() if url.method == "POST" and not url.path.startswith("/api/")]
    plain = browserlike(alice)
    for path in paths:
        path = path.replace("{owner}", "alice").replace("{project}", "genome").replace("{name}", "bob")
        none = await plain.post(path, data={"x": "y"})
        assert none.status == 403, path
        wrong = await plain.post(path, data={"csrf": "x" * 43})
        assert wrong.status == 403, path
        elsewhere = await plain.post(path, data={"csrf": alice.csrf}, headers={"Origin": "https://evil.example"})
        assert elsewhere.status == 403, path
        lost = await plain.post(path, data={"csrf": alice.csrf}, headers={"Origin": "null"})
        assert lost.status == 403, path


async def test_who_is_not_signed_in_goes_to_the_login_page_and_back(server: Served) -> None:
    await server.person("bob")
    nobody = await server.nobody(origin=server.url, headers=HTML)
    answer = await nobody.get("/bob/genome?x=1")
    assert (answer.status, answer.headers["Location"]) == (303, "/login?next=/bob/genome%3Fx%3D1")
    page = await nobody.get(answer.headers["Location"])
    assert 'value="/bob/genome?x=1"' in page.text
    fields = {"name": "bob", "password": PASSWORD, "next": "/bob/genome?x=1"}
    answer = await nobody.post("/login", data=fields)
    assert (answer.status, answer.headers["Location"]) == (303, "/bob/genome?x=1")


async def test_login_never_leads_to_another_site(server: Served) -> None:
    await server.person("bob")
    for next in ("https://evil", "//evil", "/\\evil", "/%5cevil", "/logout", "javascript:alert(1)"):
        nobody = await server.nobody(origin=server.url, headers=HTML)
        answer = await nobody.post("/login", data={"name": "bob", "password": PASSWORD, "next": next})
        assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_a_wrong_password_shows_the_form_again(server: Served) -> None:
    await server.person("bob")
    nobody = await server.nobody(origin=server.url, headers=HTML)
    answer = await nobody.post("/login", data={"name": "bob", "password": "wrong"})
    assert answer.status == 401
    assert "is wrong" in answer.text
    assert 'value="bob"' in answer.text
    assert "wrong" not in re.findall(r'value="([^"]*)"', answer.text)


async def test_signing_out_takes_a_form_and_ends_the_login(server: Served, alice: Client) -> None:
    await alice.get("/logout")
    assert (await alice.get("/account")).status == 200
    assert (await form(alice, "/logout"))[:2] == (303, "/login?done=signed-out")
    assert (await alice.get("/account")).status == 303


async def test_an_invitation_makes_one_account(server: Served, alice: Client) -> None:
    status, _, text = await form(alice, "/admin/invitations", {"email": "new@example.org", "days": "7"})
    assert status == 200
    link = unescape(re.search(r'id="link">([^<]+)<', text).group(1))  # type: ignore[union-attr]
    guest = await server.nobody(origin=server.url, headers=HTML)
    path = link.removeprefix(server.url)
    assert "You are invited" in (await guest.get(path)).text
    fields = {"code": path.partition("code=")[2], "name": "newcomer", "password": PASSWORD}
    assert (await guest.post("/signup", data=fields)).status == 303
    assert (await guest.get("/")).status == 200
    second = await server.nobody(origin=server.url, headers=HTML)
    again = await second.post("/signup", data={**fields, "name": "another"})
    assert again.status == 403
    assert "was used" in again.text


async def test_an_invitation_to_a_project_says_so_and_leads_there(server: Served, alice: Client) -> None:
    await server.node()
    assert (await form(alice, "/new", {"name": "genome", "visibility": "private"}))[0] == 303
    status, _, text = await form(alice, "/admin/invitations", {"project": "alice/genom", "email": "new@example.org"})
    assert status == 400
    assert "There is no project &#39;alice/genom&#39;" in text
    assert 'value="new@example.org"' in text  # what was typed is kept
    _, _, text = await form(alice, "/admin/invitations", {"project": "alice/genome"})
    assert "joins alice/genome" in text
    path = unescape(re.search(r'id="link">([^<]+)<', text).group(1)).removeprefix(server.url)  # type: ignore[union-attr]
    guest = await server.nobody(origin=server.url, headers=HTML)
    assert "in the project <strong>alice/genome</strong>" in (await guest.get(path)).text
    fields = {"code": path.partition("code=")[2], "name": "newcomer", "password": PASSWORD}
    answer = await guest.post("/signup", data=fields)
    assert (answer.status, answer.headers["Location"]) == (303, "/alice/genome")
    page = (await guest.get("/alice/genome")).text
    assert "(local)" not in page  # it was alice who let them in


async def test_changing_the_password_keeps_this_browser_in_and_others_out(server: Served, alice: Client) -> None:
    other = await server.browser("alice")
    new = "a quite different sentence"
    assert (await form(alice, "/account/password", {"old": PASSWORD, "new": new}))[0] == 303
    assert (await alice.get("/account")).status == 200
    assert (await other.get("/account")).status == 303
    alice.csrf = (await alice.get("/api/v1/me")).json["csrf"]
    status, _, text = await form(alice, "/account/password", {"old": "wrong", "new": new})
    assert status == 403
    assert "old password is wrong" in text


async def test_a_token_is_shown_once(server: Served, alice: Client) -> None:
    status, _, text = await form(alice, "/account/tokens", {"title": "laptop", "days": "30", "scope": "read"})
    assert status == 200
    token = re.search(r"aen_\w{40}", text).group()  # type: ignore[union-attr]
    assert token not in (await alice.get("/account/tokens")).text
    script = await server.nobody(token=token)
    assert (await script.get("/api/v1/me")).status == 200
    assert (await script.post("/api/v1/projects", {"name": "x"})).status == 403


async def test_a_stranger_sees_no_private_project(server: Served, alice: Client) -> None:
    await form(alice, "/new", {"name": "genome"})
    bob = await server.browser("bob")
    pages = ("", "/settings", "/settings/team", "/settings/admin", "/settings/info", "/activity", "/open/jupyterlab")
    for page in pages:
        missing = await bob.get(f"/alice/nothing{page}")
        private = await bob.get(f"/alice/genome{page}")
        assert private.status == missing.status == 404, page
    for act in ("/start", "/stop", "/star", "/open/jupyterlab", "/settings", "/settings/delete"):
        assert (await form(bob, f"/alice/genome{act}", {"typed": "genome"}))[0] == 404, act


async def test_the_team_is_changed_by_forms(server: Served, alice: Client) -> None:
    await form(alice, "/new", {"name": "genome"})
    bob = await server.browser("bob")
    status, _, text = await form(alice, "/alice/genome/settings/team", {"user": "nobody-here", "role": "member"})
    assert status == 400
    assert "nobody-here" in text
    assert (await form(alice, "/alice/genome/settings/team", {"user": "bob", "role": "viewer"}))[0] == 303
    page = await bob.get("/alice/genome")
    assert page.status == 200
    assert "You are a viewer" in page.text
    assert (await form(bob, "/alice/genome/open/jupyterlab"))[0] == 403
    assert (await form(bob, "/alice/genome/settings/team/remove", {"user": "bob"}))[:2] == (303, "/?done=left")
    assert (await bob.get("/alice/genome")).status == 404


async def test_opening_an_app_leads_to_its_page_and_then_to_the_gateway(server: Served, alice: Client) -> None:
    await form(alice, "/new", {"name": "genome"})
    assert "Start JupyterLab" in (await alice.get("/alice/genome/open/jupyterlab")).text
    sessions = await server.domain.sessions.of_project(await server.actor("alice"), "alice", "genome")
    assert sessions == []  # looking started nothing
    status, there, _ = await form(alice, "/alice/genome/open/jupyterlab")
    assert status == 303
    gateway = server.config.gateway.url
    assert there == "/alice/genome/open/jupyterlab" or there.startswith(gateway)


async def test_deleting_takes_the_name_typed(server: Served, alice: Client) -> None:
    await form(alice, "/new", {"name": "genome"})
    status, _, _ = await form(alice, "/alice/genome/settings/delete", {"typed": "genom"})
    assert status == 400
    assert (await alice.get("/alice/genome")).status == 200
    assert (await form(alice, "/alice/genome/settings/delete", {"typed": "genome"}))[:2] == (
        303,
        "/alice/genome?done=discarded",
    )
    text = (await alice.get("/alice/genome")).text
    assert "This project is deleted" in text
    assert 'action="/alice/genome/open/jupyterlab"' not in text
    assert (await alice.get("/alice/genome/environments")).status in (200, 403)
    assert "/alice/genome" not in (await alice.get("/")).text
    assert "Kept until" in (await alice.get("/?show=deleted")).text
    assert (await form(alice, "/alice/genome/settings/restore"))[:2] == (303, "/alice/genome?done=project-restored")
    assert "/alice/genome" in (await alice.get("/")).text
    assert (await form(alice, "/alice/genome/settings/delete", {"typed": "genome", "when": "now"}))[:2] == (
        303, "/?done=deleting")  # fmt: skip


def focused(page: str) -> str:
    """The one field that a page opens in."""
    (field,) = re.findall(r"<input[^>]*\bautofocus\b[^>]*>", page)
    found = re.search(r'\bname="(\w+)"', field)
    assert found is not None
    return found[1]


async def test_a_limit_is_shown_as_it_can_be_written_back(server: Served, alice: Client) -> None:
    """In a language whose numbers have commas, too; and what counts without one is said."""
    await server.domain.projects.create(await server.actor("alice"), NewProject(name="genome"))
    german, address = {**HTML, "Accept-Language": "de"}, "/alice/genome/compute"
    assert "(space.project_hard): keine Grenze." in (await alice.get(address, headers=german)).text
    written = "1.5 GB"
    for _again in range(2):
        assert (await form(alice, f"{address}/space", {"limit": written}))[0] == 303
        page = (await alice.get(address, headers=german)).text
        (field,) = re.findall(r'<input[^>]*id="f-space"[^>]*>', page)
        written = field.partition('value="')[2].partition('"')[0]
        assert written == "1536M"


async def test_first_visit_makes_the_administrator(tmp_path: Path) -> None:
    async with served(tmp_path, set_up=False) as server:
        visitor = await server.nobody(origin=server.url, headers=HTML)
        for path in ("/", "/login"):
            assert (await visitor.get(path)).headers["Location"].startswith("/setup")
        page = (await visitor.get("/setup")).text
        for told in (
            str(server.config.data_dir),
            f"{server.config.data_dir}/setup-code",
            "It can&#39;t be changed later.",
        ):
            assert told in page
        assert focused(page) == "code"
        assert focused((await visitor.get("/setup?code=abc")).text) == "name"
        fields = {"code": "wrong", "name": "alice", "password": PASSWORD}
        answer = await visitor.post("/setup", data=fields)
        assert answer.status == 403
        assert PASSWORD not in answer.text
        assert focused(answer.text) == "password"
        fields["code"] = server.domain.accounts.setup_code
        answer = await visitor.post("/setup", data=fields)
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert "Your first project" in (await visitor.get("/")).text
        assert (await visitor.get("/setup")).headers["Location"] == "/login"


async def test_many_people_are_paged_by_the_server(server: Served, alice: Client) -> None:
    for number in range(60):
        await server.domain.accounts.create(ROOT, _person(number))
    first = await alice.get("/admin/users")
    assert "62 users" in first.text
    owned = re.search(r'href="/admin/users/alice">.*?data-label="Projects" class="num">(\d+)<', first.text, re.DOTALL)
    assert owned is not None
    assert owned[1] == str(await server.domain.store.count("projects", (("owner", "alice"),)))
    onward = unescape(re.search(r'href="([^"]+)" rel="next"', first.text).group(1))  # type: ignore[union-attr]
    second = await alice.get(onward)
    assert "student59" in second.text
    assert "student00" not in second.text
    assert "student42" in (await alice.get("/admin/users?q=student42")).text
    assert (await alice.get("/people/suggest?q=student4")).json["items"][0]["name"].startswith("student4")


async def test_nobody_learns_whose_e_mail_address_it_is(server: Served) -> None:
    await server.domain.accounts.create(ROOT, NewUser(name="quiet", email="someone@secret-lab.example"))
    curious = await server.browser("curious")
    for words in ("someone@secret-lab.example", "secret-lab", "qui secret"):
        assert (await curious.get(f"/people/suggest?q={words}")).json["items"] == [], words
    assert (await curious.get("/people/suggest?q=qui")).json["items"][0]["name"] == "quiet"


def _person(number: int) -> NewUser:
    return NewUser(name=f"student{number:02}")


async def test_a_public_project_may_be_looked_at(server: Served, alice: Client) -> None:
    actor = await server.actor("alice")
    await server.domain.projects.create(actor, NewProject(name="atlas", visibility=Visibility.PUBLIC))
    bob = await server.browser("bob")
    page = await bob.get("/alice/atlas")
    assert page.status == 200
    assert "Only the team opens apps here" in page.text
    assert (await form(bob, "/alice/atlas/open/jupyterlab"))[0] == 403
