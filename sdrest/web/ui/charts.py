"""Line charts as SVG paths, drawn by the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sdrest.web.ui.contexts import Chart

WIDTH: Final = 600
HEIGHT: Final = 120


def line_chart(title: str, points: Sequence[tuple[datetime, float]], unit: Callable[[float], str]) -> Chart:
    """A chart of values over time, from zero to their largest; times are spaced as they are."""
    if len(points) < 2:
        latest = unit(points[-1][1]) if points else "–"
        return Chart(title, "", "", "", "", latest, None, empty=True)
    begin, end = points[0][0], points[-1][0]
    seconds = max((end - begin).total_seconds(), 1e-9)
    top = max(value for _, value in points) or 1.0
    places = [
        ((when - begin).total_seconds() / seconds * WIDTH, HEIGHT - value / top * (HEIGHT - 4))
        for when, value in points
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    area = f"{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z"
    return Chart(title, line, area, unit(0), unit(top), unit(points[-1][1]), begin, empty=False)
