"""Line charts as SVG text: no scripts, no fonts, no files; colours come from the page's CSS."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 360.0, 44.0, 12.0, 10.0, 22.0
MOST_POINTS = 400
"""Longer series are averaged in buckets: a line has no more pixels than this to show."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line of a chart."""

    name: str
    points: Sequence[Point]
    """(iteration, value), iterations ascending; a value that is not finite breaks the line."""
    style: str = "a"
    """CSS class of its colour: a, b or c."""
    band: Sequence[tuple[float, float, float]] = ()
    """(iteration, low, high): an interval around it."""
    smooth: bool = True
    """Draw the values faintly and their running mean boldly; otherwise a dot for every value."""


@dataclass(frozen=True)
class Level:
    """A horizontal line: what something else reaches."""

    name: str
    value: float


@dataclass(frozen=True)
class Mark:
    """A vertical line: something happened at an iteration."""

    x: float
    name: str
    """Shown when pointed at."""


@dataclass(frozen=True)
class Axes:
    """Where numbers lie on the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Give the place of a point in the drawing's units."""
        (x0, x1), (y0, y1) = self.x, self.y
        across = (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        up = (y - y0) / (y1 - y0) * (self.height - TOP - BOTTOM)
        return LEFT + across, self.height - BOTTOM - up


def chart(
    series: Sequence[Series],
    *,
    levels: Sequence[Level] = (),
    marks: Sequence[Mark] = (),
    percent: bool = False,
    height: float = 150.0,
    over: str = "iterations",
) -> str:
    """Draw lines over iterations.

    Args:
        series: at least one with a finite value, else the drawing says that there is none yet.
        levels: horizontal lines with their names.
        marks: vertical lines; those outside the iterations that are drawn are left out.
        percent: values are shares, shown from 0 to 100 %.
        height: of the drawing; its width is 360, both in units that scale with the page.
        over: what else they are drawn over, in words.

    Returns:
        An ``<svg>`` element; every text in it is escaped.
    """
    axes = _axes(series, levels, percent, height)
    if axes is None:
        return _svg(
            height, f'<text class="empty" x="{WIDTH / 2}" y="{height / 2}">no data yet</text>'
        )
    parts = [_grid(axes, percent)]
    parts += [_band(s, axes) for s in series if s.band]
    parts += [_level(level, axes) for level in levels]
    parts += [_mark(m, axes) for m in marks if axes.x[0] <= m.x <= axes.x[1]]
    parts += [_lines(s, axes, percent) for s in series]
    names = ", ".join(s.name for s in series)
    return _svg(height, "".join(parts), f"{names}; over {over}")


def _svg(height: float, content: str, about: str = "no data yet") -> str:
    box = f'viewBox="0 0 {WIDTH:g} {height:g}"'
    return f'<svg class="chart" {box} role="img" aria-label="{escape(about)}">{content}</svg>'


def _axes(
    series: Sequence[Series], levels: Sequence[Level], percent: bool, height: float
) -> Axes | None:
    points = [p for s in series for p in s.points if math.isfinite(p[1])]
    if not points:
        return None
    xs = [x for x, _ in points]
    first, last = min(xs), max(xs)
    if first == last:
        first, last = first - 1, last + 1
    if percent:
        return Axes((first, last), (0.0, 1.0), height)
    ys = [y for _, y in points] + [level.value for level in levels]
    ys += [y for s in series for _, low, high in s.band for y in (low, high)]
    low, high = min(ys), max(ys)
    if 0 < low < 0.6 * high or low == high > 0:
        low = 0.0  # a curve that comes near zero, or stays where it is, is read against zero
    room = 0.05 * (high - low) or max(abs(high), 1.0) * 0.1
    return Axes((first, last), (low if low == 0 else low - room, high + room), height)


def _ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """Round numbers between two bounds."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    step = max(1.0, step) if whole else step
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _number(value: float, percent: bool = False) -> str:
    if percent:
        return f"{100 * value:.4g} %"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _grid(axes: Axes, percent: bool) -> str:
    parts = []
    for y in _ticks(*axes.y, 4):
        _, v = axes.at(axes.x[0], y)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{v:.1f}" y2="{v:.1f}"/>'
        )
        label = _number(y, percent)
        parts.append(f'<text class="tick y" x="{LEFT - 5}" y="{v + 3.5:.1f}">{label}</text>')
    for x in _ticks(*axes.x, 5, whole=True):
        u, _ = axes.at(x, axes.y[0])
        parts.append(f'<text class="tick x" x="{u:.1f}" y="{axes.height - 6:g}">{x:g}</text>')
    return "".join(parts)


def _level(level: Level, axes: Axes) -> str:
    _, v = axes.at(axes.x[0], level.value)
    line = f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{v:.1f}" y2="{v:.1f}"/>'
    above = v - 4 if v > TOP + 12 else v + 11
    name = escape(level.name)
    return f'{line}<text class="level" x="{WIDTH - RIGHT}" y="{above:.1f}">{name}</text>'


def _mark(mark: Mark, axes: Axes) -> str:
    u, _ = axes.at(mark.x, axes.y[0])
    foot = axes.height - BOTTOM
    line = f'<line class="mark" x1="{u:.1f}" x2="{u:.1f}" y1="{TOP:g}" y2="{foot:g}"/>'
    flag = f'<path class="mark" d="M{u:.1f} {TOP:g}l6 3.5l-6 3.5Z"/>'
    return f"<g>{line}{flag}<title>{escape(mark.name)}</title></g>"


def _band(series: Series, axes: Axes) -> str:
    upper = [axes.at(x, high) for x, _, high in series.band]
    lower = [axes.at(x, low) for x, low, _ in reversed(series.band)]
    if len(series.band) == 1:  # a band has no width there: a whisker has
        return f'<path class="whisker {series.style}" d="{_path([*upper, *lower])}"/>'
    return f'<path class="band {series.style}" d="{_path([*upper, *lower])}Z"/>'


def _lines(series: Series, axes: Axes, percent: bool) -> str:
    found = []
    for run in _unbroken(_thinned(series.points)):
        if series.smooth and len(run) > 12:
            found.append(_line(run, axes, f"{series.style} faint"))
            found.append(_line(_running_mean(run), axes, series.style))
        else:
            found.append(_line(run, axes, series.style))
        if not series.smooth or len(run) == 1:
            found += [_dot(p, series, axes, percent) for p in run]
    return "".join(found)


def _line(points: Sequence[Point], axes: Axes, style: str) -> str:
    return f'<path class="line {style}" d="{_path([axes.at(*p) for p in points])}"/>'


def _dot(point: Point, series: Series, axes: Axes, percent: bool) -> str:
    u, v = axes.at(*point)
    told = f"{series.name}, iteration {point[0]:g}: {_number(point[1], percent)}"
    circle = f'<circle class="dot {series.style}" cx="{u:.1f}" cy="{v:.1f}" r="2.2">'
    return f"{circle}<title>{escape(told)}</title></circle>"


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{u:.1f} {v:.1f}" for u, v in places)


def _unbroken(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Cut a series where a value is not finite."""
    run: list[Point] = []
    for point in points:
        if math.isfinite(point[1]):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    if len(points) <= MOST_POINTS:
        return points
    cuts = [round(k * len(points) / MOST_POINTS) for k in range(MOST_POINTS + 1)]
    buckets = [points[a:b] for a, b in pairwise(cuts)]
    return [(b[0][0], sum(y for _, y in b) / len(b)) for b in buckets]


def _running_mean(points: Sequence[Point], weight: float = 0.85) -> list[Point]:
    """Exponential running mean whose first values are not pulled towards anything."""
    total = norm = 0.0
    smooth = []
    for x, y in points:
        total, norm = weight * total + y, weight * norm + 1
        smooth.append((x, total / norm))
    return smooth
