"""Links: addresses that show one file or folder to whoever has them: `/<owner>/<project>/shared-<id>/<secret>/…`."""

from __future__ import annotations

import re

#: The third part of such an address begins so, and no app's name does.
SHARED = "shared-"
#: The same of a dashboard: `/<owner>/<project>/board-<id>/…`. It holds no secret.
BOARD = "board-"
#: App servers that change no files of the project, whoever comes: the scope `sessions:look` is enough for them.
LOOKED_AT = re.compile(r"board-[^/]+|viewer")
_SECRET = re.compile(r"((?:^|//[^/]*)/[^/]+/[^/]+/shared-[^/]+/)[^/?]+")


def without_secret(address: str) -> str:
    """A path or an address as a log may show it."""
    return _SECRET.sub(r"\1-", address) if SHARED in address else address
