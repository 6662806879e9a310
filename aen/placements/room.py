"""Room: the node with the most free memory for each session that it has, this one included."""

from __future__ import annotations

from aen.model.node import NodeRecord
from aen.placements import Placement

_LITTLE = 2 << 30  # bytes of disk: with less, a node is a place of last resort


class Room(Placement):
    """The rule that comes with AEN."""

    def score(self, node: NodeRecord, coming: int) -> float:
        """See Placement."""
        room = max(node.load.memory_free, 1) / (1 + node.sessions + coming)
        short = node.load.disk_total and node.load.disk_free < _LITTLE
        return room / 1_000_000 if short else room
