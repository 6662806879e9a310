"""The program: does the one thing that AEN_CONTENTS says, with the lowest priority, and ends with a line for AEN."""

from __future__ import annotations

import base64
import json
import os
import sys
import zlib
from collections.abc import Callable

from aen_contents import MARK, Refused, Told, indexing, packing, unpacking

VERBS: dict[str, Callable[[Told], Told]] = {
    "index": indexing.index,
    "pack": packing.pack,
    "unpack": unpacking.unpack,
}


def main() -> int:
    """Exit code 0, or 1 with the reason in the result."""
    told: Told = json.loads(zlib.decompress(base64.b64decode(os.environ.pop("AEN_CONTENTS"))))
    os.nice(19)
    try:
        result = {"ok": True, **VERBS[told["verb"]](told)}
    except Refused as error:
        result = {"ok": False, "reason": str(error)[:2000]}
    except OSError as error:
        result = {"ok": False, "reason": f"The files of the project can't be worked on: {error.strerror or error}."}
    packed = base64.b64encode(zlib.compress(json.dumps(result).encode())).decode()
    print(f"\n{MARK}{packed}", flush=True)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
