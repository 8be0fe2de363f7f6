"""Small bar charts as SVG text: horizontal bars, one group for each row of a table, one colour for each column."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_COLOURS = ("#2f6f9f", "#d98b3a", "#5a9367", "#8a6fae")
_LABEL_WIDTH = 270
_BAR_WIDTH = 380
_BAR = 14
_GAP = 10


def bar_chart(title: str, labels: Sequence[str], series: dict[str, Sequence[float]]) -> str:
    """The chart of ``series`` (name → one number for each label); each label's bars are scaled to the largest of all."""
    most = max((value for values in series.values() for value in values), default=1.0) or 1.0
    group = _BAR * len(series) + _GAP
    height = 34 + group * len(labels) + 22
    width = _LABEL_WIDTH + _BAR_WIDTH + 80
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(8, 18, title, weight="bold"),
    ]
    for row, label in enumerate(labels):
        top = 30 + row * group
        parts.append(_text(_LABEL_WIDTH - 8, top + group / 2 - 1, label, anchor="end"))
        for column, (name, values) in enumerate(series.items()):
            del name
            length = _BAR_WIDTH * values[row] / most
            y = top + column * _BAR
            parts.append(
                f'<rect x="{_LABEL_WIDTH}" y="{y:.0f}" width="{max(length, 1):.1f}" height="{_BAR - 2}" fill="{_COLOURS[column % 4]}"/>'
            )
            parts.append(_text(_LABEL_WIDTH + length + 5, y + 10, f"{values[row]:g}"))
    x = _LABEL_WIDTH
    for column, name in enumerate(series):
        parts.append(f'<rect x="{x}" y="{height - 18}" width="10" height="10" fill="{_COLOURS[column % 4]}"/>')
        parts.append(_text(x + 14, height - 9, name))
        x += 30 + 7 * len(name)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" fill="#222222">{escape(text)}</text>'
