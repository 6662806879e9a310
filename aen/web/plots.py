"""Plots: inline SVG made on the server: no script, no style attribute. Colours come from the style sheet by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup, escape

_WIDE, _HIGH = 640, 160
_LEFT, _BOTTOM, _TOP = 44, 20, 8


@dataclass(frozen=True)
class Series:
    """One line: pairs of (place 0 to 1, value). `None` as a value breaks the line."""

    name: str
    points: Sequence[tuple[float, float | None]]


def bars(title: str, values: Sequence[tuple[str, float]], unit: str = "") -> Markup:
    """One bar for each (label, value); labels of the first, the middle and the last stand below."""
    return _bars(title, tuple(values), unit)


@lru_cache(256)
def _bars(title: str, values: tuple[tuple[str, float], ...], unit: str) -> Markup:
    """One bar for each (label, value); labels of the first, the middle and the last stand below."""
    top = _nice(max((value for _, value in values), default=0))
    wide = (_WIDE - _LEFT) / max(len(values), 1)
    drawn = []
    for place, (label, value) in enumerate(values):
        high = (value / top) * (_HIGH - _TOP - _BOTTOM)
        x, y = _LEFT + place * wide, _HIGH - _BOTTOM - high
        drawn.append(
            f'<rect class="plot-bar" x="{x + 1:.1f}" y="{y:.1f}" width="{max(wide - 2, 1):.1f}" height="{high:.1f}">'
            f"<title>{escape(label)}: {_number(value)}{escape(unit)}</title></rect>"
        )
    marked = sorted({0, len(values) // 2, len(values) - 1}) if values else []
    below = [_below(_LEFT + (place + 0.5) * wide, values[place][0], place, len(values)) for place in marked]
    return _svg(title, _told(values, unit), _grid(top, unit) + "".join(drawn) + "".join(below))


def lines(title: str, series: Sequence[Series], labels: Sequence[str], top: float = 0.0, unit: str = "") -> Markup:
    """Lines over time; `labels` stand below from left to right; `top` is the least that the axis reaches."""
    values = [value for one in series for _, value in one.points if value is not None]
    high = max(top, _nice(max(values, default=0)) if not top or max(values, default=0) > top else top)
    drawn = [_line(one, number, high) for number, one in enumerate(series)]
    count = max(len(labels) - 1, 1)
    below = [
        _below(_LEFT + (_WIDE - _LEFT) * place / count, label, place, len(labels)) for place, label in enumerate(labels)
    ]
    told = "; ".join(f"{one.name}: {_last(one)}{unit}" for one in series)
    return _svg(title, told, _grid(high, unit) + "".join(drawn) + "".join(below))


def _line(series: Series, number: int, top: float) -> str:
    parts: list[list[str]] = [[]]
    for place, value in series.points:
        if value is None:
            parts.append([])
            continue
        x = _LEFT + place * (_WIDE - _LEFT)
        y = _HIGH - _BOTTOM - min(value / top, 1) * (_HIGH - _TOP - _BOTTOM)
        parts[-1].append(f"{x:.1f},{y:.1f}")
    return "".join(
        f'<polyline class="plot-line plot-{number}" points="{" ".join(part)}"/>' for part in parts if len(part) > 1
    )


def _grid(top: float, unit: str) -> str:
    marks = []
    for share in (0.0, 0.5, 1.0):
        y = _HIGH - _BOTTOM - share * (_HIGH - _TOP - _BOTTOM)
        marks.append(f'<line class="plot-grid" x1="{_LEFT}" x2="{_WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(
            f'<text class="plot-text" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(top * share)}{escape(unit)}</text>'
        )
    return "".join(marks)


def _below(x: float, label: str, place: int, count: int) -> str:
    anchor = "start" if place == 0 else "end" if place == count - 1 else "middle"
    return f'<text class="plot-text" x="{x:.1f}" y="{_HIGH - 4}" text-anchor="{anchor}">{escape(label)}</text>'


def _svg(title: str, told: str, inside: str) -> Markup:
    head = f'<svg class="plot" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(title)}. {escape(told)}">'
    return Markup(f"{head}{inside}</svg>")  # noqa: S704 (all texts are escaped above, the rest are numbers)


def _told(values: Sequence[tuple[str, float]], unit: str) -> str:
    if not values:
        return ""
    label, most = max(values, key=lambda pair: pair[1])
    return f"{values[-1][0]}: {_number(values[-1][1])}{unit}; {label}: {_number(most)}{unit}"


def _last(series: Series) -> str:
    return next((_number(value) for _, value in reversed(series.points) if value is not None), "–")


def _nice(value: float) -> float:
    """A round number that is not less."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    return next(step * times for times in (1, 2, 4, 5, 6, 8, 10) if step * times >= value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
