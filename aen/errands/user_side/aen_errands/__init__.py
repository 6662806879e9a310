"""What AEN does in a project as one of its people: `python -I -m aen_errands`.

This package is copied into the `apps` root environment: it must not import anything of AEN. It is told what to do in
the variable AEN_ERRANDS (other accounts can't read it, as they could read arguments). What it says on the way is shown
to people; its last line is the result, marked by MARK. Both are JSON, compressed, in base64.
"""

from __future__ import annotations

from typing import Any

MARK = "\x02AEN-RESULT "

Told = dict[str, Any]


class Refused(Exception):
    """It can't be done; the text is the sentence for the person."""
