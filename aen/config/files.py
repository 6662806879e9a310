"""Files that come with AEN (templates, static, config): beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aen.errors import Unavailable

KINDS = ("templates", "static", "config")


@cache
def packaged(kind: str) -> Path:
    """The directory of one of KINDS. Raises Unavailable when the installation lacks it."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_files" / kind, package.parent / kind):
        if kind in KINDS and place.is_dir():
            return place
    raise Unavailable(f"This installation of AEN lacks its {kind!r} files beside {package}. Install it again.")
