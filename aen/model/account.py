"""Account: what there is of a person on one node."""

from __future__ import annotations

from aen.model import Word


class AccountReport(Word):
    """A person's Linux account on a node, after (or, when only looked at, before) what was asked for."""

    node: str = ""
    exists: bool = False
    made: bool = False  # by AEN: what it did not make it does not lock
    locked: bool = False
    uid: int = -1
    home: str = ""
    processes: int = 0  # that run on it, or were ended
    note: str = ""  # why AEN may not use it, or can't make it; empty when all is well
