"""The examples in config/apps, run for real: Streamlit, Panel, Voila and Flask through the gateway, WebSockets included."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.integration.test_main_job import bearer, opened, project_of
from tests.waiting import until
from tests.world import World

EXAMPLES = Path(__file__).resolve().parents[2] / "config" / "apps"
NEEDS = {
    "flask": ["flask", "gunicorn"],
    "streamlit": ["streamlit"],
    "panel": ["panel"],
    "voila": ["voila", "ipykernel"],
}
#: An app that knows nothing of prefixes, as any program that was written for the root of a host.
PLAIN = {
    "title": "Plain",
    "command": ["python", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "{project}", "{port}"],
    "strip_prefix": True,
}
FILES = {
    "plain": ("sum.txt", "sum is 42"),
    "flask": (
        "app.py",
        "from flask import Flask, url_for\napp = Flask(__name__)\n"
        "@app.get('/')\ndef home():\n    return 'sum is ' + str(6 * 7) + ' at ' + url_for('home')\n",
    ),
    "streamlit": ("app.py", "import streamlit as st\nst.write('sum is', 6 * 7)\n"),
    "panel": ("app.py", "import panel as pn\npn.pane.Markdown(f'sum is {6 * 7}').servable()\n"),
    "voila": (
        "sum.ipynb",
        json.dumps(
            {
                "cells": [
                    {
                        "cell_type": "code",
                        "execution_count": None,
                        "metadata": {},
                        "outputs": [],
                        "source": "print('sum is', 6 * 7)",
                    }
                ],
                "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
                "nbformat": 4,
                "nbformat_minor": 4,
            }
        ),
    ),
}


def test_each_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(NEEDS)


@pytest.fixture(scope="module")
def packages() -> Iterator[Path]:
    """An environment with what the examples need, from uv's cache; skipped where PyPI can't be had."""
    place = Path("/tmp") / f"aent-examples-{os.getpid()}"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "-q", "--clear", str(place), "--python", sys.executable], check=True)
    wanted = sorted({package for each in NEEDS.values() for package in each})
    done = subprocess.run(
        [uv, "pip", "install", "-q", "--link-mode=copy", "--python", str(place / "bin" / "python"), *wanted],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"the packages of the examples can't be had here: {done.stderr[-300:]}")
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def examples(packages: Path) -> Iterator[World]:
    """A world whose apps are the examples; PATH alone is ours: it leads to the packages."""
    told: dict[str, Any] = {}
    for path in sorted(EXAMPLES.glob("*.yaml")):
        told |= yaml.safe_load(path.read_text())["apps"]
    for each in told.values():
        each["env"] = each.get("env", {}) | {"PATH": f"{packages}/bin:/usr/bin:/bin"}
    told["plain"] = PLAIN | {"env": {"PATH": f"{packages}/bin:/usr/bin:/bin"}}
    with World(ordinary=True, options={"apps": told}) as made:
        yield made


class Site:
    """An app at the gateway, asked with a token."""

    def __init__(self, world: World, person: str, session: dict[str, Any], http: aiohttp.ClientSession) -> None:
        self.url, self.http, self.headers = session["url"], http, bearer(world, person)

    async def page(self, path: str = "") -> str:
        async with self.http.get(self.url + path, headers=self.headers) as answer:
            text = await answer.text()
            assert answer.status == 200, f"{answer.status} {answer.url}: {text[:500]}"
            return text

    def socket(self, path: str, **more: Any) -> Any:
        origin = re.match(r"https?://[^/]+", self.url)
        assert origin is not None
        return self.http.ws_connect(self.url + path, headers=self.headers, origin=origin[0], **more)


async def flask(site: Site) -> None:
    text = await site.page()
    assert "sum is 42" in text
    assert text.rpartition(" at ")[2].rstrip("/") in site.url


async def plain(site: Site) -> None:
    assert "sum.txt" in await site.page()
    assert await site.page("sum.txt?x=1") == "sum is 42"


async def streamlit(site: Site) -> None:
    assert "static/js" in await site.page()
    async with site.socket("_stcore/stream") as stream:
        await stream.send_bytes(b"\x5a\x00")  # BackMsg.rerun_script: run the script
        seen = b""
        for _ in range(50):
            seen += await stream.receive_bytes(timeout=30)
            if b"sum is" in seen:
                return
    raise AssertionError(f"the script's text did not come: {seen[-300:]!r}")


async def panel(site: Site) -> None:
    page = await site.page("app")
    token = re.search(r'"token":"([^"]+)"', page.replace("&quot;", '"'))
    assert token is not None, page[:2000]
    async with site.socket("app/ws", protocols=("bokeh", token[1])) as stream:
        assert '"ACK"' in await stream.receive_str(timeout=30)


async def voila(site: Site) -> None:
    assert "Voilà" in await site.page()  # its list of notebooks is made in the browser
    page = await site.page("voila/render/sum.ipynb")
    assert "sum is 42" in page
    kernel = re.search(r'"kernelId":\s*"([0-9a-f-]{36})"', page)
    assert kernel is not None, page[:2000]
    async with site.socket(f"api/kernels/{kernel[1]}/channels") as stream:
        assert not stream.closed


CHECKS = {"plain": plain, "flask": flask, "streamlit": streamlit, "panel": panel, "voila": voila}


@pytest.mark.parametrize("name", sorted(CHECKS))
async def test_an_example_runs(examples: World, name: str) -> None:
    """Opened by two of the team: it is one session, and both see the app work."""
    owner, mate = examples.add(f"{name}-o"), examples.add(f"{name}-m")
    async with examples.client(owner) as client, examples.client(mate) as other, aiohttp.ClientSession() as http:
        slug = await project_of(client, owner, name)
        await client.ask("PUT", f"/api/v1/projects/{slug}/team/{mate}", {})
        await client.post(f"/api/v1/projects/{slug}/start", {})

        async def runs() -> bool:
            return bool((await client.get(f"/api/v1/projects/{slug}")).json["state"] == "RUNNING")

        await until(runs, 120, "the project runs")
        file, text = FILES[name]
        place = Path(examples.config["compute"]["project_root"]) / owner / name / file
        place.write_text(text)
        os.chown(place, place.parent.stat().st_uid, place.parent.stat().st_gid)
        first = await opened(client, slug, name)
        second = await opened(other, slug, name)
        assert (first["id"] == second["id"]) is (name != "plain")  # the examples are shared
        await CHECKS[name](Site(examples, owner, first, http))
        await CHECKS[name](Site(examples, mate, second, http))


async def voila_alone(site: Site) -> None:
    page = await site.page()
    assert "sum is 42" in page
    kernel = re.search(r'"kernelId":\s*"([0-9a-f-]{36})"', page)
    assert kernel is not None, page[:2000]
    async with site.socket(f"api/kernels/{kernel[1]}/channels") as stream:
        assert not stream.closed


DASHBOARDS = {"voila": voila_alone, "panel": panel, "streamlit": streamlit}


@pytest.mark.slow  # test_dashboards.py has one that stands in for them
@pytest.mark.parametrize("kind", sorted(DASHBOARDS))
async def test_a_dashboard_of_each_kind(examples: World, packages: Path, kind: str) -> None:
    """Deployed by its owner, opened by a viewer of the team, with the real program that the environment holds."""
    owner, viewer = examples.add(f"d{kind[:4]}-o"), examples.add(f"d{kind[:4]}-v")
    async with examples.client(owner) as client, examples.client(viewer) as other, aiohttp.ClientSession() as http:
        slug = await project_of(client, owner, "board")
        await client.ask("PUT", f"/api/v1/projects/{slug}/team/{viewer}", {"role": "viewer"})
        await client.post(f"/api/v1/projects/{slug}/start", {})

        async def runs() -> bool:
            return bool((await client.get(f"/api/v1/projects/{slug}")).json["state"] == "RUNNING")

        await until(runs, 120, "the project runs")
        folder = Path(examples.config["compute"]["project_root"]) / owner / "board"
        program = folder / "envs" / "default" / "bin" / kind
        file, text = FILES[kind]
        (folder / file).write_text(text)
        program.write_text(f'#!/bin/sh\nexec {packages}/bin/{kind} "$@"\n')
        program.chmod(0o755)
        for each in (folder / file, program):
            os.chown(each, folder.stat().st_uid, folder.stat().st_gid)
        made = await client.post(f"/api/v1/projects/{slug}/dashboards", {"kind": kind, "path": file})
        assert made.status == 201, made.text
        server = made.json["app_server"]
        start = f"{examples.gateway}/.aen/api/session?owner={owner}&project=board&server={server}"

        async def open_it(method: str) -> dict[str, Any]:
            async with http.request(
                method, start, headers=bearer(examples, viewer), json={} if method == "POST" else None
            ) as answer:
                seen: dict[str, Any] = await answer.json()
                assert answer.status == 200, seen
                return seen

        await open_it("POST")

        async def shown() -> bool:
            seen = await open_it("GET")
            assert seen["phase"] in ("QUEUED", "STARTING", "RUNNING"), seen
            return bool(seen["phase"] == "RUNNING")

        await until(shown, 180, "the dashboard runs")
        assert (await other.get("/api/v1/dashboards")).json["items"][0]["id"] == made.json["id"]
        await DASHBOARDS[kind](Site(examples, viewer, {"url": f"{examples.gateway}/{slug}/{server}/"}, http))
