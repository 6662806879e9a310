"""Notebooks that differ, by cells: added, removed, changed, outputs apart; as people read them, not as JSON."""

from __future__ import annotations

import difflib
import json
from typing import Any

_ALIKE = 0.5  # from here on a cell counts as changed, and not as another one
_MOST_CELLS = 1500
_OUTPUT = 2000  # characters of one output


def differences(old: bytes | None, new: bytes | None, most: int) -> list[dict[str, Any]]:
    """The cells that differ, in order; those that don't are counted. Raises ValueError when one is no notebook."""
    before, after = _cells(old), _cells(new)
    found: list[dict[str, Any]] = []
    same = rows = 0
    for one, other in _pairs(before, after):
        cell = _difference(one, other)
        if cell is None:
            same += 1
            continue
        if same:
            found.append({"state": "same", "kind": "", "count": same, "rows": [], "outputs": []})
            same = 0
        rows += len(cell["rows"])
        if rows > most:
            found.append({"state": "cut", "kind": "", "count": 0, "rows": [], "outputs": []})
            return found
        found.append(cell)
    if same:
        found.append({"state": "same", "kind": "", "count": same, "rows": [], "outputs": []})
    return found


def _cells(data: bytes | None) -> list[dict[str, Any]]:
    if data is None:
        return []
    try:
        told = json.loads(data)
        cells = told["cells"][:_MOST_CELLS]
        return [
            {
                "id": str(cell.get("id", "")),
                "kind": str(cell.get("cell_type", ""))[:20],
                "source": _joined(cell.get("source", "")),
                "outputs": [_shown(output) for output in cell.get("outputs", ())],
            }
            for cell in cells
        ]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no notebook") from error


def _joined(text: Any) -> str:
    return "".join(str(part) for part in text) if isinstance(text, list) else str(text)


def _shown(output: Any) -> str:
    """An output in a few words: its text, or what kind of thing it is."""
    kind = output.get("output_type", "")
    if kind == "stream":
        return _joined(output.get("text", ""))[:_OUTPUT]
    if kind == "error":
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"[:_OUTPUT]
    data = output.get("data", {})
    pictures = [f"[{name}, {len(_joined(value))} characters]" for name, value in data.items() if name[:6] == "image/"]
    return "\n".join([*pictures, _joined(data.get("text/plain", ""))])[:_OUTPUT] + _mark(data)


def _mark(data: Any) -> str:
    """Pictures that differ must not look alike."""
    import hashlib

    told = json.dumps(data, sort_keys=True).encode()
    return f"\n(#{hashlib.sha256(told).hexdigest()[:8]})" if any(name[:6] == "image/" for name in data) else ""


def _pairs(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Which cell became which: equal ones first, then by id, then by likeness between them; order is kept."""
    match = difflib.SequenceMatcher(
        None, [_key(cell) for cell in before], [_key(cell) for cell in after], autojunk=False
    )
    pairs: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] = []
    for tag, i1, i2, j1, j2 in match.get_opcodes():
        if tag == "equal":
            pairs += zip(before[i1:i2], after[j1:j2], strict=True)
        else:
            pairs += _between(before[i1:i2], after[j1:j2])
    return pairs


def _key(cell: dict[str, Any]) -> tuple[str, str]:
    return cell["kind"], cell["source"]


def _between(
    gone: list[dict[str, Any]], come: list[dict[str, Any]]
) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    pairs: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] = []
    start = 0
    for cell in come:
        at = next((n for n in range(start, min(len(gone), start + 50)) if _are_one(gone[n], cell)), None)
        if at is None:
            pairs.append((None, cell))
            continue
        pairs += [(one, None) for one in gone[start:at]]
        pairs.append((gone[at], cell))
        start = at + 1
    return pairs + [(one, None) for one in gone[start:]]


def _are_one(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if one["kind"] != other["kind"]:
        return False
    if one["id"] and one["id"] == other["id"]:
        return True
    match = difflib.SequenceMatcher(None, one["source"][:4000], other["source"][:4000])
    return match.real_quick_ratio() >= _ALIKE and match.quick_ratio() >= _ALIKE and match.ratio() >= _ALIKE


def _difference(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    if (
        one is not None
        and other is not None
        and one["source"] == other["source"]
        and one["outputs"] == other["outputs"]
    ):
        return None
    some = one or other
    assert some is not None
    state = "new" if one is None else "removed" if other is None else "changed"
    if state == "changed" and one is not None and other is not None and one["source"] == other["source"]:
        state = "outputs"
    rows = _rows(one["source"] if one else None, other["source"] if other else None)
    old, new = one["outputs"] if one else [], other["outputs"] if other else []
    outputs = [] if old == new else [["-", text] for text in old[:5]] + [["+", text] for text in new[:5]]
    return {"state": state, "kind": some["kind"], "count": 1, "rows": rows, "outputs": outputs}


def _rows(old: str | None, new: str | None) -> list[list[Any]]:
    """[kind, old number, old, new number, new], as of a text."""
    a, b = (text.split("\n") if text is not None else [] for text in (old, new))
    rows: list[list[Any]] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for n in range(max(i2 - i1, j2 - j1)):
            left, right = i1 + n < i2, j1 + n < j2
            kind = " " if tag == "equal" else "~" if left and right else "-" if left else "+"
            row = [kind, i1 + n + 1 if left else 0, a[i1 + n][:2000] if left else ""]
            rows.append([*row, j1 + n + 1 if right else 0, b[j1 + n][:2000] if right else ""])
    return rows
