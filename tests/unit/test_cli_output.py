"""What the command prints: names that people gave their files move no cursor and change no colours."""

from __future__ import annotations

from typing import Any

import pytest

from aen.cli.project import _show_drift


def test_a_file_whose_name_is_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    item = {"path": "\x1b]0;owned\x07\x9b31m\u202eb\nc.txt", "lacks": {"bob": "rw"}, "extra": {}, "reason": "Why."}
    found: dict[str, Any] = {"items": [item], "differing": 1, "notes": [], "unreadable": {}, "looked_at": 2}
    _show_drift("alice/genome", found)
    printed = capsys.readouterr().out
    assert all(sign.isprintable() or sign == "\n" for sign in printed)
    assert "b�c.txt: bob lacks rw; Why.\n" in printed
