"""`aen doctor` on the hosts of an installation, and what the server gathers of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.apart import EDGE, NODE, Apart
from tests.waiting import until

_FINE = {"warning", "ok"}


def found_on(apart: Apart, role: str) -> list[dict[str, Any]]:
    done = apart.run(apart.programs[role].file, "doctor", "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("role", ["server", "gateway", "compute"])
def test_each_host_is_examined_for_its_role(apart: Apart, role: str) -> None:
    found = found_on(apart, role)
    # A world's temporary folder and this machine's kernel are not judged here.
    bad = [one for one in found if one["state"] == "problem" and not one["what"].startswith("fs.")]
    assert not bad
    said = {one["what"] for one in found}
    assert {"bus", "node certificate", "clock"} - said <= ({"clock"} if role == "compute" else set())
    assert ("store" in said, "libraries for plots" in said) == (role == "server", role == "compute")
    assert ("WebSockets" in said) == (role == "gateway")
    assert all(one["cure"] for one in found if one["state"] == "warning"), found


async def test_the_server_gathers_what_all_find_and_where_they_differ(apart: Apart) -> None:
    file = apart.programs["compute"].file
    before = file.read_text()
    config = yaml.safe_load(before)
    config["log"]["level"] = "info"
    file.write_text(yaml.safe_dump(config))
    apart.programs["compute"].stop()
    apart.programs["compute"].start()
    try:
        admin = apart.add("doctors", admin=True)
        async with apart.client(admin) as client:

            async def drift() -> dict[str, Any] | None:
                items = (await client.get("/api/v1/doctor/drift")).json["items"]
                return next((item for item in items if item["option"] == "log.level"), None)

            differs = await until(drift, 30, "the drift is seen")
            assert differs["values"]["info"] == [NODE]
            assert set(differs["values"]["debug"]) >= {EDGE}
            found = (await client.get("/api/v1/doctor")).json["items"]
            assert {(one["node"], *one["roles"]) for one in found} == {
                ("server", "server"), (EDGE, "gateway"), (NODE, "compute")
            }  # fmt: skip
            origins = {
                option["path"]: option["origin"] for one in found for option in one["options"] if one["node"] == NODE
            }
            assert origins["log.level"].startswith(f"{file}:")
        everywhere = apart.aen("doctor", "--everywhere", "--json")
        assert {one["node"] for one in json.loads(everywhere.stdout)} == {"server", EDGE, NODE}
    finally:
        file.write_text(before)
        apart.programs["compute"].stop()
        apart.programs["compute"].start()
        apart.wait_known(NODE)
