"""Revisions through the real server: real git, as the people of a team; and repositories that try to act."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_environments import started
from tests.integration.test_main_job import project_of
from tests.served import Client
from tests.waiting import until
from tests.world import World

pytestmark = pytest.mark.root


def folder_of(world: World, slug: str) -> Path:
    """Where a project's files are."""
    return Path(world.config["compute"]["project_root"], *slug.split("/"))


def write(path: Path, text: str) -> None:
    """A file of the project's owner."""
    path.write_text(text)
    status = path.parent.stat()
    os.chown(path, status.st_uid, status.st_gid)


def notebook(*sources: str) -> str:
    """A notebook with a code cell of each source."""
    rest: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**rest, "id": f"c{number}", "source": one} for number, one in enumerate(sources)]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


async def get(client: Client, path: str, /, **params: str) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status == 200, answer.text
    return answer.json


async def commit(client: Client, base: str, message: str, *files: str) -> str:
    answer = await client.post(base, {"message": message, "files": list(files)})
    assert answer.status == 201, answer.text
    return str(answer.json["revision"])


async def test_committed_shown_compared_and_taken_back(world: World) -> None:
    alice, bob, eve = world.add("alice"), world.add("bob"), world.add("eve")
    async with world.client(alice) as client, world.client(bob) as mate, world.client(eve) as stranger:
        slug = await project_of(client, alice, "genome")
        base = f"/api/v1/projects/{slug}/revisions"
        early = await client.get(f"{base}/status")
        assert (early.status, "never started" in early.text) == (409, True)
        assert (await client.ask("PUT", f"/api/v1/projects/{slug}/team/{bob}", {"role": "member"})).status == 200
        await started(client, slug)
        place = folder_of(world, slug)
        assert (await get(client, f"{base}/status"))["repository"] is False
        assert (await client.post(f"{base}/begin", {})).status == 201
        write(place / "a.ipynb", notebook("x = 1", "x + 1"))
        write(place / "odd\nname -- é", "one\n")
        status = await get(client, f"{base}/status")
        assert {"a.ipynb", "odd%0Aname%20--%20%C3%A9"} <= {one["path"] for one in status["files"]}
        assert not any(one["path"].startswith("envs/") for one in status["files"])
        first = await commit(client, base, "First", "a.ipynb", "odd%0Aname%20--%20%C3%A9")

        write(place / "a.ipynb", notebook("x = 2", "x + 1", "new"))
        seen = await get(mate, f"{base}/compare", path="a.ipynb")
        cells = [(cell["state"], cell["count"]) for cell in seen["files"][0]["cells"]]
        assert cells == [("changed", 1), ("same", 1), ("new", 1)]
        second = await commit(mate, base, "--amend is no option here", "a.ipynb")
        history = (await get(client, base))["revisions"]
        assert [(one["id"], one["name"]) for one in history] == [(second, bob), (first, alice)]
        assert history[0]["subject"] == "--amend is no option here"

        write(place / "a.ipynb", notebook("not committed"))
        back = {"revision": first, "path": "a.ipynb"}
        refused = await client.post(f"{base}/restore", back)
        assert (refused.status, "changed since the last revision" in refused.text) == (409, True)
        assert (place / "a.ipynb").read_text() == notebook("not committed")
        kept = (await client.post(f"{base}/restore", {**back, "keep": True})).json["saved"]
        assert (place / "a.ipynb").read_text() == notebook("x = 1", "x + 1")
        saved = subprocess.run(
            ["git", "-c", f"safe.directory={place}", "-C", place, "show", f"{kept}:a.ipynb"],
            capture_output=True,
            check=True,
        )
        assert saved.stdout.decode() == notebook("not committed")

        assert (await stranger.get(base)).status == 404
        assert (await client.get(f"{base}/--output=x")).status == 409
        page = await client.get(f"/{slug}/revisions")
        assert (page.status, "First" in page.text) == (200, True)
        page = await client.get(f"/{slug}/revisions/{second}")
        assert (page.status, "x = 2" in page.text) == (200, True)


#: What somebody of the team writes into `.git/config`, so that the next one who commits runs it.
_TRAPS = """
[core]
	fsmonitor = "touch {mark}; false"
	hooksPath = .git/hooks
	sshCommand = "touch {mark}"
	pager = "touch {mark}"
	editor = "touch {mark}"
	attributesFile = /dev/null
	alternateRefsCommand = "touch {mark}"
[filter "evil"]
	clean = "touch {mark}; cat"
	smudge = "touch {mark}; cat"
	process = "touch {mark}"
	required = true
[diff "evil"]
	textconv = "touch {mark}; cat"
	command = "touch {mark}"
[diff]
	external = "touch {mark}"
[merge "evil"]
	driver = "touch {mark}"
[gpg]
	program = {mark}.sh
[commit]
	gpgSign = true
[credential]
	helper = "!touch {mark}"
[include]
	path = ../included
[alias]
	status = "!touch {mark}"
[remote "origin"]
	url = ext::sh -c "touch {mark}"
	fetch = +refs/heads/*:refs/remotes/origin/*
	uploadpack = "touch {mark}"
	receivepack = "touch {mark}"
"""
_HOOKS = (
    "pre-commit",
    "post-commit",
    "commit-msg",
    "prepare-commit-msg",
    "post-index-change",
    "reference-transaction",
    "post-checkout",
    "pre-push",
    "fsmonitor-watchman",
    "post-merge",
    "post-rewrite",
    "pre-merge-commit",
)


async def test_a_repository_never_acts(world: World) -> None:
    alice = world.add("carol")
    async with world.client(alice) as client:
        slug = await project_of(client, alice, "trap")
        await started(client, slug)
        base, place = f"/api/v1/projects/{slug}/revisions", folder_of(world, slug)
        assert (await client.post(f"{base}/begin", {})).status == 201
        mark = place / "public" / "fired"
        mark.parent.mkdir(exist_ok=True)
        mark.parent.chmod(0o777)
        write(place / ".git" / "config", "[core]\n\trepositoryformatversion = 0\n" + _TRAPS.format(mark=mark))
        write(place / "included", f'[core]\n\tfsmonitor = "touch {mark}"\n')
        hooks = place / ".git" / "hooks"
        hooks.mkdir()
        for name in _HOOKS:
            write(hooks / name, f"#!/bin/sh\ntouch {mark}\n")
            (hooks / name).chmod(0o755)
        tools = place / "envs" / "default" / "bin"
        for name in ("git", "ssh", "ssh-keygen"):
            write(tools / name, f"#!/bin/sh\ntouch {mark}\n")
            (tools / name).chmod(0o755)
        write(place / "x.txt", "one\n")
        os.symlink("/etc/passwd", place / "link")
        write(place / ".gitattributes", "* filter=evil diff=evil merge=evil\n")
        first = await commit(client, base, "one", "x.txt", ".gitattributes", "link")
        write(place / "x.txt", "two\n")
        assert (await get(client, f"{base}/compare"))["files"][0]["rows"]
        shown = await get(client, f"{base}/{first}")
        link = next(one for one in shown["files"] if one["path"] == "link")
        assert "root:" not in json.dumps(link)
        await commit(client, base, "two", "x.txt")
        assert (await client.post(f"{base}/restore", {"revision": first})).status == 200
        for act in ("fetch", "pull", "push"):
            assert (await client.post(f"{base}/remote/{act}", {})).status == 202
            ended = await until(lambda: _ended(client, base), 60, "it ended")
            assert (ended["state"], "No remote is told" in ended["reason"]) == ("failed", True)
        assert (await client.post(f"{base}/key", {})).json["public"].startswith("ssh-ed25519 ")
        assert not mark.exists(), "something of the repository ran"


async def _ended(client: Client, base: str) -> dict[str, Any] | None:
    found: dict[str, Any] = (await client.get(f"{base}/remote")).json
    return found if found["state"] != "running" else None


@pytest.mark.parametrize("what", ["index", "HEAD", "config"])
async def test_links_in_dot_git_are_not_followed(world: World, what: str) -> None:
    alice = world.add(what.lower())
    async with world.client(alice) as client:
        slug = await project_of(client, alice, f"links{what.lower()}")
        await started(client, slug)
        base, place = f"/api/v1/projects/{slug}/revisions", folder_of(world, slug)
        assert (await client.post(f"{base}/begin", {})).status == 201
        target = place / "victim"
        write(target, "precious")
        (place / ".git" / what).unlink(missing_ok=True)
        os.symlink(target, place / ".git" / what)
        write(place / "x.txt", "one\n")
        answer = await client.post(base, {"message": "m", "files": ["x.txt"]})
        assert (answer.status, "plain file" in answer.text) == (409, True)
        assert target.read_text() == "precious"


#: Options, programs, local places, passwords.
ADDRESSES = [
    "ext::sh -c id", "file:///etc", "/etc", "--upload-pack=id", "-oProxyCommand=id:x", "ssh://-oProxyCommand=id/x",
    "https://user:secret@host/x", "fd::17", "git://host/x", "a b@host:x", "https://-x/", "-host:x", "u@host:-x",
]  # fmt: skip


async def test_addresses_that_are_options_programs_or_local_are_refused(world: World) -> None:
    alice = world.add("dora")
    async with world.client(alice) as client:
        slug = await project_of(client, alice, "addresses")
        await started(client, slug)
        base = f"/api/v1/projects/{slug}/revisions"
        for url in ADDRESSES:
            answer = await client.post(f"{base}/clone", {"url": url, "folder": "c"})
            assert answer.status == 202, answer.text
            ended = await until(lambda: _ended(client, base), 60, "it ended")
            assert (url, ended["state"], "no address to clone from" in ended["reason"]) == (url, "failed", True)
            assert not (folder_of(world, slug) / "c").exists()


async def test_cloned_and_pulled_from_another_host_and_no_file_is_overwritten(world: World, tmp_path: Path) -> None:
    """Over HTTP as files, which git can do: what a Git server does besides is its own."""
    alice, source = world.add("frank"), tmp_path / "source"
    git = ["git", "-C", str(source), "-c", "user.name=x", "-c", "user.email=x@x.org"]
    subprocess.run(["git", "init", "-q", "-b", "trunk", source], check=True)
    (source / "README.md").write_text("one\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "Theirs"], check=True)
    subprocess.run([*git, "update-server-info"], check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(source / ".git"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            async with world.client(alice) as client:
                slug = await project_of(client, alice, "cloned")
                await started(client, slug)
                base, place = f"/api/v1/projects/{slug}/revisions", folder_of(world, slug)
                url = f"http://127.0.0.1:{server.server_address[1]}/"
                assert (await client.post(f"{base}/clone", {"url": url, "folder": "lib"})).status == 202
                ended = await until(lambda: _ended(client, base), 60, "the clone ended")
                assert ended["state"] == "done", ended
                status = await get(client, f"{base}/status", folder="lib")
                assert (status["branch"], status["files"], status["remote"]) == ("trunk", [], url)

                (source / "README.md").write_text("two\n")
                subprocess.run([*git, "commit", "-qam", "More"], check=True)
                subprocess.run([*git, "update-server-info"], check=True)
                assert (await client.post(f"{base}/remote/pull", {"folder": "lib"})).status == 202
                ended = await until(lambda: _ended(client, base), 60, "the pull ended")
                assert (ended["state"], (place / "lib" / "README.md").read_text()) == ("done", "two\n"), ended

                (place / "mine").mkdir()
                write(place / "mine" / "README.md", "mine\n")
                assert (await client.post(f"{base}/clone", {"url": url, "folder": "mine"})).status == 202
                ended = await until(lambda: _ended(client, base), 60, "the clone ended")
                assert ended["state"] == "failed", ended
                assert (place / "mine" / "README.md").read_text() == "mine\n"
        finally:
            server.shutdown()
