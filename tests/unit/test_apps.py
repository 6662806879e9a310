"""Apps: the catalogue, what is replaced in a command told in YAML, what an app is started with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aen import apps
from aen.apps import Launch, Seen
from aen.apps.command import CommandServer
from aen.apps.files import USER_SIDES
from aen.apps.jupyter import JupyterServer
from aen.apps.workbench import WorkbenchServer
from aen.config import Config
from aen.config.files import packaged
from aen.config.model import App as Told
from aen.errors import Invalid
from aen.roles.compute.launching import limits_of


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """A launch in a project of alice, with an environment of apps that holds our package only."""
    site = tmp_path / "apps" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    return Launch(
        user="alice",
        account="al",
        home="/home/alice",
        project_dir=Path("/projects/alice/genome"),
        run_dir="/run/aen/abc-1",
        prefix="/alice/genome/jupyter/",
        secret="s3cret",
        apps_python=tmp_path / "apps" / "bin" / "python",
        environment=Path("/projects/alice/genome/envs/default"),
        gateway_origin="http://gate.example",
    )


def told(*command: str, **more: object) -> CommandServer:
    return CommandServer("dash", Told.model_validate({"command": list(command), **more}))


def test_catalogue_has_built_in_apps_first() -> None:
    config = Config.model_validate({"apps": {"dash": {"title": "Dash", "command": ["dash"]}}})
    found = apps.catalog(config)
    assert list(found) == ["jupyterlab", "notebook", "terminal", "viewer", "workbench", "dash"]
    assert {app.server for app in found.values()} == {"jupyter", "viewer", "workbench", "dash"}
    assert found["terminal"].landing == "terminals/1"


@pytest.mark.parametrize("taken", ["jupyter", "notebook"])
def test_names_of_built_in_apps_are_taken(taken: str) -> None:
    with pytest.raises(Invalid, match=taken):
        apps.servers(Config.model_validate({"apps": {taken: {"command": ["x"]}}}))


def test_exactly_five_places_are_replaced(launch: Launch) -> None:
    command = told(
        "serve", "{socket}", "--at={prefix}", "{project}/{user}", "{other}", "{{}}", "${HOME}", "{user!r}"
    ).command(launch)
    assert command.argv[-8:] == [
        "serve",
        "/run/aen/abc-1/s",
        "--at=/alice/genome/jupyter/",
        "/projects/alice/genome/alice",
        "{other}",
        "{{}}",
        "${HOME}",
        "{user!r}",
    ]
    assert command.upstream == "unix:/run/aen/abc-1/s"


def test_what_is_filled_in_is_not_filled_again(launch: Launch) -> None:
    command = told("serve", "{user}").command(replace(launch, user="{prefix}"))
    assert command.argv[-1] == "{prefix}"


def test_port_is_one_for_all_places(launch: Launch) -> None:
    command = told("serve", "--port={port}", env={"URL": "http://127.0.0.1:{port}"}).command(launch)
    port = command.upstream.removeprefix("tcp:127.0.0.1:")
    assert int(port) > 0
    assert command.argv[-1] == f"--port={port}"
    assert command.environ["URL"].endswith(f":{port}")


def test_nothing_is_inherited(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEN_SERVER__SECRET_KEY", "x" * 40)
    monkeypatch.setenv("LD_PRELOAD", "/tmp/evil.so")
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy:1")
    monkeypatch.setenv("no_proxy", "localhost")
    environ = JupyterServer().command(launch).environ
    assert not {"AEN_SERVER__SECRET_KEY", "LD_PRELOAD", "https_proxy"} & set(environ)
    assert environ["no_proxy"] == "localhost"
    assert (environ["HOME"], environ["USER"], environ["AEN_USER"]) == ("/home/alice", "al", "alice")


def test_secret_is_not_in_the_arguments(launch: Launch) -> None:
    command = JupyterServer().command(launch)
    assert not any("s3cret" in part for part in command.argv)
    assert command.environ["AEN_APP_TOKEN"] == "s3cret"


def test_project_environment_comes_first_and_caches_are_copied(launch: Launch) -> None:
    environ = JupyterServer().command(launch).environ
    assert environ["PATH"].split(":")[0] == "/projects/alice/genome/envs/default/bin"
    assert environ["UV_LINK_MODE"] == "copy"


def test_git_is_ours_and_knows_who_commits(launch: Launch) -> None:
    told = replace(launch, told={"name": "Al Khwarizmi", "email": "al@example.org"})
    environ = JupyterServer().command(told).environ
    assert environ["PATH"].split(":")[1].endswith("/front")
    assert (environ["AEN_GIT_NAME"], environ["AEN_GIT_EMAIL"]) == ("Al Khwarizmi", "al@example.org")
    assert "AEN_GIT_NAME" not in JupyterServer().command(launch).environ


def test_folder_of_the_project_is_not_on_the_path_of_imports(launch: Launch) -> None:
    command = JupyterServer().command(launch)
    assert command.argv[1] == "-P"
    assert command.cwd == "/home/alice"


def test_run_dir_too_long_for_kernels_is_told(launch: Launch) -> None:
    with pytest.raises(Invalid, match="run_dir"):
        JupyterServer().command(replace(launch, run_dir="/run/" + "x" * 60))


async def test_activity_is_what_works_else_what_was_seen_last(launch: Launch) -> None:
    told: dict[str, Any] = {
        "busy": [],
        "seen": [{"at": 5, "what": "the kernel of a.ipynb"}, {"at": 7, "what": "terminal 1"}],
    }

    async def get(path: str) -> object:
        assert path == "aen/activity"
        return told

    assert await JupyterServer().activity(launch, get) == Seen(7, "terminal 1")
    told["busy"] = [{"since": 6, "what": "kernel 2"}, {"since": 4, "what": "kernel 1"}]
    assert await JupyterServer().activity(launch, get) == Seen(7, "kernel 1 and 1 more", busy=True, since=4)
    told |= {"busy": [], "seen": []}
    assert await JupyterServer().activity(launch, get) == Seen(0, "")


def test_limits_of_a_built_in_app_need_no_command() -> None:
    config = Config.model_validate({"apps": {"jupyter": {"limits": {"memory": "4G", "cpus": 1.5}}}})
    assert list(apps.catalog(config)) == ["jupyterlab", "notebook", "terminal", "viewer", "workbench"]
    assert limits_of(config, "jupyter") == {
        "memory_bytes": 4 << 30,
        "cpu_millis": 1500,
        "processes": 4096,
        "files": 65536,
    }
    own = limits_of(config, "jupyter", {"memory_bytes": 5, "cpu_millis": 7})  # what is said of a person comes first
    assert (own["memory_bytes"], own["cpu_millis"], own["files"]) == (5, 7, limits_of(config, "jupyter")["files"])
    with pytest.raises(Invalid, match="jupiter"):
        apps.servers(Config.model_validate({"apps": {"jupiter": {"limits": {}}}}))


def test_what_runs_as_the_user_imports_nothing_of_ours() -> None:
    sides = apps.user_sides()
    assert {side.name for side in sides} >= {"aen_jupyter", "aen_workbench"}
    files = [file for side in sides for file in side.rglob("*.py")]
    assert not any("from aen." in file.read_text() or "import aen\n" in file.read_text() for file in files)


def test_workbench_is_started_with_its_secret_unseen(launch: Launch) -> None:
    command = WorkbenchServer().command(launch)
    assert command.argv[1:4] == ["-P", "-m", "aen_workbench"]
    assert not any("s3cret" in part for part in command.argv)
    assert (command.environ["AEN_APP_TOKEN"], command.cwd) == ("s3cret", "/home/alice")
    assert command.upstream == "unix:/run/aen/abc-1/s"


async def test_workbench_says_when_it_was_used(launch: Launch) -> None:
    async def get(path: str) -> object:
        assert path == "api/ready"
        return {"last_activity": 1767265200000, "busy": True}

    assert await WorkbenchServer().activity(launch, get) == Seen(1767265200000, "an upload", busy=True)


@pytest.mark.parametrize("name", ["aen.css", "parts.css", "words.js"])
def test_workbench_looks_and_speaks_like_the_rest(name: str) -> None:
    """Its page loads copies of what the server's do, made where it is installed: apps share no origin with the server."""
    page = USER_SIDES / "aen_workbench" / "page"
    assert (page / name).resolve() == (packaged("static") / name).resolve()
    loaded = f'href="static/{name}"' if name.endswith(".css") else f'from "./{name}"'
    assert loaded in (page / ("index.html" if name.endswith(".css") else "workbench.js")).read_text()
