"""Configuration: every mistake at once with its place; blanks filled; shown without secrets; sample and reference up to date."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from aen.config import show
from aen.config.load import ConfigError, load
from aen.config.machine import Machine
from aen.config.options import options
from aen.config.resolve import LONGEST_SOCKET, resolve

ROOT = Path(__file__).resolve().parents[2]
ALL = ("server", "compute", "gateway")
SECRET = "kR8vZ2mWq5nT7xLpB4cYd9sGf3hJ6aUe"
MACHINE = Machine(
    root=True,
    uid=0,
    home=Path("/root"),
    host="box.example.org",
    name="box",
    processors=4,
    temporary=Path("/tmp"),
    data_home=Path("/root/.local/share"),
    runtime_dir=None,
)
PERSON = replace(
    MACHINE,
    root=False,
    uid=1000,
    home=Path("/home/ann"),
    data_home=Path("/home/ann/.local/share"),
    runtime_dir=Path("/run/user/1000"),
)


def _problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    path = folder / "aen.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load([path], environ or {})
    return [problem.replace(f"{path}", "aen.yaml") for problem in caught.value.problems]


def _resolved(values: dict[str, Any], folder: Path, machine: Machine = MACHINE, roles: tuple[str, ...] = ALL) -> Any:
    path = folder / "aen.yaml"
    path.write_text(yaml.safe_dump(values))
    return resolve(load([path], {}).config, roles=roles, machine=machine)


def test_later_files_win_and_the_environment_wins_over_all(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("server:\n  listen: 127.0.0.1:1\n  url: http://a.example\nlog: {level: debug}\n")
    second.write_text("server:\n  url: http://b.example\ngateway:\n")
    environ = {"AEN_LOG__LEVEL": "error", "AEN_SERVER__TRUSTED_PROXIES": "[10.0.0.0/8]", "AEN_TEST_SOMETHING": "x"}
    loaded = load([first, second], environ)
    assert loaded.config.server.listen == "127.0.0.1:1"
    assert loaded.config.server.url == "http://b.example"
    assert loaded.config.log.level == "error"
    assert loaded.config.server.trusted_proxies == ["10.0.0.0/8"]
    assert loaded.origin("server.listen") == f"{first}:2"
    assert loaded.origin("server.url") == f"{second}:2"
    assert loaded.origin("log.level") == "environment variable AEN_LOG__LEVEL"
    assert loaded.origin("acl.group") == "default"
    assert loaded.origin("server.tls.cert") == "default", "its section stands in a file, the option does not"


def test_the_working_directory_is_never_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aen.yaml").write_text("log: {level: debug}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("aen.config.load.DEFAULT_FILE", tmp_path / "nowhere.yaml")
    assert load([], {}).files == ()
    assert load([], {}).config.log.level == "info"


def test_all_mistakes_at_once_with_file_and_line(tmp_path: Path) -> None:
    text = """\
server:
  listne: 8
  listen: 80
  secret_key: changeme
  tls: {cert: /x}
data_dir: relative
data_dir: /twice
gateway:
  workers: 0
  url: http://x/y
  trusted_proxies: [10.0.0.1/8]
apps:
  shiny: {comand: [x]}
"""
    found = _problems(tmp_path, text, {"AEN_GATEWAY__URK": "x"})
    expected = [
        "aen.yaml:2: server.listne: no such option. Did you mean 'listen'?",
        "aen.yaml:3: server.listen must be a valid string (it is 80).",
        "aen.yaml:4: server.secret_key is too short",
        "aen.yaml:5: server.tls.key is missing",
        "aen.yaml:7: data_dir is given twice",
        "aen.yaml:6: data_dir must be an absolute path",
        "aen.yaml:9: gateway.workers must be greater than or equal to 1 (it is 0).",
        "aen.yaml:10: gateway.url must end after host and port",
        "aen.yaml:11: gateway.trusted_proxies.0 '10.0.0.1/8' is neither",
        "aen.yaml:13: apps.shiny.comand: no such option. Did you mean 'command'?",
        "aen.yaml:13: apps.shiny.command is missing.",
        "environment variable AEN_GATEWAY__URK: no such option. Did you mean 'url'?",
    ]
    for sentence in expected:
        assert any(problem.startswith(sentence) for problem in found), (sentence, found)
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("server: [", "aen.yaml:1: this isn't valid YAML"),
        ("a: b: c\n", "aen.yaml:1: this isn't valid YAML"),
        ("server:\n\tlisten: x\n", "aen.yaml:2: this isn't valid YAML"),
        ("- a\n", "aen.yaml:1: must hold `option: value` lines."),
        ("? [a]\n: b\n", "aen.yaml:1: a key must be a word."),
        ("server: &x\n  tls: *x\n", "nested too deeply"),
        ("server: 5\n", "aen.yaml:1: server must be"),
        ("store: {url: 'postgres://x/y'}\n", "aen.yaml:1: store.url must be sqlite"),
        ("service_account: root\n", "aen.yaml:1: service_account must be the name"),
        ("bus: {url: 'nats://x:1'}\n", "bus.url is used with bus.mode external only"),
        ("server: {listen: ':9'}\ngateway: {listen: ':9'}\n", "gateway.listen is the same address as server.listen"),
        ("server: {url: 'http://x'}\ngateway: {url: 'http://x/'}\n", "gateway.url must differ from server.url"),
        ("server: {url: 'http://x/aen'}\ngateway: {url: 'http://X'}\n", "gateway.url must differ from server.url"),
        ("server: {url: 'http://x/a/../b'}\n", "server.url must end after host and port or a plain path"),
        ("gateway: {url: 'http://x/apps'}\n", "gateway.url must end after host and port: no path"),
        ("gateway: {url: 'http://a{project}.x.org'}\n", "only as the whole first part"),
        ("server: {listen: 'x:99999'}\n", "must be host:port"),
        ("server: {listen: '::1:80'}\n", "IPv6 address in brackets"),
    ],
)
def test_one_clear_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    found = _problems(tmp_path, text)
    assert any(sentence in problem for problem in found), found
    assert all("\n" not in problem for problem in found)


@pytest.mark.parametrize(
    "secret", ["tiny-one", "a" * 64, "change-me-change-me-change-me-1234567890", "my-secret-key" * 4]
)
def test_weak_secrets_are_refused_and_never_shown(tmp_path: Path, secret: str) -> None:
    found = _problems(tmp_path, f"server: {{secret_key: {secret}}}\n")
    assert len(found) == 1
    assert "server.secret_key" in found[0]
    assert secret not in found[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError) as caught:
        load([tmp_path / "missing.yaml", tmp_path / "binary.yaml", tmp_path], {})
    assert len(caught.value.problems) == 3
    assert "No such file" in caught.value.problems[0]


def test_blanks_as_root(tmp_path: Path) -> None:
    config = _resolved({}, tmp_path)
    assert (config.data_dir, config.run_dir) == (Path("/var/lib/aen"), Path("/run/aen"))
    assert (config.envs_dir, config.compute.project_root) == (Path("/opt/aen/envs"), Path("/projects"))
    assert (config.server.listen, config.gateway.listen) == ("*:80", "*:8089")
    assert (config.server.url, config.gateway.url) == ("http://box.example.org", "http://box.example.org:8089")
    assert (config.accounts.mode, config.compute.name, config.compute.listen) == ("managed", "box", "")
    assert config.store.url == "sqlite:////var/lib/aen/aen.db"


def test_blanks_as_an_ordinary_user(tmp_path: Path) -> None:
    config = _resolved({}, tmp_path, PERSON)
    data = Path("/home/ann/.local/share/aen")
    assert (config.data_dir, config.envs_dir, config.compute.project_root) == (data, data / "envs", data / "projects")
    assert config.run_dir.parent == Path("/run/user/1000")
    assert (config.server.listen, config.server.url) == ("127.0.0.1:8080", "http://127.0.0.1:8080")
    assert config.accounts.mode == "single"
    elsewhere = _resolved({"data_dir": "/home/ann/other"}, tmp_path, PERSON)
    assert elsewhere.run_dir != config.run_dir, "two installations of one person never share sockets"


def test_addresses_follow_what_was_given(tmp_path: Path) -> None:
    config = _resolved(
        {"server": {"url": "https://aen.example.org/"}, "gateway": {"tls": {"cert": "/c", "key": "/k"}}}, tmp_path
    )
    assert config.server.url == "https://aen.example.org"
    assert config.gateway.url == "https://aen.example.org:8089"
    config = _resolved({"server": {"listen": "[::1]:443", "tls": {"cert": "/c", "key": "/k"}}}, tmp_path)
    assert config.server.url == "https://[::1]"


def test_ports_that_were_bound_stand_in_the_addresses(tmp_path: Path) -> None:
    loaded = load([], {"AEN_SERVER__LISTEN": "127.0.0.1:0"})
    config = resolve(loaded.config, roles=ALL, machine=PERSON, ports={"server": 4711})
    assert config.server.url == "http://127.0.0.1:4711"


@pytest.mark.parametrize(
    ("values", "machine", "roles", "sentence"),
    [
        ({"run_dir": "/" + "r" * 90}, MACHINE, ALL, f"must fit in {LONGEST_SOCKET} bytes"),
        ({"accounts": {"mode": "managed"}}, PERSON, ALL, "accounts.mode managed needs root"),
        ({"accounts": {"mode": "single"}}, MACHINE, ALL, "accounts.mode single is for ordinary users"),
        ({"gateway": {"workers": 2}}, MACHINE, ALL, "gateway.workers above 1 needs a gateway of its own"),
    ],
)
def test_what_cannot_work_here(
    tmp_path: Path, values: dict[str, Any], machine: Machine, roles: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        _resolved(values, tmp_path, machine, roles)


@pytest.mark.parametrize("role", ["server", "gateway", "compute"])
def test_workers_of_the_gateway_may_stand_in_the_file_of_all_hosts(tmp_path: Path, role: str) -> None:
    assert _resolved({"gateway": {"workers": 2}}, tmp_path, MACHINE, (role,)).gateway.workers == 2


def test_show_hides_secrets_and_is_yaml_that_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "aen.yaml"
    path.write_text(f"server:\n  secret_key: {SECRET}\napps:\n  shiny: {{title: Shiny, command: [R, '{{socket}}']}}\n")
    loaded = load([path], {})
    config = resolve(loaded.config, roles=ALL, machine=MACHINE)
    text = show.show(loaded, config, origin=True)
    assert SECRET not in text
    assert f"secret_key: (hidden)  # {path}:2" in text
    again = yaml.safe_load(text)
    assert again["server"]["listen"] == "*:80"
    assert again["apps"]["shiny"]["command"] == ["R", "{socket}"]
    assert "(hidden)" in str(show.values(config)["server.secret_key"])


def test_the_sample_holds_every_option_and_changes_nothing(tmp_path: Path) -> None:
    sample = show.sample()
    for option in options():
        if "<name>" not in option.path:
            assert option.variable in sample
    path = tmp_path / "sample.yaml"
    path.write_text(sample)
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert load([path], {}).config == load([empty], {}).config


@pytest.mark.parametrize(("name", "made"), [("aen.yaml", show.sample), ("REFERENCE.md", show.reference)])
def test_generated_files_are_up_to_date(name: str, made: Any) -> None:
    assert (ROOT / "config" / name).read_text() == made(), (
        f"run `aen config {'sample' if name == 'aen.yaml' else 'docs'} > config/{name}`"
    )


def test_the_reference_explains_the_names_of_the_seeds() -> None:
    reference = show.reference()
    for name in ("projectRoot", "AEN_SRVC_ACCT", "ANON_USER"):
        assert name in reference
