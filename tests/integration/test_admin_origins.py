"""The administrators' page says of each data center whether its projects are origins apart, and what that means."""

from __future__ import annotations

from pathlib import Path

from tests.served import served


async def test_the_page_says_which_and_why(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        nodes = server.domain.nodes
        await nodes.ensure_datacenter("paris", "https://{project}.paris.example.org")
        await nodes.ensure_datacenter("rome", "https://rome.example.org")
        text = (await (await server.browser("ada", admin=True)).get("/admin/nodes")).text
        said = [line for line in text.split("<p") if "origin" in line]
    assert any("(https://{project}.paris.example.org)" in one and "an origin of its own" in one for one in said)
    assert any("(https://rome.example.org)" in one and "all projects are one origin" in one for one in said)
