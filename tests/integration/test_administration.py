"""Administration on a real server: settings, faults, jobs, lists, the security log, reports, acting for support."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.faults import Collector, describe, without_secrets
from aen.model import new_id, now
from aen.model.activity import Activity
from aen.model.job import Job, JobState
from aen.model.node import Load, NodeRecord
from aen.model.session import Phase, Session
from aen.roles.server.admin.daily import Daily
from aen.roles.server.admin.overseeing import SessionFilter
from aen.roles.server.admin.security import Wanted
from aen.roles.server.node.loads import FINE_MS, Loaded
from aen.roles.server.permissions import Actor
from aen.roles.server.project.projects import NewProject
from tests.served import PASSWORD, ROOT, Client, Served, served
from tests.waiting import until

DAY = 86_400_000
NOON = 1_790_000_000_000 - 1_790_000_000_000 % DAY + DAY // 2  # of a Monday or any other day, UTC


# ── settings ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_setting_comes_before_the_configuration_until_it_is_taken_back(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        settings = server.domain.settings
        admin = await server.actor("root1")
        assert settings.value("sharing.link_days") == 30
        changed = await settings.set(admin, "sharing.link_days", 5)
        assert (changed.value, changed.configured, changed.by) == (5, 30, "root1")
        assert settings.value("sharing.link_days") == 5
        back = await settings.take_back(admin, "sharing.link_days")
        assert (back.value, back.at) == (30, 0)
        acts = [entry.act for entry in (await server.domain.activity.security(admin))[0]]
        assert acts[:2] == ["setting.taken_back", "setting.changed"]


async def test_settings_outlive_a_restart_and_old_registration_is_taken_over(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.domain.settings.set(ROOT, "new_projects.visibility", "public")
        await server.domain.store.insert("settings", {"id": "registration", "open": True})
        assert not await server.domain.accounts.registration_open()
    async with served(tmp_path, set_up=False) as server:
        await server.node()
        assert await server.domain.accounts.registration_open()
        await server.person("alice")
        project = await server.domain.projects.create(await server.actor("alice"), NewProject(name="open"))
        assert project.visibility == "public"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sharing.link_days", 0),
        ("sharing.link_days", "5"),
        ("sharing.link_days", True),
        ("sharing.links", 1),
        ("new_projects.visibility", "secret"),
        ("server.registration.domains", ["no domain"]),
        ("announcement", {"text": "x", "level": "loud"}),
        ("announcement", {"text": "x" * 501}),
        ("announcement", "x"),
    ],
)
async def test_a_wrong_value_changes_nothing(tmp_path: Path, name: str, value: Any) -> None:
    async with served(tmp_path) as server:
        before = server.domain.settings.value(name)
        with pytest.raises(Invalid):
            await server.domain.settings.set(ROOT, name, value)
        assert server.domain.settings.value(name) == before


async def test_only_what_is_marked_can_be_set(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        with pytest.raises(NotFound):
            await server.domain.settings.set(ROOT, "server.secret_key", "x" * 40)
        await server.person("bob")
        with pytest.raises(Denied):
            await server.domain.settings.set(await server.actor("bob"), "sharing.links", False)


async def test_a_stored_setting_that_makes_no_sense_is_left_to_the_configuration(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.domain.store.insert("settings", {"id": "live:sharing.links", "value": "maybe", "by": "x", "at": 1})
        await server.domain.settings.list(ROOT)
        assert server.domain.settings.value("sharing.links") is True


async def test_an_announcement_stands_on_every_page_until_its_end(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        text = "Down on <b>Friday</b>"
        await server.domain.settings.set(
            ROOT, "announcement", {"text": text, "level": "warning", "until": now() + 60_000}
        )
        browser = await server.browser("root1")
        assert "Down on &lt;b&gt;Friday&lt;/b&gt;" in (await browser.get("/")).text
        await server.domain.settings.set(ROOT, "announcement", {"text": text, "level": "warning", "until": now() - 1})
        assert "Down on" not in (await browser.get("/")).text


# ── faults ──────────────────────────────────────────────────────────────────────────────────────────


def fail(message: str = "oh no") -> Exception:
    try:
        raise KeyError(message)
    except KeyError as error:
        return error


async def test_faults_are_grouped_counted_and_read(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        faults, browser = server.domain.faults, await server.browser("root1")
        for number in range(3):
            await server.role.context.bus.publish(
                describe(fail(), "request failed", f"id{number}").model_copy(update={"node": f"n{number}"})
            )

        async def counted() -> bool:
            found, _ = await faults.list(ROOT)
            return bool(found) and found[0].count == 3

        await until(counted, 20, "three faults are one kind")
        [fault] = (await faults.list(ROOT))[0]
        assert (fault.ids, fault.nodes, fault.unread) == (["id2", "id1", "id0"], ["n0", "n1", "n2"], True)
        assert 'class="badge">1' in (await browser.get("/")).text
        page = await browser.get("/admin/exceptions")
        assert "KeyError" in page.text
        assert "id2" in page.text
        for asked, there in (
            ("id1", True),
            ("KEYERROR", True),
            ("id9", False),
        ):  # by the id that somebody was told, by a word
            assert ("item fault" in (await browser.get(f"/admin/exceptions?q={asked}")).text) is there
        assert (await browser.post("/admin/exceptions/read", data={})).status == 303
        assert 'class="badge"' not in (await browser.get("/")).text
        await faults.take(describe(fail(), "request failed"))
        assert faults.unread == 1  # it happened again


async def test_a_bad_node_fills_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        template = describe(fail(), "x")
        for number in range(520):
            await server.domain.faults.take(template.model_copy(update={"fingerprint": f"{number:016x}"}))
        assert await server.domain.store.count("faults") == 500


def test_what_the_log_says_is_taken_once_and_not_too_often() -> None:
    collector = Collector()
    for _ in range(100):
        collector.notice({"event": "x", "exc_info": fail()})
    assert len(collector._waiting) == 20
    collector.notice({"event": "no exception"})
    assert len(collector._waiting) == 20


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "{'password': 'hunter2'}",
        "Authorization: hunter2",
        "Bearer hunter2",
        "mongodb://u:hunter2@host/x",
        "token: hunter2",
    ],
)
def test_traces_hold_no_secrets(text: str) -> None:
    assert "hunter2" not in without_secrets(f"it failed: {text} so there")
    assert "hunter2" not in describe(fail(text), "x").model_dump_json()


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failed_job_is_tried_again_and_the_queue_ordered(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        jobs, tries = server.domain.jobs, []

        async def work(job: Job, progress: object) -> None:
            tries.append(job.id)
            if len(tries) == 1:
                raise Invalid("not today")

        jobs.handle("test.work", work)
        job = await jobs.add("test.work")

        async def state(wanted: JobState) -> bool:
            return (await jobs.get(ROOT, job.id)).state is wanted

        await until(lambda: state(JobState.FAILED), 20, "it failed")
        browser = await server.browser("root1")
        assert "not today" in (await browser.get("/admin/jobs?state=FAILED&kind=test.work")).text
        page = (await browser.get("/admin/jobs?kind=project.delete", headers={"Accept-Language": "de"})).text
        assert '<option value="project.delete" selected>Ein Projekt löschen</option>' in page
        assert (await browser.post(f"/admin/jobs/{job.id}/retry", data={})).status == 303
        await until(lambda: state(JobState.DONE), 20, "it is done")
        with pytest.raises(Conflict):
            await jobs.retry(ROOT, job.id)
        waiting = await jobs.add("test.nobody", delay=3600)
        assert (await jobs.prioritize(ROOT, waiting.id, 7)).priority == 7
        with pytest.raises(Invalid):
            await jobs.prioritize(ROOT, waiting.id, 101)
        assert [one["here"] for one in await jobs.workers(ROOT)] == [True]


# ── lists ───────────────────────────────────────────────────────────────────────────────────────────


def session(user: str, node: str, phase: Phase) -> dict[str, Any]:
    made = Session(
        id=new_id(),
        project="p",
        slug=f"{user}/x",
        owner=user,
        name="x",
        app_server="jupyter",
        app="jupyterlab",
        user=user,
        started_by=user,
        datacenter="main",
        node=node,
        phase=phase,
    )
    return made.model_dump(mode="json")


async def test_sessions_are_found_by_person_node_and_phase(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        for user in ("alice", "bob"):
            for node in ("n1", "n2"):
                for phase in (Phase.PROBLEM, Phase.STOPPED):
                    await server.domain.store.insert("sessions", session(user, node, phase))
        overseeing = server.domain.overseeing

        async def count(**wanted: str) -> int:
            return len((await overseeing.sessions(ROOT, SessionFilter(**wanted)))[0])

        assert await count() == 8
        assert await count(user="bob") == 4
        assert await count(node="n1") == 4
        assert await count(node="n1", phase="STOPPED") == 2
        assert await count(user="bob", node="n1", phase="STOPPED") == 1
        assert await count(phase="live") == 0
        told, problems = await overseeing.stop(ROOT, ["none", "none"])
        assert (told, len(problems)) == (0, 1)
        with pytest.raises(Invalid):
            await overseeing.stop(ROOT, [])


async def test_projects_are_sorted_and_found(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.node()
        await server.person("alice")
        alice = await server.actor("alice")
        for name, size in (("small", 10), ("large", 1000), ("middle", 100)):
            made = await server.domain.projects.create(alice, NewProject(name=name, summary=f"a {name} thing"))
            await server.domain.store.replace("projects", {**made.model_dump(mode="json"), "size": size})
        found, _, total = await server.domain.overseeing.projects(ROOT, sort="size")
        assert ([project.name for project in found], total) == (["large", "middle", "small"], 3)
        found, _, _ = await server.domain.overseeing.projects(ROOT, search="middl")
        assert [project.name for project in found] == ["middle"]


# ── the security log ────────────────────────────────────────────────────────────────────────────────


async def records(server: Served, count: int) -> None:
    for number in range(count):
        who = f"u{number % 5}"
        made = Activity(
            id=new_id(),
            at=1000 + number,
            who=who,
            actor="=cmd()" if number == 0 else who,
            act="login.failed" if number % 3 else "login.succeeded",
            address=f"10.0.0.{number % 2}",
            security=True,
        )
        await server.domain.store.insert("activity", made.model_dump(mode="json"))


async def test_the_log_is_found_by_person_act_address_and_time(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await records(server, 60)
        page = server.domain.security.page

        async def count(**wanted: Any) -> int:
            return len((await page(ROOT, Wanted(**wanted), limit=500))[0])

        assert await count(who="u1") == 12
        assert await count(act="login.succeeded", high=2000) == 20
        assert await count(address="10.0.0.1") == 30
        assert await count(who="u1", act="login.succeeded") == 4
        assert await count(low=1010, high=1019) == 10
        first, cursor = await page(ROOT, Wanted(act="login.failed", high=2000), limit=10)
        rest, end = await page(ROOT, Wanted(act="login.failed", high=2000), limit=100, cursor=cursor)
        assert (len(first), len(rest), end) == (10, 30, "")
        assert first[0].at > first[-1].at > rest[0].at
        with pytest.raises(Invalid):
            await page(ROOT, Wanted(low=2, high=1))


async def test_acts_are_chosen_by_words_in_the_readers_language(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        browser = await server.browser("root1")
        for language, words in ("en", "Signed in"), ("de", "Angemeldet"):
            headers = {"Accept-Language": language}
            page = (await browser.get("/admin/security?act=login.succeeded", headers=headers)).text
            assert f'<option value="login.succeeded" selected>{words}</option>' in page
            assert '<option value="node.joined">' in page
        kept = (await browser.get("/admin/security?act=registration.opened")).text
        assert 'value="registration.opened" selected' in kept  # of records of before


async def test_the_log_is_exported_without_formulas(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await records(server, 2500)
        browser = await server.browser("root1")
        answer = await browser.get("/admin/security/export.csv?to=1970-01-02")
        rows = list(csv.reader(io.StringIO(answer.text)))
        assert len(rows) == 2501
        assert rows[-1][1] == "'=cmd()"
        lines = (await browser.get("/admin/security/export.jsonl?act=login.succeeded&to=1970-01-02")).text.splitlines()
        assert len(lines) == 834
        assert json.loads(lines[0])["act"] == "login.succeeded"
        assert (await server.domain.activity.security(ROOT))[0][0].act == "security.exported"


# ── reports ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_report_counts_each_day_once(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        store = server.domain.store
        for back, act, count in ((0, "login.succeeded", 3), (1, "login.succeeded", 5), (1, "environment.roll-back", 2)):
            for number in range(count):
                made = Activity(id=new_id(), at=NOON - back * DAY + number, who="x", actor="x", act=act)
                await store.insert("activity", made.model_dump(mode="json"))
        clock = NOON + 1000
        daily = Daily(server.domain, lambda: clock)
        assert await daily.count_past() == 30
        assert await daily.count_past() == 0
        assert (await daily.report(ROOT, "today")).acts == {"login.succeeded": 3}
        assert (await daily.report(ROOT, "today")).acts == {"login.succeeded": 3}
        late = Activity(id=new_id(), at=NOON + 2, who="x", actor="x", act="login.failed")
        await store.insert("activity", late.model_dump(mode="json"))
        assert (await daily.report(ROOT, "today")).acts == {"login.succeeded": 3, "login.failed": 1}
        assert (await daily.report(ROOT, "yesterday")).acts == {"login.succeeded": 5, "environment.roll-back": 2}
        with pytest.raises(Invalid):
            await daily.report(ROOT, "century")


async def test_session_hours_are_sampled_once_a_minute(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.domain.store.insert("sessions", session("alice", "gone", Phase.RUNNING))
        clock = NOON
        daily = Daily(server.domain, lambda: clock)
        await daily.sample()
        clock += 60_000
        await daily.sample()
        await daily.sample()  # another server, in the same minute
        clock += DAY // 10  # AEN was down: nobody knows what ran
        await daily.sample()
        period = await daily.report(ROOT, "today")
        assert period.session_hours == pytest.approx((1 + 3) / 60)
        assert period.most_sessions == 1


async def test_the_load_of_a_node_is_kept_bounded(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.node()

        async def heard() -> bool:
            return server.domain.nodes.get("n1") is not None

        await until(heard, 20, "the node is heard")
        clock = NOON
        loaded = Loaded(server.domain, lambda: clock)
        node = NodeRecord(
            id="n1",
            roles=["compute"],
            datacenter="main",
            version="0",
            load=Load(cpus=4, load1=2, memory_total=10, memory_free=4, disk_total=100, disk_free=25),
        )
        for _ in range(700):
            await loaded._take(node)
            await loaded._take(node)
            clock += FINE_MS
        loads = await loaded.of(ROOT, "n1")
        assert (len(loads.fine), len(loads.coarse)) == (576, 59)
        assert (loads.fine[-1].load, loads.fine[-1].memory, loads.fine[-1].disk) == (0.5, 0.6, 0.75)
        with pytest.raises(NotFound):
            await loaded.of(ROOT, "nowhere")


async def test_the_report_can_be_looked_at_and_downloaded(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        browser = await server.browser("root1")
        page = await browser.get("/admin/report?period=week")
        assert '<svg class="plot"' in page.text
        assert "style=" not in page.text.partition("<svg class")[2].partition("</svg>")[0]
        assert (await browser.get("/admin/report.json?period=today")).json["acts"]["login.succeeded"] == 1
        assert "acts.login.succeeded,1" in (await browser.get("/admin/report.csv")).text
        assert (await browser.get("/admin/report?period=century")).status == 400
        assert '<td title="login.succeeded">Signed in</td>' in page.text
        german = (await browser.get("/admin/report?period=week", headers={"Accept-Language": "de"})).text
        assert '<td title="login.succeeded">Angemeldet</td>' in german


# ── acting for support ──────────────────────────────────────────────────────────────────────────────


async def acting(server: Served) -> Client:
    """root1's browser, acting as bob."""
    await server.node()
    await server.person("bob")
    browser = await server.browser("root1")
    answer = await browser.post("/admin/users/bob/act", data={"reason": "ticket 4711"})
    assert answer.status == 303, answer.text
    me = await browser.get("/api/v1/me")
    assert me.json["name"] == "bob"
    browser.csrf = me.json["csrf"]
    return browser


async def test_acting_is_seen_by_both_and_ends_by_the_button(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        browser = await acting(server)
        assert "You act as bob" in (await browser.get("/")).text
        created = await browser.post("/api/v1/projects", {"name": "helped"})
        assert created.status == 201, created.text
        assert (await browser.post("/acting/end", data={})).status == 303
        assert (await browser.get("/api/v1/me")).json["name"] == "root1"
        bob = await server.actor("bob")
        seen = [
            (entry.actor, entry.act, entry.detail) for entry in (await server.domain.activity.of_user(bob, "bob"))[0]
        ]
        assert ("root1", "acting.began", "ticket 4711") in seen
        assert ("root1", "project.created", "") in seen
        own, _ = await server.domain.activity.of_user(ROOT, "root1")
        assert {"acting.began", "acting.ended"} <= {entry.act for entry in own}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/v1/users/bob/password", {"new": PASSWORD + "2", "old": PASSWORD}),
        ("POST", "/api/v1/users/bob/tokens", {}),
        (
            "POST",
            "/api/v1/users/bob/keys",
            {"key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOao0n5uNK+I6pENBOkngKHuAZl2tb4E5vXSDdq7Oo7o"},
        ),
        ("PATCH", "/api/v1/users/bob", {"email": "root@example.org"}),
        ("POST", "/api/v1/users/bob/sign-out", None),
        ("DELETE", "/api/v1/projects/bob/mine", None),
        ("POST", "/api/v1/projects/bob/mine/sessions", {"app": "jupyterlab"}),
        ("GET", "/api/v1/admin/settings", None),
        ("GET", "/gateway/enter?gateway=http%3A%2F%2F127.0.0.2%3A1&nonce=" + "0" * 64, None),
        ("POST", "/admin/users/carol/act", None),
    ],
)
async def test_what_stays_or_runs_is_closed_while_acting(tmp_path: Path, method: str, path: str, body: Any) -> None:
    async with served(tmp_path) as server:
        browser = await acting(server)
        await server.domain.projects.create(await server.actor("bob"), NewProject(name="mine"))
        assert (await browser.ask(method, path, body)).status == 403


@pytest.mark.parametrize("name", ["root1", "ada", "locked", "nobody-here"])
async def test_whom_nobody_acts_as(tmp_path: Path, name: str) -> None:
    async with served(tmp_path) as server:
        await server.person("ada", admin=True)
        await server.person("locked")
        await server.domain.accounts.lock(ROOT, "locked")
        browser = await server.browser("root1")
        assert (await browser.post(f"/admin/users/{name}/act", data={"reason": "because of it"})).status in (403, 404)
        assert (await browser.get("/api/v1/me")).json["name"] == "root1"


async def test_acting_needs_a_reason_and_a_browser(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.person("bob")
        browser = await server.browser("root1")
        assert (await browser.post("/admin/users/bob/act", data={"reason": " x "})).status == 400
        with pytest.raises(Denied):
            await server.domain.acting.begin_as(ROOT, "bob", "because of it")
        script = await server.script("root1")
        assert (await script.post("/admin/users/bob/act", data={"reason": "because of it"})).status == 403


async def end_by_time(server: Served, admin: Actor) -> None:
    [doc] = [doc for doc in await all_logins(server, "bob") if doc["acting"]]
    await server.domain.store.replace("logins", {**doc, "expires": now() - 1})
    server.domain.accounts._logins.drop(doc["id"])


async def end_by_lock_of_the_person(server: Served, admin: Actor) -> None:
    await server.domain.accounts.lock(ROOT, "bob")


async def end_by_lock_of_the_administrator(server: Served, admin: Actor) -> None:
    await server.person("ada", admin=True)
    await server.domain.accounts.lock(ROOT, "root1")


async def end_by_taking_the_rights(server: Served, admin: Actor) -> None:
    await server.person("ada", admin=True)
    await server.domain.accounts.change_user("root1", lambda user: setattr(user, "admin", False))


async def end_by_signing_out_elsewhere(server: Served, admin: Actor) -> None:
    await server.domain.accounts.sign_out_everywhere(ROOT, "root1")


async def all_logins(server: Served, user: str) -> list[dict[str, Any]]:
    from aen.store import Query

    return (await server.domain.store.find("logins", Query((("user", user),), sort="created"))).items


@pytest.mark.parametrize(
    "end",
    [
        end_by_time,
        end_by_lock_of_the_person,
        end_by_lock_of_the_administrator,
        end_by_taking_the_rights,
        end_by_signing_out_elsewhere,
    ],
)
async def test_acting_ends(tmp_path: Path, end: Any) -> None:
    async with served(tmp_path) as server:
        browser = await acting(server)
        await end(server, await server.actor("root1"))
        assert (await browser.get("/api/v1/me")).status == 401
