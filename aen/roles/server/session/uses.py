"""Uses: what sessions took in the last minutes, for the little curve on the page. In memory only: nodes tell it again and again."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence

from aen.messages import SessionReport
from aen.model.session import Session, Use

_KEPT = 60  # measurements: five minutes of one every 5 s
_FIELDS = ("cpu", "memory", "memory_limit", "processes", "out_of_memory", "at")
_SIZE = len(_FIELDS)


class Uses:
    """The latest measurements of each session, as bare numbers: of 20,000 sessions there are more than a million."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, array[float]]] = {}  # session → its generation, oldest first

    def take(self, report: SessionReport) -> None:
        """Remember a measurement, once."""
        if report.use is None:
            return
        generation, kept = self._of.get(report.session, (0, array("d")))
        if generation != report.generation:
            kept = array("d")
            self._of[report.session] = (report.generation, kept)
        if not kept or kept[-1] < report.use.at:
            kept.extend(float(getattr(report.use, field)) for field in _FIELDS)
            del kept[: -_KEPT * _SIZE]

    def of(self, session: Session) -> Sequence[Use]:
        """What is known of this generation of a session, oldest first."""
        generation, kept = self._of.get(session.id, (0, array("d")))
        if generation != session.generation:
            return ()
        rows = (kept[at : at + _SIZE] for at in range(0, len(kept), _SIZE))
        return tuple(Use.model_validate(dict(zip(_FIELDS, row, strict=True))) for row in rows)

    def keep_only(self, live: Collection[str]) -> None:
        """Forget all others."""
        for session in [session for session in self._of if session not in live]:
            del self._of[session]
