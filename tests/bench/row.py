"""Row: one figure of a benchmark, beside what it is compared with and what was aimed at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """`against` is the same measure of the thing compared with, in the same unit; `aim` is a sentence such as `<= 1.15`.

    What is aimed at is the ratio where there is an `against`, else the value itself.
    """

    name: str
    value: float
    unit: str
    against: float | None = None
    aim: str = ""
    spread: float | None = None  # half of what lies between the smallest and the largest round, as a part of the value

    @property
    def ratio(self) -> float | None:
        """`value` over `against`."""
        return None if not self.against else self.value / self.against

    @property
    def met(self) -> bool | None:
        """Whether the aim was met; None where nothing was aimed at."""
        if not self.aim:
            return None
        sign, number = self.aim.split()
        measured = self.value if self.ratio is None else self.ratio
        return measured <= float(number) if sign == "<=" else measured >= float(number)

    def shown(self) -> dict[str, object]:
        """As it is written to a file."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "against": self.against,
            "ratio": self.ratio,
            "aim": self.aim,
            "spread": self.spread,
            "met": self.met,
        }


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def spread(values: Sequence[float]) -> float:
    """Half of what lies between the smallest and the largest of `values`, as a part of their median."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0
