"""The two locks: what a server installs holds nothing of development, and together they hold all that pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.locks import beyond, blocks

ROOT = Path(__file__).resolve().parents[2]
SERVER, TESTS = ROOT / "requirements.lock", ROOT / "tests/requirements.lock"


def _names(lock: Path) -> set[str]:
    return {re.split(r"[= ]", block, maxsplit=1)[0] for block in blocks(lock)}


def _asked(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>= \[;]", name, maxsplit=1)[0].lower() for name in requirements}


def test_a_server_gets_what_aen_needs_and_nothing_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    needed = _asked([*project["project"]["dependencies"], *extras])
    dev = _asked(project["dependency-groups"]["dev"])
    assert needed <= _names(SERVER)
    assert dev <= _names(TESTS) | _names(SERVER)
    assert not _names(SERVER) & (dev - needed)


def test_no_package_stands_in_both() -> None:
    assert not _names(SERVER) & _names(TESTS)


def test_what_is_not_the_same_in_both_is_refused(tmp_path: Path) -> None:
    less, more = tmp_path / "less", tmp_path / "more"
    less.write_text("a==1 \\\n    --hash=sha256:1\n")
    more.write_text("a==1 \\\n    --hash=sha256:1\nb==2 \\\n    --hash=sha256:2\n")
    assert beyond(less, more) == ["b==2 \\\n    --hash=sha256:2\n"]
    more.write_text("a==2 \\\n    --hash=sha256:3\n")
    with pytest.raises(ValueError, match="a is not the same"):
        beyond(less, more)
