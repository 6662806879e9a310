"""Acts of the activity log in words: the end of a sentence that begins with who did it."""

from __future__ import annotations

ACTS: dict[str, str] = {
    "project.created": "created the project",
}
