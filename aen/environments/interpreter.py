"""Interpreter: which Python root environments are made from. Every account must be able to execute it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aen.errors import Unavailable

OLDEST = (3, 11)
_SYSTEM_PATH = "/usr/bin:/usr/local/bin:/bin"


@dataclass(frozen=True)
class Interpreter:
    """A Python that environments can be made from."""

    path: Path
    version: str  # "3.11.2"


def find(*, for_everybody: bool) -> Interpreter:
    """The system's Python, or another one that every account can execute.

    `for_everybody`: false in evaluation mode, where our own interpreter may serve too. Raises Unavailable with what to install.
    """
    passed: list[str] = []
    for path in _candidates(own=not for_everybody):
        found = _look(path)
        if found is None:
            passed.append(f"{path} is older than {_shown(OLDEST)} or does not run")
        elif for_everybody and (blocked := blocked_at(found.path)):
            passed.append(f"{path} can't be executed by every account ({blocked} is private)")
        else:
            return found
    raise Unavailable(
        f"No Python {_shown(OLDEST)} or later that every account can execute. Install the system's (apt install python3). "
        f"Looked at: {'; '.join(passed) or 'nothing was there'}."
    )


def blocked_at(path: Path) -> Path | None:
    """The first part of a path (symlinks followed) that others can't pass or execute, or None."""
    real = path.resolve()
    for part in [*reversed(real.parents), real]:
        if not part.stat().st_mode & stat.S_IXOTH:
            return part
    return None


def _candidates(own: bool) -> Iterable[Path]:
    names = ["python3", *(f"python3.{minor}" for minor in range(20, OLDEST[1] - 1, -1))]
    seen: set[Path] = set()
    for name in names:
        found = shutil.which(name, path=_SYSTEM_PATH)
        if found and Path(found).resolve() not in seen:
            seen.add(Path(found).resolve())
            yield Path(found)
    if own:
        yield Path(getattr(sys, "_base_executable", sys.executable))


def _look(path: Path) -> Interpreter | None:
    ask = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run(
            [str(path), "-I", "-S", "-c", ask], capture_output=True, text=True, timeout=20, check=False, env=_bare()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.strip()
    if done.returncode or tuple(map(int, version.split("."))) < OLDEST:
        return None
    return Interpreter(path, version)


def _bare() -> dict[str, str]:
    return {"PATH": _SYSTEM_PATH, "HOME": os.devnull}


def _shown(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
