"""Placements: which compute node a project goes to. This is the contract; `room.py` is the rule that comes with AEN."""

from __future__ import annotations

from typing import Protocol

from aen.model.node import NodeRecord


class Placement(Protocol):
    """A rule. The server asks it of each node that may take the project: the one with the highest score gets it."""

    def score(self, node: NodeRecord, coming: int) -> float:
        """How good a place `node` is. `coming`: projects sent there since it last said how busy it is."""
