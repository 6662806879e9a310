"""What `conda` says where environments are made by uv: that, and what does the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ANSWER = Path(__file__).resolve().parents[2] / "aen/environments/user_side/aen_environments/no_conda.sh"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tools")
    for name in ("conda", "mamba"):
        shutil.copy(ANSWER, made / name)
        (made / name).chmod(0o755)
    return made


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("conda install -y -c conda-forge numpy=1.26 scipy", "pip install numpy==1.26 scipy"),
        ("conda install 'pandas>=2' a==1", "pip install 'pandas>=2' a==1"),
        ("mamba install -n", "pip install PACKAGE"),
        ("conda update numpy", "pip install --upgrade numpy"),
        ("conda remove --name tools numpy", "pip uninstall numpy"),
        ("conda list", "pip list"),
        ("conda activate tools", "nothing: the active environment is in every terminal already"),
        ("conda install '$(echo x)' ';id'", "pip install $(echo x) ;id"),
        ("conda create -n tools python", ""),
        ("conda", ""),
    ],
)
def test_conda_says_what_does_the_same(tools: Path, typed: str, instead: str) -> None:
    environ = {
        "PATH": f"/usr/bin:/bin:{tools}",
        "AEN_PROJECT_BIN": "/projects/ann/genome/envs/deep/bin",
        "AEN_PROJECT": "ann/genome",
        "AEN_SERVER_URL": "https://aen.example.org",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", typed], env=environ, capture_output=True, text=True, check=False, timeout=30
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert lines[0].startswith(f"{typed.split()[0]}: environments here are made by uv")
    assert lines[0].endswith("The active one is deep.")
    told = [line.removeprefix("  Instead of this:  ") for line in lines if line.startswith("  Instead of this:")]
    assert told == ([instead] if instead else [])
    assert "(https://aen.example.org/ann/genome/environments)" in done.stderr
