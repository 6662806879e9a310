"""The targets of the long search (`./dev fuzz`) hold for its seeds, and for what hypothesis makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aen.proxy.body import Chunked
from tests.hostile import fuzz_head


@given(
    st.integers(0, len(fuzz_head.TARGETS) - 1),
    st.lists(st.sampled_from(fuzz_head._SEEDS) | st.binary(max_size=30), max_size=4),
)
@settings(max_examples=300)
def test_the_targets_hold(target: int, pieces: list[bytes]) -> None:
    fuzz_head.one(bytes((target,)) + b"".join(pieces))


def test_a_finding_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Chunked.feed
    monkeypatch.setattr(Chunked, "feed", lambda chunked, data: feed(chunked, data)[:3])  # loses bytes of long pieces
    with pytest.raises(AssertionError):
        fuzz_head.one(b"\x035\r\nhello\r\n0\r\n\r\n")
