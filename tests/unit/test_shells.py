"""Terminals: bash or zsh, the person's own settings first, then the project's environment in front, in the project's folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from aen.apps.shells import known, shell_command

SETTINGS = Path(__file__).resolve().parents[2] / "aen/apps/user_side/aen_jupyter"
ASKED = "echo $PWD; echo $PATH; echo $VIRTUAL_ENV; echo $MINE; echo '<'$ZDOTDIR$AEN_ZSH'>'; echo $HISTFILE; exit\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_ones_own_settings_then_the_projects_environment(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    home, project = tmp_path / "home", tmp_path / "genome"
    home.mkdir()
    (project / "envs/default/bin").mkdir(parents=True)
    (home / f".{shell}rc").write_text("PATH=/opt/mine/bin:/usr/bin:/bin; MINE=kept; unset VIRTUAL_ENV\n")
    environ = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "AEN_PROJECT": "alice/ge%nome",
        "AEN_PROJECT_DIR": str(project),
        "AEN_PROJECT_BIN": f"{project}/envs/default/bin",
    }
    done = subprocess.run(
        shell_command(program, SETTINGS),
        input=ASKED,
        env=environ,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout.splitlines()[-6:]
    assert said == [
        str(project),
        f"{project}/envs/default/bin:/opt/mine/bin:/usr/bin:/bin",
        f"{project}/envs/default",
        "kept",
        "<>",
        f"{home}/.{shell}_history",
    ], done.stderr


def test_settings_of_zsh_kept_elsewhere(tmp_path: Path) -> None:
    """Many people's .zshenv says that their settings lie in another folder."""
    program = shutil.which("zsh")
    if program is None:
        pytest.skip("zsh is not installed")
    (tmp_path / "mine").mkdir()
    (tmp_path / ".zshenv").write_text(f"export ZDOTDIR={tmp_path}/mine\n")
    (tmp_path / "mine/.zshrc").write_text("MINE=elsewhere\n")
    done = subprocess.run(
        shell_command(program, SETTINGS),
        input="echo $MINE in $ZDOTDIR; exit\n",
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == [f"elsewhere in {tmp_path}/mine"], done.stderr


@pytest.mark.parametrize(
    ("login_shell", "terminal"),
    [
        ("/bin/zsh", "/bin/zsh"),
        ("/usr/bin/bash", "/usr/bin/bash"),
        ("/usr/sbin/nologin", "/bin/bash"),
        ("", "/bin/bash"),
    ],
)
def test_other_login_shells_get_bash(login_shell: str, terminal: str) -> None:
    assert known(login_shell) == terminal
