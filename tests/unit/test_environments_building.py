"""A root environment that can't be built says why, also where a whole folder could not be copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aen.environments import Progress, RootEnvironment
from aen.environments.building import Site, ensure
from aen.errors import Unavailable


async def test_a_folder_that_cant_be_copied_says_which_file(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "page.css").symlink_to("nowhere")
    made = RootEnvironment("apps", "1", tmp_path / "envs/apps-1", tmp_path / "envs/apps-1/bin/python")

    async def install(staging: Path, note: Progress) -> None:
        staging.mkdir()

    def finish(place: Path) -> None:
        shutil.copytree(ours, place / "ours")

    site = Site(tmp_path / "envs", "", "", install, finish)
    with pytest.raises(Unavailable) as caught:
        await ensure(site, made, lambda: False, lambda text, part: None)
    assert "page.css" in caught.value.message
    assert "None" not in caught.value.message
