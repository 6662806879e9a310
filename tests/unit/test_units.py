"""The systemd units: systemd itself finds nothing wrong with them, and they say what AEN relies on."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aen.config import Config
from aen.units import Installed, supervisord, systemd

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "config/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    copy = tmp_path / unit.name  # the program it starts need not be installed here
    copy.write_text(unit.read_text().replace("/opt/aen/venv/bin/aen", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("role", ["all", "server", "gateway", "compute", "gateway,compute"])
def test_units_are_made_with_the_paths_of_this_installation(role: str, tmp_path: Path) -> None:
    """`aen install systemd`, as an administrator runs it; systemd itself reads what comes out."""
    config, units = tmp_path / "my aen.yaml", tmp_path / "units"
    config.write_text(f"data_dir: {tmp_path / 'data'}\n")
    aen = Path(sys.executable).parent / "aen"
    command = [str(aen), "install", "systemd", "--role", role, "--to", str(units), "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "systemd-analyze:" in done.stdout) == (0, False), done.stdout + done.stderr
    (unit,) = units.glob("*.service")
    text = unit.read_text()
    assert f"ExecStart={aen} serve --role" in text
    assert f'-c "{config}"' in text
    assert ("NoNewPrivileges=yes" in text) == (role in ("server", "gateway"))  # people's sudo, where apps run
    assert (units / "aen-apps.slice").exists() == (role not in ("server", "gateway"))


def test_supervisord_and_rotation(tmp_path: Path) -> None:
    made = supervisord(Installed(("gateway",), Path("/opt/aen/venv/bin/aen"), (Path("/etc/aen/aen.yaml"),), Config()))
    section = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    section.read_string(made["supervisor/conf.d/aen-gateway.conf"])
    program = section["program:aen-gateway"]
    assert program["command"] == "/opt/aen/venv/bin/aen serve --role gateway -c /etc/aen/aen.yaml"
    assert (program["killasgroup"], program["stopsignal"]) == ("false", "TERM")
    rotation = tmp_path / "aen"
    rotation.write_text(made["logrotate.d/aen-gateway"].replace("su root aen\n", ""))
    if shutil.which("logrotate") is None:
        pytest.skip("there is no logrotate on this machine")
    done = subprocess.run(["logrotate", "--debug", str(rotation)], capture_output=True, text=True, check=False)
    assert "error:" not in done.stderr, done.stderr


def test_samples_are_what_install_writes() -> None:
    program, file = Path("/opt/aen/venv/bin/aen"), Path("/etc/aen/aen.yaml")
    for roles in (("server",), ("gateway",), ("compute",), ("server", "compute", "gateway")):
        for name, text in systemd(Installed(roles, program, (file,), Config())).items():
            assert (ROOT / "config/systemd" / name).read_text() == text, name


def test_there_is_one_for_every_role() -> None:
    assert {unit.stem for unit in UNITS} == {"aen-server", "aen-gateway", "aen-compute", "aen-all"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_apps_outlive_a_restart_and_readiness_is_told(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert "KillMode=process" in lines
    assert "Type=notify" in lines
    role = unit.stem.removeprefix("aen-")
    assert any(f"--role {role} " in line for line in lines if line.startswith("ExecStart="))
