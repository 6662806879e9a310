"""docs/security.md names tests: each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", (ROOT / "docs/security.md").read_text())))


def test_many_are_named() -> None:
    assert len(NAMED) > 50


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[f"{file}::{name}" for file, name in NAMED])
def test_the_test_is_there(file: str, name: str) -> None:
    assert re.search(rf"def {name}\(", (ROOT / "tests" / file).read_text())
