"""Files found by search, projects copied, exported and imported: the real program, real accounts, as people and strangers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_main_job import project_of
from tests.served import Client
from tests.waiting import until
from tests.world import World

READY_SECONDS = 300  # the first start also makes the root environments


@pytest.fixture(scope="module")
def box() -> Any:
    """AEN that reads running projects for search again and again; people are accounts of their own, if it is root."""
    with World(options={"search": {"minutes": 0.02}}) as made:
        yield made


def folder(box: World, slug: str) -> Path:
    return Path(box.config["compute"]["project_root"]) / slug


def put(box: World, owner: str, path: Path, data: bytes) -> None:
    """A file written by its owner, through their own rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["tee", str(path)]
    as_them = ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--init-groups"] if box.managed else []
    subprocess.run([*as_them, *command], input=data, check=True, stdout=subprocess.DEVNULL)


async def running(client: Client, slug: str) -> None:
    assert (await client.post(f"/api/v1/projects/{slug}/start", {})).status == 202

    async def state() -> bool:
        found = (await client.get(f"/api/v1/projects/{slug}")).json
        assert found["state"] != "PROBLEM", found
        return bool(found["state"] == "RUNNING")

    await until(state, READY_SECONDS, f"{slug} runs")


async def files(client: Client, words: str) -> list[str]:
    """What that person finds; the count and the suggestions say the same."""
    before = await _found(client, words)
    told = (await client.get("/api/v1/search/suggestions", params={"q": words})).json["items"]
    after = await _found(client, words)  # the index may learn or forget a file between two questions
    assert {one["title"] for one in told if one["kind"] == "files"} <= {*before, *after}
    return after


async def _found(client: Client, words: str) -> list[str]:
    found = (await client.get("/api/v1/search", params={"q": words, "kind": "files"})).json
    assert found["counts"]["files"] == len(found["items"]), found
    return sorted(one["title"] for one in found["items"])


async def finds(client: Client, words: str, *wanted: str) -> None:
    async def look() -> bool:
        return await files(client, words) == sorted(wanted)

    await until(look, 60, f"{words} is found in {wanted}")


def notebook(source: str) -> bytes:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "source": [source],
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


async def test_secrets_are_found_by_nobody_who_may_not_read_them(box: World) -> None:
    owner, mate, viewer, stranger = (box.add(word) for word in ("own", "mate", "look", "str"))
    async with (
        box.client(owner) as mine,
        box.client(mate) as theirs,
        box.client(viewer) as looking,
        box.client(stranger) as outside,
    ):
        slug = await project_of(mine, owner, "vault")
        for user, role in ((mate, "member"), (viewer, "viewer")):
            answer = await mine.ask("PUT", f"/api/v1/projects/{slug}/team/{user}", {"role": role})
            assert answer.status == 200, answer.text
        await running(mine, slug)
        here = folder(box, slug)
        put(box, owner, here / "plan.ipynb", notebook("import zebrafish  # quokkasecret"))
        put(box, owner, here / "closed.txt", b"narwhalsecret\n")
        put(box, owner, here / ".hidden.txt", b"axolotlsecret\n")
        put(box, owner, here / "envs" / "planted.txt", b"axolotlsecret\n")
        put(box, owner, here / "table.bin", b"\0\1\2axolotlsecret\n")
        if box.managed:
            subprocess.run(["setfacl", "-b", str(here / "closed.txt")], check=True)
            (here / "closed.txt").chmod(0o600)
        for client in (mine, theirs, looking):
            await finds(client, "quokkasecret", "plan.ipynb")
        await finds(mine, "narwhalsecret", "closed.txt")
        if box.managed:  # in evaluation mode all are one account
            assert await files(theirs, "narwhalsecret") == []
            assert await files(looking, "narwhalsecret closed") == []
        assert await files(mine, "axolotlsecret") == []
        for words in ("quokkasecret", "narwhalsecret", "plan", "closed", "zebrafish"):
            assert await files(outside, words) == []

        # Made public, its files are still for the team; the stranger sees that it exists, and no more.
        assert (await mine.ask("PATCH", f"/api/v1/projects/{slug}", {"visibility": "public"})).status == 200
        assert await files(outside, "quokkasecret") == []

        await _left_locked_renamed_deleted(box, slug, mine, theirs, looking)


async def _left_locked_renamed_deleted(box: World, slug: str, mine: Client, theirs: Client, looking: Client) -> None:
    owner, here = slug.split("/")[0], folder(box, slug)
    mate = (await theirs.get("/api/v1/me")).json["name"]
    viewer = (await looking.get("/api/v1/me")).json["name"]
    assert (await mine.ask("DELETE", f"/api/v1/projects/{slug}/team/{mate}")).status == 200
    assert await files(theirs, "quokkasecret") == []  # at once, whatever the index says
    async with box.client(box.add("adm", admin=True)) as admin:
        locked = await admin.ask("PATCH", f"/api/v1/users/{viewer}", {"locked": True})
        assert locked.status == 200, locked.text
    assert (await looking.get("/api/v1/search", params={"q": "quokkasecret"})).status in (401, 403)

    (here / "plan.ipynb").rename(here / "renamed.ipynb")
    await finds(mine, "quokkasecret", "renamed.ipynb")
    (here / "renamed.ipynb").unlink()
    await finds(mine, "quokkasecret")

    put(box, owner, here / "last.md", b"wombatsecret")
    await finds(mine, "wombatsecret", "last.md")
    assert (await mine.ask("DELETE", f"/api/v1/projects/{slug}", {})).status == 202
    assert await files(mine, "wombatsecret") == []


async def made(client: Client, job: str) -> dict[str, Any]:
    """Wait for a job's end."""

    async def ended() -> dict[str, Any] | None:
        found = (await client.get(f"/api/v1/jobs/{job}")).json
        return found if found["state"] in ("DONE", "FAILED", "CANCELLED") else None

    return await until(ended, READY_SECONDS, "the job ends")


async def test_a_project_is_copied_exported_and_imported(box: World) -> None:
    owner, viewer, stranger = (box.add(word) for word in ("exp", "vwr", "non"))
    async with box.client(owner) as mine, box.client(viewer) as looking, box.client(stranger) as outside:
        slug = await project_of(mine, owner, "source")
        changes = {"summary": "Fish", "tags": ["fish"], "description": "# Fish"}
        assert (await mine.ask("PATCH", f"/api/v1/projects/{slug}", changes)).status == 200
        assert (await mine.ask("PUT", f"/api/v1/projects/{slug}/team/{viewer}", {"role": "viewer"})).status == 200
        await running(mine, slug)
        here = folder(box, slug)
        put(box, owner, here / "data" / "größe.csv", b"1,2\n" * 300_000)
        put(box, owner, here / "run.sh", b"#!/bin/sh\n")
        (here / "run.sh").chmod(0o770)
        os.symlink("data/größe.csv", here / "link.csv")
        os.symlink("/etc/passwd", here / "out")
        put(box, owner, here / "closed.txt", b"narwhal")
        if box.managed:
            subprocess.run(["setfacl", "-b", str(here / "closed.txt")], check=True)
            (here / "closed.txt").chmod(0o600)
        about = {"title": "Shoals", "kind": "voila", "path": "data/shoals.ipynb", "environment": "default"}
        deployed = await mine.post(f"/api/v1/projects/{slug}/dashboards", about)
        assert deployed.status == 201, deployed.text

        assert (await outside.post(f"/api/v1/projects/{slug}/copy", {"name": "x"})).status == 404
        assert (await outside.get(f"/api/v1/projects/{slug}/export")).status == 404

        answer = await looking.post(f"/api/v1/projects/{slug}/copy", {"name": "mine"})
        assert answer.status == 202, answer.text
        job = await made(looking, answer.json["job"]["id"])
        assert job["state"] == "DONE", job["message"]
        copy = folder(box, f"{viewer}/mine")
        assert (copy / "data" / "größe.csv").read_bytes() == b"1,2\n" * 300_000
        assert os.readlink(copy / "link.csv") == "data/größe.csv"
        assert not os.path.lexists(copy / "out")
        assert os.access(copy / "run.sh", os.X_OK)
        if box.managed:
            assert not (copy / "closed.txt").exists()
            assert (copy / "run.sh").owner() == viewer
            assert "closed.txt" in job["message"]
        shown = (await looking.get(f"/api/v1/projects/{viewer}/mine")).json
        assert (shown["summary"], shown["tags"], shown["visibility"]) == ("Fish", ["fish"], "private")
        assert (await mine.get(f"/api/v1/projects/{viewer}/mine")).status == 404
        await _dashboard(looking, f"{viewer}/mine", viewer, about, not_as=deployed.json["id"])

        raw = await _exported(mine, slug)
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            names = archive.getnames()
        assert names[0] == "aen-project.json"
        assert "files/closed.txt" in names
        assert not [name for name in names if name.startswith("files/envs")]

        answer = await outside.ask(
            "POST", "/api/v1/imports?name=taken", data=raw, headers={"Content-Type": "application/gzip"}
        )
        assert answer.status == 202, answer.text
        job = await made(outside, answer.json["job"]["id"])
        assert job["state"] == "DONE", job["message"]
        taken = folder(box, f"{stranger}/taken")
        assert (taken / "closed.txt").read_bytes() == b"narwhal"
        assert (await outside.get(f"/api/v1/projects/{stranger}/taken")).json["description"] == "# Fish"
        await _dashboard(outside, f"{stranger}/taken", stranger, about)

        half = raw[: len(raw) // 2]
        answer = await outside.ask(
            "POST", "/api/v1/imports?name=half", data=half, headers={"Content-Type": "application/gzip"}
        )
        job = await made(outside, answer.json["job"]["id"])
        assert (job["state"], "archive" in job["message"]) == ("FAILED", True), job

        async def gone() -> bool:
            return (await outside.get(f"/api/v1/projects/{stranger}/half")).status == 404

        await until(gone, 60, "nothing is left of an import that failed")
        assert not list((Path(box.config["data_dir"]) / "imports").iterdir())


async def _dashboard(client: Client, slug: str, owner: str, about: dict[str, str], not_as: str = "") -> None:
    """The one of a copy is the new owner's, for the team alone, with an address of its own."""
    (board,) = (await client.get(f"/api/v1/projects/{slug}/dashboards")).json["items"]
    assert {key: board[key] for key in about} == about
    assert (board["user"], board["watchers"], board["people"]) == (owner, "team", [])
    assert board["id"] != not_as


async def _exported(client: Client, slug: str) -> bytes:
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.http.get(f"{client.url}/api/v1/projects/{slug}/export", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "application/gzip"
        return await answer.read()
