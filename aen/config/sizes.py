"""Sizes as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGTkmgt])?(?:i?[Bb])?")


def size_in_bytes(text: str) -> int:
    """Bytes of 512M, 4G, 1.5GiB (powers of 1024) or of a plain number. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("must be a size, as 4G or 512M")
    return int(float(found[1]) * 1024 ** " KMGT".index((found[2] or " ").upper()))


def size_text(most: int) -> str:
    """`most` as `size_in_bytes` reads it back, exactly."""
    for power, unit in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if most and most % 1024**power == 0:
            return f"{most // 1024**power}{unit}"
    return str(most)
