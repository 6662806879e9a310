"""Uses: what sessions took in the last minutes, for the little curve on the page. In memory only: nodes tell it again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from aen.messages import SessionReport
from aen.model.session import Session, Use

_KEPT = 60  # measurements: five minutes of one every 5 s


class Uses:
    """The latest measurements of each session."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, deque[Use]]] = {}  # session → its generation, oldest first

    def take(self, report: SessionReport) -> None:
        """Remember a measurement, once."""
        if report.use is None:
            return
        generation, kept = self._of.get(report.session, (0, deque()))
        if generation != report.generation:
            kept = deque(maxlen=_KEPT)
            self._of[report.session] = (report.generation, kept)
        if not kept or kept[-1].at < report.use.at:
            kept.append(report.use)

    def of(self, session: Session) -> Sequence[Use]:
        """What is known of this generation of a session, oldest first."""
        generation, kept = self._of.get(session.id, (0, ()))
        return tuple(kept) if generation == session.generation else ()

    def keep_only(self, live: Collection[str]) -> None:
        """Forget all others."""
        for session in [session for session in self._of if session not in live]:
            del self._of[session]
