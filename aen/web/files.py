"""Files that come with AEN: templates, static files, configuration; in the checkout and inside the wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def files(kind: str) -> Path:
    """The folder of `kind` (`templates`, `static`, `config`). Raises FileNotFoundError when AEN was packaged without it."""
    for folder in (_PACKAGE / "_files" / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"AEN's folder {kind!r} is missing: install AEN again.")


def read_all(kind: str) -> dict[str, bytes]:
    """Every file of a folder by its path below it, read once: later the process may not reach the folder any more."""
    root = files(kind)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
