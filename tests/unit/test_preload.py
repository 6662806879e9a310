"""What a node imports before it gives up its privileges: all that its roles need, and no more than that."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LOOK = """
import sys
from aen.config import Config
from aen.ground import preload
preload(("{role}",), Config.model_validate({{"environments": {{"backend": "venv"}}, "bus": {{"mode": "managed"}},
    "store": {{"url": "sqlite:////tmp/none"}}}}))
print("\\n".join(sys.modules))
"""


def loaded(role: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", _LOOK.format(role=role)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_compute_node_needs_no_pages() -> None:
    found = loaded("compute")
    assert {"aen.roles.compute.sessions", "aen.environments.venv", "aen.apps.jupyter", "aen.bus.nats"} <= found
    for heavy in ("aen.web", "aen.logins", "aen.store", "aiohttp_session", "jinja2", "ldap3", "rattler"):
        assert heavy not in found, f"{heavy} costs each compute node memory and time at its start"


@pytest.mark.parametrize("role", ["server", "gateway"])
def test_who_serves_pages_has_them_before_it_drops_its_privileges(role: str) -> None:
    assert {"aen.web.site", "aen.web.templates", f"aen.roles.{role}"} <= loaded(role)
