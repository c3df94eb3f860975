"""Charts of the report as SVG files of their own, for pages that bring no styles."""

from collections.abc import Mapping, Sequence
from html import escape

from starpo_plugin.charts import WIDTH

COLOURS = {"a": "#2f6fb3", "b": "#c4622d", "c": "#3c8d5a", "d": "#8a56a8"}

_STYLE = """
svg{background:#fff;font:10px sans-serif}
.grid{stroke:#ddd;stroke-width:.6}.tick{fill:#666}.tick.y{text-anchor:end}.tick.x{text-anchor:middle}
line.level,line.mark{stroke:#888;stroke-dasharray:4 3}text.level{fill:#666;text-anchor:end}
path.mark{fill:#888}.title{fill:#222}.line{fill:none;stroke-width:1.6}.faint{opacity:.3}.band{opacity:.13}
.whisker{fill:none}
"""


TITLE = 16
"""Room above a chart of a stack for its title, in the chart's units."""


def stacked(charts: Mapping[str, str], height: float) -> str:
    """Put charts of ``starpo_plugin.charts``, all of one height, under each other, each below its
    title.
    """
    block = TITLE + height
    parts = []
    for place, (title, svg) in enumerate(charts.items()):
        top = block * place
        parts.append(f'<text class="title" x="44" y="{top + 11:g}">{escape(title)}</text>')
        at = f'<svg y="{top + TITLE:g}" width="{WIDTH:g}" height="{height:g}" '
        parts.append(svg.replace("<svg ", at, 1))
    box = f"0 0 {WIDTH:g} {block * len(charts):g}"
    about = escape(", ".join(charts))
    head = f'<svg class="chart" viewBox="{box}" role="img" aria-label="{about}">'
    return f"{head}{''.join(parts)}</svg>"


def standalone(
    svg: str, names: Sequence[str], legend: tuple[float, float] = (50, 18), styles: str = "abcd"
) -> str:
    """Give a chart of ``starpo_plugin.charts`` its styles, and at ``legend`` the names of its
    series, of these ``styles``.
    """
    x, y = legend
    rules = [
        f".line.{s},.whisker.{s}{{stroke:{c}}}.band.{s},.dot.{s},.key.{s}{{fill:{c}}}"
        for s, c in COLOURS.items()
    ]
    keys = [
        f'<text class="key {style}" x="{x + 75 * n:g}" y="{y:g}">{escape(name)}</text>'
        for n, (style, name) in enumerate(zip(styles, names, strict=False))
    ]
    head, _, rest = svg.partition(">")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="720" ', 1)
    body, _, _ = rest.rpartition("</svg>")
    return f"{head}><style>{_STYLE}{''.join(rules)}</style>{body}{''.join(keys)}</svg>\n"
