"""Pools: the connections to all apps, by session."""

from __future__ import annotations

from collections.abc import Iterator

from aen.model.route import ANYONE, Route
from aen.proxy.exchange import Answers
from aen.proxy.headers import ResponseReader
from aen.proxy.nodes import Far, Nodes
from aen.proxy.pool import Pool


class Pools:
    """One pool for each session. `nodes` is how those on other hosts are reached; None: all are on this one.

    `shared` and `ours` as in ResponseReader.
    """

    def __init__(self, nodes: Nodes | None, *, shared: bool, ours: bytes) -> None:
        self._nodes = nodes
        self._answers = Answers(ResponseReader(trusted=False, shared=shared, ours=ours))
        self._shown = Answers(ResponseReader(trusted=False, shown=True, ours=ours))
        self._by_session: dict[tuple[str, int, str], Pool] = {}

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._by_session.values())

    def of(self, route: Route) -> Pool:
        """The connections to an app."""
        key, far = (route.upstream, route.uid, route.session), Far.of(self._nodes, route)
        pool = self._by_session.get(key)
        if pool is None or pool.far != far:
            if pool is not None:  # of a start before this one
                pool.prune()
            answers = self._shown if route.user == ANYONE else self._answers
            pool = self._by_session[key] = Pool(route.upstream, route.uid, answers, far=far)
        return pool

    def forget(self, route: Route) -> None:
        """A session has ended: its kept connections too."""
        pool = self._by_session.pop((route.upstream, route.uid, route.session), None)
        if pool is not None:
            pool.prune()

    def leave_nodes(self) -> None:
        """A node may have been removed: no kept connection to any is used again."""
        for pool in self:
            if pool.far is not None:
                pool.prune()
