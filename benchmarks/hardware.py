"""Which model fits on which GPU, by ``starpo estimate``; rewrites the tables of docs/hardware.md.

python benchmarks/hardware.py
"""

from dataclasses import replace
from pathlib import Path

from starpo_plugin.estimate import CARDS, estimate, fits, peak
from starpo_plugin.presets import preset
from starpo_plugin.shapes import SHAPES

PAGE = Path(__file__).parent.parent / "docs" / "hardware.md"
BEGIN, END = "<!-- made by benchmarks/hardware.py -->", "<!-- end -->"

FLAGS = "--precision bf16 --gradient-checkpointing --micro-batch-tokens 8192 --slots 32"
LEAN = preset(
    "starpo_s",
    precision="bf16",
    gradient_checkpointing=True,
    micro_batch_tokens=8192,
    slots=32,
)
WAYS = {"all weights": LEAN, "LoRA, rank 32": replace(LEAN, lora_rank=32)}


def tables() -> str:
    """Markdown: the peak of each model and way of training, and the smallest card that holds it."""
    heads = [f"{way}: peak, GB | phase | smallest card" for way in WAYS]
    lines = [f"| | {' | '.join(heads)} |", "| --- |" + " ---: | --- | ---: |" * len(WAYS)]
    for name, shape in SHAPES.items():
        cells = [_cells(estimate(shape, config)) for config in WAYS.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return f"With `{FLAGS}`:\n\n" + "\n".join(lines)


def _cells(phases: dict[str, dict[str, float]]) -> str:
    phase, most = peak(phases)
    card = next((f"{c} GB" for c in CARDS if fits(phases, c)), "none")
    return f"{most / 1e9:.1f} | {phase} | {card}"


def filled(page: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
    print(tables())
