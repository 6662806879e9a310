"""What may stand in a document, and what of it is looked up: the same rules for every engine. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from aen.errors import Invalid
from aen.store import Collection, Doc

MAX_DOCUMENT = 4 * 1024 * 1024  # bytes as JSON
MAX_ID = 400  # bytes
MAX_KEY = 900  # bytes of a looked-up string: MongoDB's index entries end near 1,000
MAX_INT = 2**53
MAX_DEPTH = 50

Key = str | int | bool | None


def encoded(collection: Collection, doc: Doc, rev: int) -> str:
    """The document with `rev` as JSON. Raises Invalid when it holds what some engine could not keep exactly."""
    check_id(doc.get("id"))
    _check(doc, collection.name, 0)
    _check_looked_up(collection, doc)
    text = json.dumps({**doc, "rev": rev}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_DOCUMENT:
        raise Invalid(f"This is {size} bytes, over the {MAX_DOCUMENT} that one document may hold.")
    return text


def checked_rev(doc: Doc) -> int:
    """The rev that a replacement says it read. Raises Invalid without one."""
    rev = doc.get("rev")
    if not isinstance(rev, int) or isinstance(rev, bool):
        raise Invalid("A document that replaces another must hold the rev that was read.")
    return rev


def check_id(id: Any) -> str:
    """`id`, if it can be one. Raises Invalid."""
    if not isinstance(id, str) or not id or "\0" in id or len(_utf8(id, "id")) > MAX_ID:
        raise Invalid(f"A document's id must be a string of 1 to {MAX_ID} bytes.")
    return id


def check_key(value: Any, field: str) -> Key:
    """`value`, if it can be looked up. Raises Invalid: lists, objects and fractions can't, nor long strings."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        _check_int(value, field)
        return value
    if not isinstance(value, str):
        raise Invalid(f"{field} is looked up: it must be a string, a whole number, true, false or null.")
    if len(value) > MAX_KEY // 4 and len(_utf8(value, field)) > MAX_KEY:
        raise Invalid(f"{field} is too long: it may be {MAX_KEY} bytes.")
    if "\0" in value or not value.isascii():
        _utf8(value, field)
        if "\0" in value:
            raise Invalid(f"{field} holds a NUL character.")
    return value


def elements(doc: Doc, field: str) -> frozenset[tuple[bool, Key]]:
    """The distinct elements of a list field, each with whether it is a bool (Python holds True equal to 1)."""
    return frozenset((isinstance(value, bool), value) for value in doc.get(field) or ())


def text_of(collection: Collection, doc: Doc) -> str:
    """The words that search finds the document by."""
    return " ".join(doc.get(field) or "" for field in collection.text)


def after_prefix(prefix: str) -> str | None:
    """The smallest string above all that begin with `prefix`; None when there is none."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code == 0xD800:  # surrogates are no characters
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[: end - 1] + chr(code)
    return None


def _check(value: Any, where: str, depth: int) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not value.isascii():
            _utf8(value, where)
    elif isinstance(value, int):
        _check_int(value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Invalid(f"{where} is {value}: only finite numbers can be stored.")
    elif isinstance(value, (dict, list)):
        _check_inside(value, where, depth + 1)
    else:
        raise Invalid(f"{where} is of type {type(value).__name__}, which can't be stored.")


def _check_inside(value: dict[Any, Any] | list[Any], where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Invalid(f"{where[:100]} is nested deeper than {MAX_DEPTH}.")
    if isinstance(value, list):
        for number, item in enumerate(value):
            _check(item, f"{where}[{number}]", depth)
        return
    for key, item in value.items():
        if not isinstance(key, str) or not key or key.startswith("$") or "." in key or "\0" in key:
            raise Invalid(
                f"{where} holds the key {key!r}: keys are strings without '.', not empty, not beginning with $."
            )
        _utf8(key, where)
        _check(item, f"{where}.{key}", depth)


def _check_int(value: int, where: str) -> None:
    if not -MAX_INT < value < MAX_INT:
        raise Invalid(f"{where} is {str(value)[:30]}: whole numbers must be smaller than 2**53.")


def _check_looked_up(collection: Collection, doc: Doc) -> None:
    for field, unique, array in _looked_up(collection):
        where, value = f"{collection.name}.{field}", doc.get(field)
        if array:
            _check_elements(value, where)
            continue
        check_key(value, where)
        if unique and (not isinstance(value, str) or not value):
            raise Invalid(f"{where} is unique: it must be a string that is not empty.")
    for field in collection.prefix + collection.text:
        if not isinstance(doc.get(field, ""), str | None):
            raise Invalid(f"{collection.name}.{field} is searched: it must be a string.")
    for field in collection.prefix:
        check_key(doc.get(field), f"{collection.name}.{field}")


def _check_elements(value: Any, where: str) -> None:
    if value is not None and not isinstance(value, list):
        raise Invalid(f"{where} must be a list.")
    for item in value or ():
        check_key(item, where)


def _looked_up(collection: Collection) -> Iterator[tuple[str, bool, bool]]:
    """Field, unique, array: of each place in each index."""
    for index in collection.indexes:
        for place, field in enumerate(index.fields):
            yield field, index.unique, index.array and place == 0


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{where} holds half a character (a lone surrogate).") from None
