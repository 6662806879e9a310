"""The systemd units: systemd itself finds nothing wrong with them, and they say what AEN relies on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).resolve().parents[2] / "config/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    copy = tmp_path / unit.name  # the program it starts need not be installed here
    copy.write_text(unit.read_text().replace("/opt/aen/venv/bin/aen", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_there_is_one_for_every_role() -> None:
    assert {unit.stem for unit in UNITS} == {"aen-server", "aen-gateway", "aen-compute", "aen-all"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_apps_outlive_a_restart_and_readiness_is_told(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert "KillMode=process" in lines
    assert "Type=notify" in lines
    role = unit.stem.removeprefix("aen-")
    assert any(f"--role {role} " in line for line in lines if line.startswith("ExecStart="))
