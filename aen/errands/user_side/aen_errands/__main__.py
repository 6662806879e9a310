"""The program: does the one thing that AEN_ERRANDS says, and ends with a line for AEN."""

from __future__ import annotations

import base64
import json
import os
import sys
import zlib
from importlib import import_module

from aen_errands import MARK, Refused, Told

#: Verb → module and function: what is not needed is not imported.
VERBS = {
    "revisions.status": ("revisions", "status"),
    "revisions.begin": ("revisions", "begin"),
    "revisions.commit": ("revisions", "commit"),
    "revisions.history": ("history", "history"),
    "revisions.show": ("history", "show"),
    "revisions.compare": ("history", "compare"),
    "revisions.restore": ("restoring", "restore"),
    "revisions.remote": ("remotes", "remote"),
    "revisions.clone": ("remotes", "clone"),
    "revisions.fetch": ("remotes", "fetch"),
    "revisions.pull": ("remotes", "pull"),
    "revisions.push": ("remotes", "push"),
    "revisions.key": ("keys", "key"),
    "runs.run": ("runs", "run"),
    "publishing.render": ("publishing", "render"),
    "publishing.part": ("publishing", "part"),
}


def main() -> int:
    """Exit code 0, or 1 with the reason in the result."""
    told: Told = json.loads(zlib.decompress(base64.b64decode(os.environ.pop("AEN_ERRANDS"))))
    try:
        module, name = VERBS[told["verb"]]
        result = {"ok": True, **getattr(import_module(f"aen_errands.{module}"), name)(told)}
    except Refused as error:
        result = {"ok": False, "reason": str(error)[:2000]}
    except OSError as error:
        place = f" ({os.path.basename(str(error.filename))})" if error.filename else ""
        result = {"ok": False, "reason": f"The project's files can't be worked on{place}: {error.strerror}."}
    # Packed: AEN reads no more than the end of what we say.
    packed = base64.b64encode(zlib.compress(json.dumps(result).encode())).decode()
    print(f"\n{MARK}{packed}", flush=True)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
