"""README: its map of the folders is the tree; what it and the docs link to exists; the two commands are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
TOP = {
    "pyproject.toml README.md aen config templates static tests dev requirements.lock CONTRIBUTING.md CHANGELOG.md",
    "DECISIONS.md LICENSE .ci docs .gitignore",
}


def _mapped() -> set[str]:
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    return {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)}


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [Path(line) for line in listed.stdout.splitlines()]


def test_every_folder_on_the_map_exists() -> None:
    assert _mapped()
    for name in _mapped():
        assert (ROOT / name).exists(), name


def test_every_folder_is_on_the_map() -> None:
    folders = {path.parts[0] for path in _tracked() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    packages = {f"aen/{path.parts[1]}" for path in _tracked() if path.parts[0] == "aen" and len(path.parts) > 2}
    roles = {
        f"aen/roles/{path.parts[2]}"
        for path in _tracked()
        if path.parts[:2] == ("aen", "roles") and len(path.parts) > 3
    }
    missing = (folders - {"aen"} | packages - {"aen/roles"} | roles) - _mapped()
    assert not missing, f"README's map lacks {sorted(missing)}"


def test_the_top_level_is_fixed() -> None:
    allowed = {name for line in TOP for name in line.split()}
    assert {path.parts[0] for path in _tracked()} <= allowed


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "DECISIONS.md", "docs/install.md", "docs/operate.md", "docs/api.md"]
)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / name).parent / link).exists(), link


def test_the_commands_it_names_exist() -> None:
    dev = (ROOT / "dev").read_text()
    text = README + (ROOT / "CONTRIBUTING.md").read_text()
    for verb in set(re.findall(r"\./dev (\w+)", text)):
        assert re.search(rf"^{verb}\)", dev, re.MULTILINE), verb
