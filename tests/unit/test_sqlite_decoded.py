"""Documents that are decoded once: by their text, and never more of them than there is room for."""

from __future__ import annotations

import json

from aen.store.sqlite_decoded import Decoded


def test_the_same_text_is_the_same_document() -> None:
    decoded = Decoded()
    one = decoded.read('{"id":"a","rev":1}')
    assert one == {"id": "a", "rev": 1}
    assert decoded.read('{"id":"a",' + '"rev":1}') is one
    assert decoded.read('{"id":"a","rev":2}') == {"id": "a", "rev": 2}


def test_what_is_large_is_not_kept() -> None:
    decoded = Decoded()
    text = json.dumps({"id": "a", "text": "x" * 10_000})
    assert decoded.read(text) == decoded.read(text)
    assert decoded.read(text) is not decoded.read(text)


def test_what_is_kept_is_bounded() -> None:
    decoded = Decoded()
    first = decoded.read('{"id":"first"}')
    for number in range(2_000):
        decoded.read(json.dumps({"id": str(number), "text": "x" * 4_000}))
    assert decoded.read('{"id":"first"}') is not first
    assert sum(len(str(doc)) for doc in decoded._docs.values()) < 5_000_000
