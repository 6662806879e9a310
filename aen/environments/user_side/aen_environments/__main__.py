"""The program: does the one thing that AEN_ENVIRONMENTS says, and ends with a line for AEN."""

from __future__ import annotations

import base64
import json
import os
import sys
import zlib
from collections.abc import Callable

from aen_environments import MARK, Refused, Told, changing, moved, showing

VERBS: dict[str, Callable[[Told], Told]] = {
    "list": showing.everything,
    "read": showing.one,
    "hashes": showing.hashes,
    "change": changing.change,
    "moved": moved.moved,
}


def main() -> int:
    """Exit code 0, or 1 with the reason in the result."""
    told: Told = json.loads(zlib.decompress(base64.b64decode(os.environ.pop("AEN_ENVIRONMENTS"))))
    try:
        result = {"ok": True, **VERBS[told["verb"]](told)}
    except Refused as error:
        result = {"ok": False, "reason": str(error)[:2000]}
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        result = {"ok": False, "reason": f"The files of the environment can't be worked on{place}: {error.strerror}."}
    # Packed: AEN reads no more than the end of what we say.
    packed = base64.b64encode(zlib.compress(json.dumps(result).encode())).decode()
    print(f"\n{MARK}{packed}", flush=True)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    # Without the interpreter's own end: threads of py-rattler have crashed it there.
    code = main()
    sys.stdout.flush()
    os._exit(code)
