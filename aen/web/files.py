"""Files read into memory: later the process may not reach the folder they came from any more."""

from __future__ import annotations

from aen.config.files import packaged


def read_all(kind: str) -> dict[str, bytes]:
    """Every file of a folder (`templates`, `static`) by its path below it."""
    root = packaged(kind)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
