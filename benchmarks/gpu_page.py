"""What ``gpu_speed.py`` makes of its numbers: limits, ratios, the page."""

from collections.abc import Mapping
from typing import Any

from starpo_plugin.shapes import ModelShape

Results = Mapping[str, Any]


def step_bytes(shape: ModelShape, rows: int, width: float, number: int) -> float:
    """Bytes that a decoding step reads at the least: each weight once, and the keys and values of
    ``width`` tokens of each row.

    An embedding that isn't the head too is not counted: a step reads ``rows`` of its rows.
    """
    weights = shape.parameters - (0 if shape.tied else shape.embedding)
    return number * (weights + rows * width * 2 * shape.key * shape.layers)


def limit(shape: ModelShape, rows: int, width: float, number: int, bandwidth: float) -> float:
    """Tokens a second that a memory of that bandwidth (bytes a second) allows."""
    return rows * bandwidth / step_bytes(shape, rows, width, number)


def page(results: Results) -> str:
    """Markdown of what was measured so far."""
    parts = [_HEAD, _machine(results["machine"])]
    for name, part in results["parts"].items():
        parts.append(f"## {name}")
        if "numbers" in part:
            parts.append(_SECTIONS[part["kind"]](part["numbers"]))
        if part["error"]:
            parts.append(f"Not measured{' whole' * ('numbers' in part)}: {part['error']}.")
    whole = sum(part["seconds"] for part in results["parts"].values())
    parts.append(f"All of this took {whole:,.0f} s.")
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# Speed on a GPU

Made by `python benchmarks/gpu_speed.py`. Models have Qwen2.5's shapes and random weights, made on
the device; nothing is downloaded."""


def _machine(machine: Results) -> str:
    lines = [f"| {name} | {value} |" for name, value in machine.items()]
    return "\n".join(["| machine | |", "| --- | --- |", *lines])


def _bandwidth(numbers: Results) -> str:
    return (
        f"Copying {numbers['bytes'] / 1e9:,.1f} GB on the device moves"
        f" **{numbers['bandwidth'] / 1e9:,.0f} GB/s**, read and written bytes together. A decoding"
        " step takes at least as long as reading each weight once and the keys and values of all"
        " tokens so far."
    )


def _decoding(numbers: Results) -> str:
    """Table of the ways at each batch."""
    lines = [
        f"Prompts of {numbers['prompt']} tokens, then {numbers['tokens']} more are decoded, in"
        f" {numbers['dtype']}. Tokens/s are of decoding alone: the time of the prompts with one"
        " token is taken off.",
        "",
        "| rows | | tokens/s | times `generate` | share of the limit | step, ms | prompts, ms |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for batch in numbers["batches"]:
        rows, most = batch["rows"], batch.get("limit")
        base = batch["ways"].get(numbers["base"], {}).get("step")
        for name, found in batch["ways"].items():
            if found.get("error"):
                lines.append(f"| {rows} | {name} | not measured: {found['error']} | | | | |")
                continue
            step = found["step"]
            cells = [
                f"{rows / step:,.0f}",
                f"{base / step:.2f}" if base else "",
                f"{rows / step / most:.0%}" if most else "",
                f"{1000 * step:.2f}",
                f"{1000 * found['first']:,.0f}",
            ]
            lines.append(f"| {rows} | {name} | {' | '.join(cells)} |")
        if most:
            lines.append(f"| {rows} | limit | {most:,.0f} | | 100% | {1000 * rows / most:.2f} | |")
    if "graphs" in numbers:
        made, took = numbers["graphs"]["made"], numbers["graphs"]["seconds"]
        each = 1000 * took / made if made else 0.0
        lines += ["", f"{made} graphs were recorded in {took:.1f} s, {each:.0f} ms each."]
    return "\n".join(lines)


def _iteration(numbers: Results) -> str:
    """One StarPO-S iteration; the estimate beside it."""
    lines = [
        f"{numbers['setting']}. Random weights end no reply: each has {numbers['reply']} tokens,"
        " more than a trained model writes.",
        "",
        "| | seconds | tokens | tokens/s | peak, GB | estimated peak, GB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in numbers["rows"]:
        peaks = [_giga(row.get("peak")), _giga(row.get("estimated"))]
        lines.append(
            f"| {row['name']} | {row['seconds']:.1f} | {row['tokens']:,} |"
            f" {row['tokens'] / row['seconds']:,.0f} | {' | '.join(peaks)} |"
        )
    lines += ["", *numbers.get("notes", [])]
    return "\n".join(lines)


def _giga(count: float | None) -> str:
    return f"{count / 1e9:.1f}" if count else ""


_SECTIONS = {"bandwidth": _bandwidth, "decoding": _decoding, "iteration": _iteration}
