"""Shells: what a terminal runs. bash, or zsh where that is the person's login shell; either in the project's environment."""

from __future__ import annotations

import os
from pathlib import Path

BASH = "/bin/bash"


def shell_command(shell: str, settings: Path) -> list[str]:
    """The command of a terminal. `settings`: our package as it lies in the environment of the apps."""
    if os.path.basename(shell) == "zsh":
        return ["/usr/bin/env", f"ZDOTDIR={settings / 'zsh'}", shell, "-i"]
    return [BASH, "--rcfile", str(settings / "bashrc"), "-i"]


def known(shell: str) -> str:
    """The person's login shell if terminals can be in it, else bash."""
    return shell if os.path.basename(shell) in ("bash", "zsh") else BASH
