"""The launcher where systemd runs: each app in a scope of its own, made over systemd's own socket. With a real systemd."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.systemd import beside, why_not


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a launcher beside a systemd did and saw."""
    if why_not():
        pytest.skip(why_not())
    log = tmp_path_factory.mktemp("systemd") / "log"
    done = beside([sys.executable, "-m", "tests.beside_systemd"], log)
    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"said": done.stderr}


@pytest.mark.root
def test_an_app_gets_a_scope_with_its_limits(seen: dict[str, Any]) -> None:
    assert seen["health"]["limits"] == "systemd"
    assert seen["said"] == ""  # no fallback was needed
    (scope,) = seen["scopes"]
    assert seen["group"] == f"0::/aen.slice/aen-apps.slice/{scope}"
    assert seen["shown"] == {
        "MemoryMax": str(256 << 20),
        "TasksMax": "77",
        "CPUQuotaPerSecUSec": "1.500000s",
        "Slice": "aen-apps.slice",
        "ActiveState": "active",
        "CollectMode": "inactive-or-failed",
    }


@pytest.mark.root
def test_a_scope_goes_with_its_app_and_all_it_left(seen: dict[str, Any]) -> None:
    assert seen["code"] == 3
    assert seen["ended"]


@pytest.mark.root
def test_apps_outlive_the_launcher_in_their_scopes(seen: dict[str, Any]) -> None:
    assert seen["lived_on"]
    assert seen["adopted"]
    assert seen["processes"] == 2  # its leader, and the one that left its session
