"""docs/features.md: every row has its word, every test that it names is there, and the rows are complete."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(
    r"^\| ([A-Z])(\d+) \| (.+) \| (.+) \| (.*) \|$", (ROOT / "docs/features.md").read_text(), re.MULTILINE
)


def test_rows_are_complete() -> None:
    counts = {
        "A": 14,
        "B": 12,
        "C": 17,
        "D": 9,
        "E": 17,
        "F": 10,
        "M": 5,
        "H": 20,
        "I": 8,
        "J": 10,
        "K": 15,
        "L": 16,
        "P": 38,
    }
    for letter, count in counts.items():
        assert [int(row[1]) for row in ROWS if row[0] == letter] == list(range(1, count + 1)), letter


def test_each_row_says_what_became_of_it() -> None:
    for letter, number, _name, word, shown in ROWS:
        state, _colon, why = word.partition(": ")
        assert state in ("done", "done differently", "dropped", "not yet"), f"{letter}{number}: {word}"
        assert why or state in ("done", "not yet"), f"{letter}{number} says not why"
        assert shown or state in ("dropped", "not yet"), f"{letter}{number} names no test"


def test_each_test_is_there() -> None:
    for letter, number, _name, _word, shown in ROWS:
        for path, name in re.findall(r"`([\w/]+\.py)::(\w+)`", shown):
            assert f"def {name}(" in (ROOT / path).read_text(), f"{letter}{number}: {path}::{name}"
