"""Doorkeeper: lets into a memory what is asked for again. What is looked at once costs nothing then, and drives nothing out."""

from __future__ import annotations

from array import array
from collections.abc import Hashable

_PLACES = 1 << 15  # of 8 bytes; more than any memory holds, so that few forget each other


class Doorkeeper:
    """Whether something was asked for lately. It keeps a hash of each, and may forget one: then it is let in a time later.

    As in G. Einziger and others, TinyLFU: A Highly Efficient Cache Admission Policy (2017), with a table for their filter.
    Used by several threads: each step is safe by itself.
    """

    def __init__(self) -> None:
        self._asked = array("q", bytes(8 * _PLACES))

    def knows(self, key: Hashable) -> bool:
        """Whether it was asked for before; from now on it was."""
        number = hash(key)
        place = number % _PLACES
        known = self._asked[place] == number
        self._asked[place] = number
        return known
