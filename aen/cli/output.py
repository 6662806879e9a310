"""Output: a table for people, JSON for scripts."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

#: Columns that hold a time in milliseconds since 1970.
TIMES = (
    "activity",
    "created",
    "updated",
    "last_login",
    "last_seen",
    "seen",
    "since",
    "started",
    "expires",
    "joined",
    "certificate_until",
    "at",
    "ends",
    "oldest",
)

#: Columns that hold bytes.
SIZES = (
    "bytes",
    "environments",
    "trash",
    "caches",
    "memory_total",
    "memory_free",
    "disk_total",
    "disk_free",
)


def show(rows: Iterable[dict[str, Any]], columns: Sequence[str], *, as_json: bool, nothing: str) -> None:
    """Print rows: whole as JSON, or these columns as a table (`nothing` says it when there are none)."""
    found = list(rows)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        print(nothing)
    else:
        print_table([[cell_of(row, column) for column in columns] for row in found], columns)


def details(row: dict[str, Any], *, as_json: bool) -> None:
    """Print one thing: whole as JSON, or a line for each of its values."""
    if as_json:
        print(json.dumps(row, indent=2, ensure_ascii=False))
        return
    plain = {key: value for key, value in row.items() if not isinstance(value, dict)}
    inner = {
        f"{key} {name}": cell_of(part, name) for key, part in row.items() if isinstance(part, dict) for name in part
    }
    width = max(len(key) for key in (*plain, *inner))
    for key in plain:
        print(f"{key.replace('_', ' ').ljust(width)}  {cell_of(row, key)}")
    for key, value in inner.items():
        print(f"{key.replace('_', ' ').ljust(width)}  {value}")


def print_table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    """A table on a terminal; plain columns, whole values and no colours where a program reads along."""
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*(column.replace("_", " ") for column in columns), box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(value) for value in row))
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False).print(table if width is None else _plain(rows, columns), soft_wrap=True)


def cell_of(row: dict[str, Any], column: str) -> str:
    """One value of a row in a table; times and sizes are written out."""
    value = row.get(column)
    if column in TIMES and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000).astimezone().strftime("%Y-%m-%d %H:%M") if value else "never"
    if column in SIZES and isinstance(value, int):
        from aen.languages import size

        return size(value)
    return cell(value)


def cell(value: Any) -> str:
    """A value in a table. What a person wrote can't move the cursor or change the colours."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(cell(inner) for inner in value) or "–"
    return "".join("�" if unicodedata.category(letter) in ("Cc", "Cf") else letter for letter in str(value))


def _plain(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    lines = [list(columns), *[list(row) for row in rows]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    shown = (
        "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    return "\n".join(shown)
