"""Accounts on a real server: sign-in, limits, passwords, tokens, administrators, invitations, e-mail, removal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aen.errors import Conflict, Denied, Invalid, NotFound, NotSignedIn, TooMany
from aen.model.route import RevocationKind
from aen.roles.server.account.accounts import NewUser, Profile, UserPatch
from aen.roles.server.account.refusals import EVERY, Refusals
from aen.roles.server.account.tokens import token_hash
from aen.store import Query
from tests import standin
from tests.fakenode import FakeNode
from tests.served import PASSWORD, ROOT, Served, served
from tests.waiting import until

#: Tests that lean on the store's guarantees (who is first, what is gone, what is found) run on every store.
on_every_store = pytest.mark.parametrize("server", standin.SERVER_STORES, indirect=True)


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    store = standin.store_url(getattr(request, "param", "sqlite"), tmp_path)
    async with served(tmp_path, store=store) as running:
        yield running


async def revoked(server: Served) -> list[tuple[RevocationKind, str]]:
    _, entries = await server.domain.revocations.after(0)
    return [(entry.kind, entry.subject) for entry in entries]


@on_every_store
async def test_sign_in_takes_the_name_in_any_case_and_ends_with_sign_out(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    login = await accounts.sign_in(" ALICE ", PASSWORD, "10.0.0.1", "Firefox")
    actor = await accounts.actor_of_login(login.id)
    assert actor is not None
    assert actor.name == "alice"
    await accounts.sign_out(login.id)
    await accounts.sign_out(login.id)
    assert await accounts.actor_of_login(login.id) is None
    assert (RevocationKind.LOGIN, login.id) in await revoked(server)


@pytest.mark.parametrize(
    "name", ["alice", "nobody-of-that-name", "", "a" * 100_000, "alice\x00", "älice", "*", "(local)"]
)
async def test_a_wrong_name_and_a_wrong_password_look_the_same(server: Served, name: str) -> None:
    await server.person("alice")
    with pytest.raises(NotSignedIn) as refused:
        await server.domain.accounts.sign_in(name, "wrong password", "10.0.0.1", "")
    assert refused.value.message == "The name or the password is wrong. Check both and try again."


@pytest.mark.parametrize("password", ["", "x" * 1_048_576, "ä" * 600, "\ud800" * 20, "nul\x00nul\x00nul"])
async def test_odd_passwords_are_refused(server: Served, password: str) -> None:
    await server.person("alice")
    with pytest.raises(NotSignedIn):
        await server.domain.accounts.sign_in("alice", password, "10.0.0.1", "")
    with pytest.raises(Invalid):
        await server.domain.accounts.set_password(ROOT, "alice", password)


async def test_a_person_without_a_password_cannot_sign_in_with_an_empty_one(server: Served) -> None:
    await server.domain.accounts.create(ROOT, NewUser(name="olga"))
    with pytest.raises(NotSignedIn):
        await server.domain.accounts.sign_in("olga", "", "10.0.0.1", "")


async def test_attempts_are_limited_for_an_account_whoever_tries(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    for attempt in range(10):
        with pytest.raises(NotSignedIn):
            await accounts.sign_in("alice", "wrong password", f"10.0.0.{attempt}", "")
    with pytest.raises(TooMany) as limited:
        await accounts.sign_in("alice", PASSWORD, "10.0.1.1", "")
    assert limited.value.retry_after
    assert limited.value.retry_after > 0


async def test_attempts_are_limited_for_an_address_whatever_the_name(server: Served) -> None:
    accounts = server.domain.accounts
    for attempt in range(10):
        with pytest.raises(NotSignedIn):
            await accounts.sign_in(f"name{attempt}", "wrong password", "10.0.0.1", "")
    with pytest.raises(TooMany):
        await accounts.sign_in("root1", PASSWORD, "10.0.0.1", "")
    assert await accounts.sign_in("root1", PASSWORD, "10.0.0.2", "")


async def test_nobody_can_lock_a_person_out_from_elsewhere(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")
    for attempt in range(10):
        with pytest.raises(NotSignedIn):
            await accounts.sign_in("alice", "wrong password", f"10.9.0.{attempt}", "")
    assert await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")


async def test_failed_sign_ins_stand_in_the_security_log_in_short(server: Served) -> None:
    with pytest.raises(NotSignedIn):
        await server.domain.accounts.sign_in("x\n" * 50_000, "wrong password", "10.0.0.1", "")
    entries, _ = await server.domain.activity.security(ROOT)
    failed = next(entry for entry in entries if entry.act == "login.failed")
    assert len(failed.who) <= 201
    assert "\n" not in failed.who


async def wrong_old_password(server: Served) -> None:
    with pytest.raises(Denied):
        await server.domain.accounts.set_password(await server.actor("alice"), "alice", "another password", "wrong")


async def wrong_set_up_code(server: Served) -> None:
    server.domain.accounts.setup_code = "right"
    with pytest.raises(Denied):
        await server.domain.accounts.set_up("wrong", "mallory", PASSWORD, address="10.0.0.9")


async def wrong_invitation(server: Served) -> None:
    with pytest.raises(Denied):
        await server.domain.accounts.sign_up("mallory", PASSWORD, "wrong", address="10.0.0.9")


async def wrong_token(server: Served) -> None:
    script = await server.nobody(token="aen_" + "x" * 40)
    assert (await script.get("/api/v1/me")).status == 401


async def wrong_token_at_a_gateway(server: Served) -> None:
    with pytest.raises(NotSignedIn):
        await server.domain.accounts.check_token(token_hash("aen_wrong"), "10.0.0.9")


async def old_reset_link(server: Served) -> None:
    assert (await (await server.nobody()).get("/forgotten/wrong")).status == 404


async def too_often(server: Served) -> None:
    for attempt in range(11):
        with pytest.raises((NotSignedIn, TooMany)):
            await server.domain.accounts.sign_in("alice", "wrong password", f"10.0.1.{attempt}", "")


async def locked_out(server: Served) -> None:
    await server.domain.accounts.lock(ROOT, "alice")
    with pytest.raises(Denied):
        await server.domain.accounts.sign_in("alice", PASSWORD, "10.0.0.9", "")


@pytest.mark.parametrize(
    ("fail", "act"),
    [
        (wrong_old_password, "password.wrong"),
        (wrong_set_up_code, "set_up.refused"),
        (wrong_invitation, "sign_up.refused"),
        (wrong_token, "token.refused"),
        (wrong_token_at_a_gateway, "token.refused"),
        (old_reset_link, "password.link_gone"),
        (too_often, "login.held_up"),
        (locked_out, "login.refused"),
    ],
)
async def test_every_failure_stands_in_the_security_log(server: Served, fail: Any, act: str) -> None:
    await server.person("alice")
    await fail(server)
    entries, _ = await server.domain.activity.security(ROOT)
    (entry,) = [entry for entry in entries if entry.act == act]
    assert entry.security
    assert entry.address or act == "password.wrong"


async def test_what_fails_again_and_again_is_counted_and_fills_no_disk(server: Served) -> None:
    moment = 1000.0
    refusals = Refusals(server.domain, clock=lambda: moment)
    for _ in range(500):
        await refusals.note("token.refused", "", "10.0.0.9")
    moment += EVERY
    await refusals.note("token.refused", "", "10.0.0.9")
    for number in range(1000):
        await refusals.note("token.refused", "", f"10.1.{number // 250}.{number % 250}")
    entries, _ = await server.domain.activity.security(ROOT, 1000)
    told = [entry.detail for entry in entries if entry.act == "token.refused"]
    assert len(told) < 400
    assert "(and 499 times before)" in told


async def test_one_address_hides_nothing_that_others_try(server: Served) -> None:
    """By as many names as it likes: it uses up its own part of what is kept in a minute, and no more."""
    refusals = Refusals(server.domain, clock=lambda: 1000.0)
    for number in range(500):
        await refusals.note("login.held_up", f"nobody{number}", "10.0.0.9")
    await refusals.note("login.held_up", "alice", "10.0.0.7")
    entries, _ = await server.domain.activity.security(ROOT, 1000)
    by = [entry.address for entry in entries if entry.act == "login.held_up"]
    assert by.count("10.0.0.7") == 1
    assert by.count("10.0.0.9") < 50


@on_every_store
async def test_a_new_password_ends_logins_and_tokens(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    alice = await server.actor("alice")
    login = await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")
    _, token = await accounts.new_token(alice, "alice")
    with pytest.raises(Denied, match="old password"):
        await accounts.set_password(alice, "alice", "another password", "wrong")
    await accounts.set_password(alice, "alice", "another password", PASSWORD)
    assert await accounts.actor_of_login(login.id) is None
    assert await accounts.actor_of_token(token) is None
    assert (RevocationKind.USER, "alice") in await revoked(server)
    with pytest.raises(NotSignedIn):
        await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")
    assert await accounts.sign_in("alice", "another password", "10.0.0.1", "")


async def test_sign_out_everywhere_leaves_tokens(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    alice = await server.actor("alice")
    logins = [await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "") for _ in range(3)]
    _, token = await accounts.new_token(alice, "alice")
    await accounts.sign_out_everywhere(alice, "alice")
    assert [await accounts.actor_of_login(login.id) for login in logins] == [None, None, None]
    assert await accounts.actor_of_token(token) is not None


@on_every_store
async def test_tokens(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    alice = await server.actor("alice")
    login, token = await accounts.new_token(alice, "alice", "CI", 1, ["read"])
    assert token.startswith("aen_")
    assert len(token) == 44
    stored = await server.domain.store.get("logins", login.id)
    assert stored is not None
    assert token not in str(stored)
    told = await accounts.check_token(token_hash(token))
    assert (told.user, told.scope, told.login) == ("alice", ["read"], login.id)
    for wrong in ("", "aen_", token + "x", token[:-1], token.upper(), "aen_" + "x" * 40, "aen_" + "x" * 100_000):
        assert await accounts.actor_of_token(wrong) is None
    with pytest.raises(NotSignedIn):
        await accounts.check_token("0" * 64)
    assert await accounts.actor_of_login(login.id) is None, "a token's id is no browser login"
    await accounts.end_login(alice, login.id)
    assert await accounts.actor_of_token(token) is None
    assert (RevocationKind.LOGIN, login.id) in await revoked(server)


async def test_a_narrow_token_makes_no_wider_one(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    _, token = await accounts.new_token(ROOT, "alice", scope=["read", "write"])
    narrow = await accounts.actor_of_token(token)
    assert narrow is not None
    with pytest.raises(Denied):
        await accounts.new_token(narrow, "alice")
    with pytest.raises(Denied):
        await accounts.new_token(narrow, "alice", scope=["write", "run"])
    assert await accounts.new_token(narrow, "alice", scope=["read"])


async def test_others_logins_are_not_found(server: Served) -> None:
    await server.person("alice")
    await server.person("bob")
    accounts = server.domain.accounts
    bob = await server.actor("bob")
    login = await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")
    for attempt in (
        accounts.end_login(bob, login.id),
        accounts.logins(bob, "alice"),
        accounts.get(bob, "alice"),
        accounts.set_password(bob, "alice", "another password", PASSWORD),
        accounts.new_token(bob, "alice"),
        accounts.sign_out_everywhere(bob, "alice"),
        accounts.update(bob, "alice", UserPatch(full_name="x")),
    ):
        with pytest.raises(NotFound):
            await attempt


@on_every_store
async def test_locking_ends_everything_at_once(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    login = await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")
    _, token = await accounts.new_token(ROOT, "alice")
    await accounts.lock(ROOT, "alice")
    assert await accounts.actor_of_login(login.id) is None
    assert await accounts.actor_of_token(token) is None
    with pytest.raises(Denied, match="locked"):
        await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")
    with pytest.raises(NotSignedIn):
        await accounts.sign_in("alice", "wrong password", "10.0.0.1", "")
    await accounts.unlock(ROOT, "alice")
    assert await accounts.sign_in("alice", PASSWORD, "10.0.0.1", "")


async def test_the_last_administrator_stays(server: Served) -> None:
    accounts = server.domain.accounts
    for patch in (UserPatch(admin=False), UserPatch(locked=True)):
        with pytest.raises(Conflict, match="last administrator"):
            await accounts.update(ROOT, "root1", patch)
    with pytest.raises(Conflict, match="last administrator"):
        await accounts.remove(ROOT, "root1")
    await server.person("ada", admin=True)
    await accounts.update(ROOT, "root1", UserPatch(admin=False))
    with pytest.raises(Conflict, match="last administrator"):
        await accounts.lock(ROOT, "ada")


@on_every_store
async def test_two_administrators_at_once_do_not_both_go(server: Served) -> None:
    await server.person("ada", admin=True)
    accounts = server.domain.accounts
    removed = await asyncio.gather(
        accounts.update(ROOT, "root1", UserPatch(admin=False)),
        accounts.update(ROOT, "ada", UserPatch(admin=False)),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, Conflict) for one in removed) == [False, True]


async def test_nobody_raises_themselves(server: Served) -> None:
    await server.person("alice")
    accounts = server.domain.accounts
    alice = await server.actor("alice")
    with pytest.raises(Denied):
        await accounts.update(alice, "alice", UserPatch(admin=True))
    with pytest.raises(Denied):
        await accounts.create(alice, NewUser(name="mallory", admin=True))
    with pytest.raises(Denied):
        await accounts.invite(alice, admin=True)
    root1 = await server.actor("root1")
    for patch in (UserPatch(admin=False), UserPatch(locked=True)):
        with pytest.raises(Denied, match="own rights"):
            await accounts.update(root1, "root1", patch)
    with pytest.raises(Denied):
        await accounts.remove(root1, "root1")


@pytest.mark.parametrize(
    "name",
    [
        "root",
        "aen",
        "wakari",
        ".",
        "..",
        "-rf",
        "a/b",
        "a b",
        "'",
        "$(x)",
        "`x`",
        "a\n",
        "😀",
        "\u202eevil",
        "",
        "a" * 300,
        "a-",
        "Admin",
        "ɑdmin",
        "1234",
        "(local)",
    ],
)
async def test_names_that_nobody_can_have(server: Served, name: str) -> None:
    with pytest.raises(Invalid):
        await server.domain.accounts.create(ROOT, NewUser(name=name, password=PASSWORD))


async def test_the_service_account_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        config = server.domain.config
        server.domain.config = config.model_copy(update={"service_account": "svc"})
        with pytest.raises(Invalid, match="AEN itself runs as"):
            await server.domain.accounts.create(ROOT, NewUser(name="svc", password=PASSWORD))


@on_every_store
async def test_an_email_address_belongs_to_one(server: Served) -> None:
    accounts = server.domain.accounts
    await accounts.create(ROOT, NewUser(name="alice", email="Alice@Example.org"))
    with pytest.raises(Conflict, match="e-mail"):
        await accounts.create(ROOT, NewUser(name="bob", email="alice@example.ORG"))
    assert await accounts.find("bob") is None
    await accounts.create(ROOT, NewUser(name="bob", email="bob@example.org"))
    with pytest.raises(Conflict):
        await accounts.update(ROOT, "bob", UserPatch(email="alice@example.org"))
    await accounts.update(ROOT, "alice", UserPatch(email="alice@work.example.org"))
    await accounts.update(ROOT, "bob", UserPatch(email="alice@example.org"))
    for wrong in ("a@b@c", "a", "@", "a@", "a b@c", "a\n@c"):
        with pytest.raises(Invalid):
            await accounts.update(ROOT, "bob", UserPatch(email=wrong))
    with pytest.raises(Conflict, match="taken"):
        await accounts.create(ROOT, NewUser(name="bob", email="third@example.org"))
    await accounts.create(ROOT, NewUser(name="carol", email="third@example.org"))


@on_every_store
async def test_an_invitation_works_once(server: Served) -> None:
    await server.node()
    accounts = server.domain.accounts
    with pytest.raises(Denied, match="by invitation"):
        await accounts.sign_up("alice", PASSWORD)
    code = await accounts.invite(ROOT, email="alice@example.org")
    with pytest.raises(Invalid):
        await accounts.sign_up("alice", "short", code)
    with pytest.raises(Conflict):
        await accounts.sign_up("root1", PASSWORD, code)
    made = await asyncio.gather(
        *(accounts.sign_up(name, PASSWORD, code) for name in ("alice", "bob", "carol")), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in made) == ["Denied", "Denied", "User"]
    assert await accounts.invitation(code) is None
    for wrong in ("x", "x" * 100_000, code[:-1]):
        with pytest.raises(Denied):
            await accounts.sign_up("dave", PASSWORD, wrong)


async def test_an_invitation_leads_into_a_project(server: Served) -> None:
    await server.person("olga")
    await server.node()
    olga = await server.script("olga")
    assert (await olga.post("/api/v1/projects", {"name": "genome"})).status == 201
    code = await server.domain.accounts.invite(ROOT, project="olga/genome", role="viewer")
    await server.domain.accounts.sign_up("alice", PASSWORD, code)
    alice = await server.script("alice")
    assert (await alice.get("/api/v1/projects/olga/genome")).json["role"] == "viewer"


@on_every_store
async def test_registration_opens_and_closes(server: Served) -> None:
    accounts = server.domain.accounts
    assert not await accounts.registration_open()
    await accounts.set_registration(ROOT, True)
    assert (await accounts.sign_up("alice", PASSWORD, profile=Profile(full_name="Alice"))).admin is False
    await accounts.set_registration(ROOT, False)
    with pytest.raises(Denied):
        await accounts.sign_up("bob", PASSWORD)


async def test_the_set_up_code_makes_one_administrator(tmp_path: Path) -> None:
    async with served(tmp_path, set_up=False) as server:
        accounts = server.domain.accounts
        file = Path(server.config.data_dir) / "setup-code"
        assert file.read_text().strip() == accounts.setup_code
        assert file.stat().st_mode & 0o777 == 0o600
        with pytest.raises(Denied):
            await accounts.set_up("wrong", "ada", PASSWORD)
        code = accounts.setup_code
        made = await asyncio.gather(
            *(accounts.set_up(code, name, PASSWORD) for name in ("ada", "eve")), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in made) == ["Conflict", "User"]
        assert not accounts.needs_setup()
        assert not file.exists()
    async with served(tmp_path, set_up=False) as again:
        assert not again.domain.accounts.needs_setup()


@on_every_store
async def test_removing_a_person(server: Served) -> None:
    await server.node()
    accounts = server.domain.accounts
    alice = await server.script("alice")
    await server.person("olga")
    olga = await server.script("olga")
    await alice.post("/api/v1/projects", {"name": "mine"})
    await olga.post("/api/v1/projects", {"name": "genome"})
    await olga.ask("PUT", "/api/v1/projects/olga/genome/team/alice")
    with pytest.raises(Conflict, match="alice/mine"):
        await accounts.remove(ROOT, "alice")
    assert (await alice.ask("DELETE", "/api/v1/projects/alice/mine")).status == 202
    mine = await server.domain.store.find("projects", Query((("owner", "alice"),), sort="updated"))
    await server.domain.store.delete("projects", mine.items[0]["id"])
    await accounts.remove(ROOT, "alice")
    assert (await alice.get("/api/v1/me")).status == 401
    assert [member["user"] for member in (await olga.get("/api/v1/projects/olga/genome/team")).json["items"]] == [
        "olga"
    ]
    again = await accounts.create(ROOT, NewUser(name="alice", password=PASSWORD))
    assert again.incarnation
    assert (await alice.get("/api/v1/me")).status == 401, "a recreated name inherits nothing"


async def test_nobody_chooses_whose_linux_account_they_get(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """`existing`: a name is a Linux account that is there already, so an administrator gives it."""
    accounts = server.domain.accounts
    code = await accounts.invite(ROOT)
    await accounts.set_registration(ROOT, True)
    monkeypatch.setattr(server.domain.config.accounts, "mode", "existing")
    for given in (code, ""):
        with pytest.raises(Denied, match="Linux accounts that exist"):
            await accounts.sign_up("nobody-yet", PASSWORD, given)
    assert await accounts.find("nobody-yet") is None


async def test_an_account_of_a_node_that_aen_may_not_take_is_told_at_once(server: Served) -> None:
    """By administrators and by sign-up, not at the first session; who signs up is told no more of it than that."""
    accounts = server.domain.accounts
    await accounts.set_registration(ROOT, True)
    boss = await server.browser("boss", admin=True)
    async with FakeNode(server.role.context.bus) as node:
        node.foreign = {"postgres": 117, "carl": 1004}

        async def known() -> bool:
            return bool(server.domain.nodes.list())

        await until(known, 10, "the node is known")
        with pytest.raises(
            Conflict, match=r"n1 has an account of the system of that name \(uid 117\)\. Choose another"
        ):
            await accounts.create(ROOT, NewUser(name="postgres"))
        answer = await boss.post("/api/v1/users", json={"name": "carl", "password": PASSWORD})
        assert (answer.status, "run aen user link carl on n1, as root" in answer.text) == (409, True)
        page = await boss.post("/admin/users/new", data={"name": "carl", "csrf": boss.csrf})
        assert (page.status, "run aen user link carl on n1, as root" in page.text) == (409, True)
        with pytest.raises(Conflict, match="Choose another, or ask an administrator") as told:
            await accounts.sign_up("carl", PASSWORD)
        assert "1004" not in told.value.message
        assert [await accounts.find(name) for name in ("postgres", "carl")] == [None, None]
        made = await boss.post("/api/v1/users", json={"name": "dora", "password": PASSWORD})
        assert (made.status, made.json["note"]) == (201, "")
        node.no_place = {"frida": "/home/frida is there already."}
        made = await boss.post("/api/v1/users", json={"name": "frida", "password": PASSWORD})
        assert (made.status, made.json["note"]) == (201, "n1: /home/frida is there already.")
    made = await boss.post("/api/v1/users", json={"name": "carl", "password": PASSWORD})  # nobody is there to ask
    assert made.status == 201
    assert made.json["note"].startswith("Not heard now: n1. If there is a Linux account of that name there")
    with pytest.raises(Conflict, match="this machine has an account of the system of that name"):
        await accounts.create(ROOT, NewUser(name="games"))
    await accounts.sign_up("emil", PASSWORD)
