"""``starpo estimate``: what a run would take, before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from starpo_plugin import options
from starpo_plugin.config import TrainConfig
from starpo_plugin.estimate import CARDS, Phase, estimate, fits, peak, smaller
from starpo_plugin.presets import preset
from starpo_plugin.shapes import ModelShape, read_shape, shape_of


@dataclass(frozen=True)
class Estimate:
    """Estimate the memory of a training run, by phase, and which GPU holds it.

    Takes the options of starpo train. A model is known by its config.json alone, and common ones
    by their names, so neither weights nor a network are needed. Episodes are taken to be as long as
    --max-tokens allows: the estimate is for the worst batch.
    """

    preset: str = "starpo_s"
    """Defaults to start from, as in starpo train."""


def estimate_command(argv: Sequence[str]) -> int:
    """Print a run's memory by phase, the peak, and the options that would make it fit."""
    names = [f.name for f in fields(TrainConfig)]
    start = replace(preset("starpo_s"), model="Qwen2.5-0.5B")
    first, _ = options.parse(Estimate, argv, "starpo estimate", start, names)
    start = replace(preset(first.preset), model=start.model)
    _, config = options.parse(Estimate, argv, "starpo estimate", start, names)
    config.check()
    shape = shape_to_train(config)
    console = Console(highlight=False)
    phases = estimate(shape, config)
    title = f"{config.model}, {shape.parameters / 1e9:.2f} B parameters: GB of memory, estimated"
    console.print(phase_table(phases, title))
    name, most = peak(phases)
    console.print(Text(f"peak: {gigabytes(most)} in the {name}"), style="bold")
    for card in CARDS:
        console.print(Text(f"{card:>4} GB: {_verdict(shape, config, card)}"), soft_wrap=True)
    return 0


def shape_to_train(config: TrainConfig) -> ModelShape:
    """Shape of a run's model; that of a tiny one depends on the words of its environment."""
    if config.model != "tiny":
        return shape_of(config.model)
    from starpo_plugin.start import start_model

    return read_shape(start_model(config)[0].config.to_dict(), "tiny")


def phase_table(phases: dict[str, Phase], title: str) -> Table:
    """One row for each use of memory, one column a phase, their sum below."""
    table = Table(title=title, box=SIMPLE, title_justify="left", title_style="bold")
    table.add_column("")
    for name in phases:
        table.add_column(name, justify="right", no_wrap=True)
    uses = list(dict.fromkeys(use for parts in phases.values() for use in parts))
    for use in uses:
        amounts = [parts.get(use, 0) for parts in phases.values()]
        if any(amounts):
            table.add_row(use, *(f"{a / 1e9:.2f}" if a else "" for a in amounts))
    table.add_section()
    table.add_row("together", *(f"{sum(p.values()) / 1e9:.2f}" for p in phases.values()))
    return table


def gigabytes(amount: float) -> str:
    """Bytes for a reader."""
    return f"{amount / 1e9:.1f} GB" if amount >= 1e8 else f"{amount / 1e6:.0f} MB"


def _verdict(shape: ModelShape, config: TrainConfig, card: int) -> str:
    """Whether a card holds a run, or which options make it."""
    flags = ""
    for flags, changed in smaller(config):
        phases = estimate(shape, changed)
        if fits(phases, card):
            return f"with {flags} ({gigabytes(peak(phases)[1])})" if flags else "fits"
    return f"does not fit, not even with {flags}; choose a smaller model or --max-tokens"
