"""Charts of the report as SVG files of their own, for pages that bring no styles."""

from collections.abc import Sequence
from html import escape

COLOURS = {"a": "#2f6fb3", "b": "#c4622d", "c": "#3c8d5a", "d": "#8a56a8"}

_STYLE = """
svg{background:#fff;font:10px sans-serif}
.grid{stroke:#ddd;stroke-width:.6}.tick{fill:#666}.tick.y{text-anchor:end}.tick.x{text-anchor:middle}
line.level,line.mark{stroke:#888;stroke-dasharray:4 3}text.level{fill:#666;text-anchor:end}
path.mark{fill:#888}.line{fill:none;stroke-width:1.6}.faint{opacity:.3}.band{opacity:.13}
.whisker{fill:none}
"""


def standalone(svg: str, names: Sequence[str]) -> str:
    """Give a chart of ``starpo_plugin.charts`` its styles, and a legend of the names of its
    series, in order.
    """
    rules = [
        f".line.{s},.whisker.{s}{{stroke:{c}}}.band.{s},.dot.{s},.key.{s}{{fill:{c}}}"
        for s, c in COLOURS.items()
    ]
    keys = [
        f'<text class="key {style}" x="{50 + 75 * n}" y="18">{escape(name)}</text>'
        for n, (style, name) in enumerate(zip(COLOURS, names, strict=False))
    ]
    head, _, rest = svg.partition(">")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="720" ', 1)
    body, _, _ = rest.rpartition("</svg>")
    return f"{head}><style>{_STYLE}{''.join(rules)}</style>{body}{''.join(keys)}</svg>\n"
