"""Contents of a project, worked on as a person: read for search, packed, unpacked. It imports nothing of AEN."""

from __future__ import annotations

from typing import Any

MARK = "\x02AEN-RESULT "  # AEN finds the result by it; the same word stands in user_program.py
Told = dict[str, Any]


class Refused(Exception):
    """It can't be done; the text says why, for people."""
