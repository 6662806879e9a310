"""The `aen` command against a running server, and standing in for one that does not run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen.cli.output import details
from aen.client import Client
from tests.served import PASSWORD
from tests.world import PROGRAM, World


@pytest.fixture(scope="module", params=["running", "standing in"])
def commands(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose server runs, and one whose server was stopped: every command must do the same in both."""
    with World() as made:
        with Client(made.server, made.token(made.add("owner"))) as owner:
            for name in ("kept", "gone", "over"):
                owner.request("POST", "projects", body={"name": name})
        if request.param == "standing in":
            made.stop()
        yield made


def _fine(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def _typed(world: World, text: str, *arguments: str) -> str:
    """What the command printed when somebody at a terminal typed this."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, f"{text}\n".encode())
        return subprocess.run(
            [str(PROGRAM), *arguments, "-c", str(world.file)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            text=True,
            timeout=180,
        ).stdout
    finally:
        os.close(ours)
        os.close(theirs)


def test_people_from_beginning_to_end(commands: World) -> None:
    name, other = commands.person("ann"), commands.person("boss")
    assert _fine(commands.aen("user", "add", other, "--admin", "--password-stdin", stdin=PASSWORD + "\n"))
    assert _fine(commands.aen("user", "add", name, "--admin", "--password-stdin", stdin=PASSWORD + "\n"))
    listed = json.loads(_fine(commands.aen("user", "list", "--json")))
    (ann,) = [row for row in listed if row["name"] == name]
    assert ann["admin"] is True
    assert _fine(commands.aen("user", "superuser", name, "--remove")) == f"{name} is no longer an administrator.\n"
    assert _fine(commands.aen("user", "staff", name)) == f"{name} is one of the staff.\n"
    assert _fine(commands.aen("user", "lock", name)) == f"{name} is locked out.\n"
    listed = json.loads(_fine(commands.aen("user", "list", "--json")))
    (ann,) = [row for row in listed if row["name"] == name]
    assert (ann["admin"], ann["staff"], ann["locked"]) == (False, True, True)
    assert _fine(commands.aen("user", "unlock", name)) == f"{name} may sign in again.\n"
    assert name in _fine(commands.aen("user", "list"))
    token = _fine(commands.aen("user", "token", name)).splitlines()[-1]
    assert token
    assert token == token.strip()
    assert " " not in token
    assert _fine(commands.aen("user", "passwd", name, "--password-stdin", stdin="another good password\n"))
    assert "0 logins and 0 API tokens end." in _fine(commands.aen("user", "remove", name, "--dry-run"))
    assert f"Remove {name}? [y/N]" in _typed(commands, "n", "user", "remove", name)
    assert name in _fine(commands.aen("user", "list")), "no is no"
    assert _fine(commands.aen("user", "remove", name, "--yes")).splitlines()[-1].startswith(f"Removed {name}. ")
    listed = json.loads(_fine(commands.aen("user", "list", "--json")))
    assert name not in [row["name"] for row in listed]


@pytest.mark.parametrize("commands", ["running"], indirect=True)
def test_what_somebody_owns_is_given_away_or_deleted(commands: World) -> None:
    """By commands, so that a person who owns projects can be removed by them."""
    owner, other = commands.person("owner"), commands.person("other")
    _fine(commands.aen("user", "add", other, "--password-stdin", stdin=PASSWORD + "\n"))
    blocked = commands.aen("user", "remove", owner, "--yes")
    assert (blocked.returncode, "aen project give" in blocked.stderr) == (1, True)
    assert f"{other}/kept" in _fine(commands.aen("project", "give", f"{owner}/kept", other, "--yes"))
    told = _fine(commands.aen("project", "delete", f"{owner}/gone", "--yes"))
    assert re.search(rf"It is kept until 20\d\d-.*: aen project restore {owner}/gone$", told)
    assert _fine(commands.aen("project", "restore", f"{owner}/gone")) == f"{owner}/gone is back, stopped.\n"
    for name in ("gone", "over"):
        assert f"{owner}/{name} is deleted." in _fine(
            commands.aen("project", "delete", f"{owner}/{name}", "--now", "--yes")
        )
    assert f"Removed {owner}. " in _fine(commands.aen("user", "remove", owner, "--yes"))
    assert f"{other}/kept" in _fine(commands.aen("project", "list"))


def test_what_a_person_may_take_is_shown_and_changed_only_when_asked(commands: World) -> None:
    name = commands.person("allowed")
    _fine(commands.aen("user", "add", name, "--password-stdin", stdin=PASSWORD + "\n"))
    told = f"{name} may take: projects 5, memory 8G, cpus 1.5; the rest as everybody.\n"
    assert _fine(commands.aen("user", "allow", name, "--projects", "5", "--memory", "8G", "--cpus", "1.5")) == told
    assert _fine(commands.aen("user", "allow", name)) == told  # looked at: nothing was cleared
    refused = commands.aen("user", "allow", name, "--none", "--sessions", "3")
    assert (refused.returncode, "--sessions" in refused.stderr) == (2, True)
    assert _fine(commands.aen("user", "allow", name)) == told
    assert _fine(commands.aen("user", "allow", name, "--none")) == f"{name} may take: as everybody.\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("user", "add", "root", "--password-stdin"), PASSWORD, "reserved"),
        (("user", "add", "No Name", "--password-stdin"), PASSWORD, "can't be a user name"),
        (("user", "add", "aentweak", "--password-stdin"), "x", "password"),
        (("user", "token", "aentnobody"), "", "no user"),
        (("user", "remove", "aentnobody"), "y", "--yes"),
        (("node", "remove", "aentnobody"), "y", "--yes"),
        (("user", "remove", "aentnobody", "--yes"), "", "no user"),
        (("user", "remove", "aentnobody", "--dry-run"), "", "no user"),
        (("user", "allow", "aentnobody", "--space", "lots"), "", "--space: 'lots' is no size. Write it as 500M"),
        (("project", "check", "aentnobody/nothing"), "", "no such project"),
        (("project", "give", "aentnobody/nothing", "aentother"), "y", "--yes"),
        (("project", "delete", "aentnobody/nothing"), "y", "--yes"),
        (("project", "delete", "aentnobody/nothing", "--yes"), "", "no such project"),
        (("project", "show", "noslash"), "", "OWNER/NAME"),
        (("project", "show", "aentnobody/nothing"), "", ""),
    ],
)
def test_a_wrong_command_is_one_sentence(commands: World, arguments: tuple[str, ...], stdin: str, words: str) -> None:
    done = commands.aen(*arguments, stdin=stdin)
    assert done.returncode in (1, 2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("aen: ")]
    assert len(lines) == 1, done.stderr
    assert words.lower() in lines[0].lower()
    assert "Traceback" not in done.stderr
    assert "a fault in AEN itself" not in done.stderr


def test_sizes_and_times_are_words_for_people_and_exact_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    node = {"name": "n1", "load": {"cpus": 4, "memory_total": 25_213_198_336, "disk_free": 0}, "last_seen": 0}
    details(node, as_json=False)
    shown = capsys.readouterr().out
    assert re.search(r"^load memory total +23 GB$", shown, re.MULTILINE), shown
    assert re.search(r"^load disk free +0 bytes$", shown, re.MULTILINE), shown
    details(node, as_json=True)
    assert json.loads(capsys.readouterr().out) == node


def test_lists_have_json(commands: World) -> None:
    for group in ("user", "project", "node"):
        assert isinstance(json.loads(_fine(commands.aen(group, "list", "--json"))), list)
        assert _fine(commands.aen(group, "list"))


def test_how_long_records_are_kept(commands: World) -> None:
    assert re.search(r"^security: kept for 400 days; the oldest record is of 20\d\d-", _fine(commands.aen("records")))
    assert [row["log"] for row in json.loads(_fine(commands.aen("records", "--json")))] == ["security", "activity"]


def test_nothing_is_left_behind_by_standing_in(commands: World) -> None:
    _fine(commands.aen("user", "list"))
    assert not (Path(commands.config["run_dir"]) / "command.sock").exists()
    if commands.process is None:
        assert not (Path(commands.config["run_dir"]) / "admin.sock").exists()


def test_configuration_before_and_after_the_subcommand(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("log: {level: debug}\ncompute: {name: one}\n")
    second.write_text("compute: {name: two}\n")
    command = [str(PROGRAM), "-c", str(first), "config", "show", "--json", "--origin", "-c", str(second)]
    shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout)
    assert shown["compute.name"] == {"value": "two", "origin": f"{second}:1"}
    assert shown["log.level"] == {"value": "debug", "origin": f"{first}:1"}


def test_config_check_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("server: {listne: x}\n")
    done = subprocess.run(
        [str(PROGRAM), "config", "check", "-c", str(tmp_path / "bad.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"aen: {tmp_path}/bad.yaml:1: server.listne: no such option. Did you mean 'listen'?\n"


def test_doctor_looks_and_says(world: World) -> None:
    done = world.aen("doctor", "--json")
    found = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert {"Python", "git", "bash", "POSIX ACLs", "server.listen", "secrets"} <= set(found)
    assert all(finding["state"] in ("ok", "warning", "problem") for finding in found.values())
    assert found["server.listen"]["state"] == "ok"
    assert done.returncode == (1 if any(finding["state"] == "problem" for finding in found.values()) else 0)
    assert world.aen("doctor").stdout.count("\n") >= len(found)


def test_doctor_finds_an_open_secret(world: World) -> None:
    key = Path(world.config["data_dir"]) / "signing-key.pem"
    key.chmod(0o644)
    try:
        findings = json.loads(world.aen("doctor", "--json").stdout)
    finally:
        key.chmod(0o600)
    (secrets,) = [finding for finding in findings if finding["what"] == "secrets"]
    assert secrets["state"] == "problem"
    assert str(key) in secrets["message"]


@pytest.mark.root
def test_others_may_not_speak_to_the_server(world: World) -> None:
    done = subprocess.run(
        [str(PROGRAM), "user", "list", "-c", str(world.file)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=65534,
        group=65534,
        extra_groups=[],
        env={"PATH": os.defpath, "HOME": "/"},
    )
    assert done.returncode == 1
    assert "sudo" in done.stderr
    assert "Traceback" not in done.stderr
