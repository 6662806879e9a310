"""Running uv as a child process, and what it says on the way as progress."""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from aen.environments import Progress, site
from aen.errors import Unavailable

_SECONDS = 1800.0  # a first build over a slow line
_STAGES = (("Resolved", 0.10), ("Prepared", 0.55), ("Installed", 0.65), ("Bytecode compiled", 0.97))
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


async def run(arguments: Sequence[str], cwd: Path, environ: Mapping[str, str], progress: Progress) -> None:
    """Run uv to its end. Raises Unavailable with the end of what it said, which names what failed."""
    process = await asyncio.create_subprocess_exec(
        find_uv_bin(),
        *arguments,
        cwd=cwd,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    said: deque[str] = deque(maxlen=12)
    try:
        async with asyncio.timeout(_SECONDS):
            await _listen(process, said, progress)
            code = await process.wait()
    except TimeoutError:
        raise Unavailable(f"uv took longer than {_SECONDS / 60:.0f} minutes and was stopped.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        raise Unavailable(_reason(said))


def environ(data_dir: Path) -> dict[str, str]:
    """The environment uv runs in: ours, without AEN's own settings, with a cache that can be written."""
    made = {key: value for key, value in os.environ.items() if not key.startswith(("AEN_", "VIRTUAL_ENV", "PYTHON"))}
    home = made.get("HOME", "")
    if "UV_CACHE_DIR" not in made and not (home and os.access(home, os.W_OK | os.X_OK)):
        made["UV_CACHE_DIR"] = str(data_dir / "cache" / "uv")
        made["HOME"] = str(data_dir)
    return made | site.for_uv(os.environ) | {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}


async def _listen(process: asyncio.subprocess.Process, said: deque[str], progress: Progress) -> None:
    assert process.stderr is not None
    done, downloads = 0.05, 0
    while line := await process.stderr.readline():
        text = _ANSI.sub("", line.decode(errors="replace")).strip()
        if not text:
            continue
        said.append(text)
        downloads += text.startswith("Downloaded")
        reached = [part for word, part in _STAGES if text.startswith(word)]
        loaded = 0.10 + 0.45 * downloads / (downloads + 4)  # how many will come is not known
        done = max(done, *reached, loaded if downloads else 0.0)
        if reached or text.startswith(("Downloading", "Building")):
            progress(text[:120], done)


def _reason(said: deque[str]) -> str:
    """What uv complained of, in one paragraph, from its first `error:` on (or its last words)."""
    lines = list(said)
    start = next((i for i, line in enumerate(lines) if line.startswith(("error", "×", "  ×"))), max(0, len(lines) - 4))
    text = " ".join(line.lstrip("×╰─▶├ ").removeprefix("error: ") for line in lines[start:]) or "uv gave no reason."
    # An index address may carry a password.
    return re.sub(r"://[^/@\s]+@", "://…@", text)[:600]
