"""What the user's own program does with conda environments, against a channel of hand-made packages, and with anybody's rubbish."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
import rattler

from aen.config import Config
from aen.environments import USER_SIDE, specification
from aen.environments.conda import CondaBackend
from aen.roles.compute.user_program import MARK
from tests.channel import SITE, channel


class Project:
    """A project's folder, and the program told about it."""

    def __init__(self, top: Path, tool: dict[str, Any]) -> None:
        self.top, self.tool = top, tool
        self.envs = top / "project" / "envs"
        self.envs.mkdir(parents=True)
        self.said = ""

    def run(self, verb: str, **told: Any) -> dict[str, Any]:
        """Run it to its end."""
        wish = {"verb": verb, "project": str(self.envs.parent), "user": "alice", "tool": self.tool, **told}
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.top / "home"),
            "PYTHONPATH": str(USER_SIDE.parent),
            "AEN_ENVIRONMENTS": base64.b64encode(zlib.compress(json.dumps(wish).encode())).decode(),
        }
        command = [sys.executable, "-P", "-m", "aen_environments"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=self.top)
        self.said, _, packed = done.stdout.rpartition(MARK)
        assert packed, done.stderr
        result: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
        assert done.returncode == (0 if result["ok"] else 1)
        return result

    def change(self, **change: Any) -> dict[str, Any]:
        """One change."""
        return self.run("change", change=change)

    def names(self) -> list[str]:
        """The environments that are listed."""
        return [one["name"] for one in self.run("list")["environments"]]


@pytest.fixture
async def project(tmp_path: Path) -> Project:
    return Project(tmp_path, {"kind": "conda", "channels": [await channel(tmp_path / "channel")], "executable": ""})


def ran(environment: Path) -> list[str]:
    """What its tool prints: version and prefix."""
    done = subprocess.run([str(environment / "bin/tool")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_made_changed_cloned_and_taken_back(project: Project) -> None:
    assert project.change(act="create", name="one", packages=["tool <2"])["ok"], project.said
    one = project.envs / "one"
    assert ran(one) == ["1.0", str(one)]
    (info,) = project.run("list")["environments"]
    assert (info["name"], info["kind"], info["kernel"], info["packages"]) == ("one", "conda", True, 4)
    assert info["python"] == ".".join(map(str, sys.version_info[:3]))
    # Copies, not links into the cache of whoever did it; and the whole team reads the records.
    assert (one / "share/tool/large.bin").stat().st_nlink == 1
    assert all(path.stat().st_mode & 0o060 == 0o060 for path in (one / "conda-meta").iterdir())
    for path in one.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert b".building-" not in path.read_bytes(), path

    assert project.change(act="install", name="one", packages=["tool >=2", "pandas"])["ok"], project.said
    assert "+ tool=2.0" in project.said
    assert ran(one) == ["2.0", str(one)]
    (one / SITE / "by_pip.py").write_text(f"place = '{one}'\n")  # as pip leaves it
    assert project.change(act="clone", name="two", source="one")["ok"], project.said
    two = project.envs / "two"
    assert ran(two) == ["2.0", str(two)]
    assert (two / SITE / "by_pip.py").read_text() == f"place = '{two}'\n"
    assert f"{two}/share/tool:{two}/etc\0".encode() in (two / "lib/libtool.so").read_bytes()

    assert project.change(act="uninstall", name="one", packages=["pandas"])["ok"], project.said
    needed = project.change(act="uninstall", name="one", packages=["python"])
    assert (needed["ok"], "Other packages need python" in needed["reason"]) == (False, True)
    assert "Not installed" in project.change(act="uninstall", name="one", packages=["numpy"])["reason"]
    assert project.change(act="roll-back", name="one", number=1)["ok"], project.said
    assert ran(one) == ["1.0", str(one)]
    detail = project.run("read", name="one", number=2)
    assert ["tool", "1.0-0", "2.0-0"] in detail["differences"]
    assert [entry["act"] for entry in detail["history"]] == ["roll-back", "uninstall", "install", "create"]
    assert "  - tool=1.0=0\n" in detail["yml"]
    assert project.tool["channels"][0] in detail["yml"]

    # From the lock of one, another one.
    lock = "".join(f"{line}\n" for line in detail["lock"])
    assert project.change(act="create", name="locked", requirements=lock)["ok"], project.said
    assert project.run("read", name="locked")["lock"] == detail["lock"]


def test_an_environment_yml_with_what_pip_brings(project: Project, tmp_path: Path) -> None:
    """As the node says it: conda's packages, then the index's, which uv installs (a fake here: the test has no index)."""
    uv = tmp_path / "uv"
    script = f'#!/bin/sh\ncat > {tmp_path}/wanted\necho "$@" > {tmp_path}/asked\n'
    uv.write_text(script + 'printf "#!$4\\n" > "${4%/python}/by-pip"\n')
    uv.chmod(0o755)
    project.tool["uv"] = str(uv)
    lines = specification.for_conda(
        specification.read("dependencies: [python, 'other::tool=1.0', pip, {pip: ['tomli-w==1.2.0']}]")
    )
    made = project.change(act="create", name="one", requirements="\n".join(lines))
    assert made["ok"], made
    one = project.envs / "one"
    assert ran(one) == ["1.0", str(one)]
    assert (tmp_path / "wanted").read_text() == "tomli-w==1.2.0\n"
    assert (one / "bin/by-pip").read_text() == f"#!{one}/bin/python\n"  # not the place where it was built


def test_moved_with_its_project(project: Project) -> None:
    """Texts, binaries and links of conda packages name the new place; what is not the old place itself stays."""
    assert project.change(act="create", name="one", packages=["tool <2"])["ok"], project.said
    old = project.envs.parent
    (project.envs / "one/etc").mkdir(exist_ok=True)
    (project.envs / "one/etc/mine").write_text(f"{old}/data {old}-2/data /x{old}/data\n")
    new = old.with_name("renamed")
    old.rename(new)
    project.envs = new / "envs"
    assert project.run("moved", froms=[str(old)])["changed"] > 2
    one = project.envs / "one"
    assert ran(one) == ["1.0", str(one)]
    assert f"{one}/share/tool:{one}/etc\0".encode() in (one / "lib/libtool.so").read_bytes()
    assert (one / "etc/mine").read_text() == f"{new}/data {old}-2/data /x{old}/data\n"
    assert project.run("moved", froms=[str(old)])["changed"] == 0
    assert project.change(act="install", name="one", packages=["tool >=2"])["ok"], project.said
    far = new.with_name("x" * 250)
    new.rename(far)
    project.envs = far / "envs"
    refused = project.run("moved", froms=[str(new)])
    assert (refused["ok"], "lib/libtool.so" in refused["reason"]) == (False, True)


def test_failures_are_told_and_leave_nothing(project: Project) -> None:
    unsolvable = project.change(act="create", name="one", packages=["picky", "tool >=2"])
    assert (unsolvable["ok"], "can't be had together" in unsolvable["reason"]) == (False, True)
    missing = project.change(act="create", name="one", packages=["no-such-package"])
    assert "no-such-package" in missing["reason"]
    project.tool["channels"] = [(project.top / "nowhere").as_uri()]
    nowhere = project.change(act="create", name="one", packages=[])
    assert (nowhere["ok"], "nowhere" in nowhere["reason"]) == (False, True)
    assert project.names() == []
    assert [path.name for path in project.envs.iterdir() if path.name.startswith(".building")] == []


def test_an_executable_changes_in_place(project: Project) -> None:
    """A fake: only the form of the arguments is tested here."""
    assert project.change(act="create", name="one", packages=[])["ok"], project.said
    script = project.top / "mamba"
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.said"\n')
    script.chmod(0o755)
    project.tool["executable"] = str(script)
    place, (address,) = str(project.envs / "one"), project.tool["channels"]
    assert project.change(act="install", name="one", packages=["tool"])["ok"]
    channels = ["--override-channels", "--channel", address]
    wanted = ["install", "--yes", "--quiet", *channels, "--prefix", place, "tool"]
    assert (project.top / "mamba.said").read_text().splitlines() == wanted
    assert project.change(act="uninstall", name="one", packages=["tool"])["ok"]
    assert (project.top / "mamba.said").read_text().splitlines() == [
        "remove",
        "--yes",
        "--quiet",
        "--prefix",
        place,
        "tool",
    ]


def test_conda_typed_in_a_terminal_works_in_the_project(project: Project, tmp_path: Path) -> None:
    """The program that the back end puts on the PATH, in an environment of the apps that has py-rattler."""
    assert project.change(act="create", name="default", packages=["tool <2"])["ok"], project.said
    apps = tmp_path / "apps"
    (apps / "bin").mkdir(parents=True)
    (apps / SITE).mkdir(parents=True)
    (apps / "tools").mkdir()
    (apps / "bin/python").symlink_to(Path("/usr/bin/python3").resolve())
    (apps / "pyvenv.cfg").write_text("home = /usr/bin\n")
    ours = Path(rattler.__file__).parent.parent
    (apps / SITE / "all.pth").write_text(f"{ours}\n{USER_SIDE.parent}\n")
    config = Config.model_validate({"environments": {"backend": "conda", "channels": project.tool["channels"]}})
    CondaBackend(config)._offer_conda(apps)
    default = project.envs / "default"
    environ = {"PATH": f"{default}/bin:/usr/bin:/bin:{apps}/tools", "HOME": str(tmp_path / "home"), "AEN_USER": "alice"}
    environ |= {"AEN_PROJECT_DIR": str(project.envs.parent), "AEN_PROJECT_BIN": str(default / "bin")}

    def conda(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["/usr/bin/env", "conda", *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    done = conda("install", "-y", "tool>=2")
    assert done.returncode == 0, done.stderr
    assert ran(default) == ["2.0", str(default)]
    assert "tool                      2.0             0" in conda("list").stdout
    assert conda("create", "-n", "other", "pandas").returncode == 0
    assert conda("env", "list").stdout.split()[:2] == ["default", "*"]
    assert "other" in conda("env", "list").stdout
    assert "  - pandas=1.0=0\n" in conda("env", "export", "-n", "other").stdout
    refused = conda("remove", "python")
    assert (refused.returncode, "Other packages need python" in refused.stderr) == (1, True)
    assert conda("install").returncode == 1
    assert conda("frobnicate").returncode == 2
    assert [entry["act"] for entry in project.run("read", name="default")["history"]] == ["install", "create"]


def test_rubbish_in_the_folder_is_shown_as_nothing_and_never_run(tmp_path: Path) -> None:
    project = Project(tmp_path, {"kind": "venv", "uv": "/nonexistent", "python": "/usr/bin/python3"})
    assert project.names() == []
    (project.envs / "not-an-environment").mkdir()
    (project.envs / "a file").write_text("x")
    os.symlink("/usr", project.envs / "usr")
    evil = project.envs / "evil"
    (evil / "bin").mkdir(parents=True)
    (evil / "bin/python").write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    (evil / "bin/python").chmod(0o755)
    site = evil / "lib/python3.11/site-packages"
    (site / "x-1.dist-info").mkdir(parents=True)
    (site / "x-1.dist-info/direct_url.json").write_text("[1, 2")
    os.mkfifo(site / "ipykernel_launcher.py")
    (evil / "conda-meta").mkdir()
    (evil / "conda-meta/a.json").write_text('{"name": []}')
    os.mkfifo(evil / "conda-meta/b.json")
    os.mkfifo(evil / "pyvenv.cfg")
    history = project.envs / ".history" / "evil"
    history.mkdir(parents=True)
    (history / "00001.json").write_text('{"number": "x", "lock": 5}')
    (info,) = project.run("list")["environments"]
    assert (info["name"], info["kernel"]) == ("evil", False)
    assert project.run("read", name="evil", number=1)["ok"]
    assert not project.run("read", name="usr")["ok"]
    assert not project.run("read", name="../evil")["ok"]
    assert not (tmp_path / "was-run").exists()
