"""Line charts as SVG: what is drawn lies where its numbers say."""

import math
import re

import pytest

from starpo_plugin.charts import Level, Mark, Series, chart


def coordinates(svg: str, kind: str) -> list[tuple[float, float]]:
    found = re.search(rf'<path class="line {kind}" d="M([^"]+)"', svg)
    assert found
    return [tuple(map(float, p.split())) for p in found[1].split("L")]  # type: ignore[misc]


def test_a_line_goes_up_where_its_values_do():
    places = coordinates(chart([Series("x", [(0, 0.0), (1, 0.5), (2, 1.0)])], percent=True), "a")
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 > y1 > y2
    assert y0 - y1 == pytest.approx(y1 - y2)


def test_a_gap_breaks_the_line_and_long_series_are_averaged():
    gap = chart([Series("x", [(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0), (4, 2.0)])])
    assert gap.count("<path") == 2
    long = [(float(i), float(i % 2)) for i in range(5000)]
    places = coordinates(chart([Series("x", long)]), "a faint")
    assert len(places) == 400
    assert len({y for _, y in places}) < 60  # neighbours 0 and 1 average out


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-9, 1e12])
def test_one_value_can_be_drawn(value):
    svg = chart([Series("x", [(5, value)])], levels=[Level("<b>", value)])
    assert "nan" not in svg
    assert "&lt;b&gt;" in svg


def test_nothing_to_draw_says_so():
    assert "no data yet" in chart([])
    assert "no data yet" in chart([Series("x", [(0, math.nan)])])


def test_marks_stand_where_their_iteration_does():
    lines = [Series("x", [(0, 0.0), (10, 1.0)])]
    svg = chart(lines, marks=[Mark(0, "a"), Mark(5, "<b>"), Mark(10, "c"), Mark(11, "outside")])
    found = [float(x) for x in re.findall(r'class="mark" x1="([\d.]+)"', svg)]
    assert len(found) == 3
    assert found[1] - found[0] == pytest.approx(found[2] - found[1])
    ends = [x for x, _ in coordinates(svg, "a")]
    assert (found[0], found[2]) == (pytest.approx(ends[0]), pytest.approx(ends[-1]))
    assert "<title>&lt;b&gt;</title>" in svg
    assert "outside" not in svg
