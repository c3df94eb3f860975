"""How fast a GPU decodes and trains, beside transformers' ``generate`` and its memory's bandwidth.

    python benchmarks/gpu_speed.py [--quick] [--device cpu] [--out FOLDER]

Writes ``gpu_speed.md`` and ``gpu_speed.json``, anew after every part; a part that fails is named in
the page, and the others go on. ``--quick`` has small shapes and writes only where ``--out`` says.
Reckoned for an H100, the parts' seconds below add up to under 8 minutes; one that would end after
``--budget`` seconds is left out, and one that takes half as long again is cut short.
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from gpu_cases import (
    BASE,
    WAYS,
    Timed,
    TimedGraphs,
    generating,
    random_policy,
    step_seconds,
    synchronize,
)
from gpu_cases import seconds as timed
from gpu_iteration import Iteration, ragen
from gpu_page import limit, page

from starpo_plugin.engine import SlotEngine
from starpo_plugin.shapes import SHAPES, ModelShape

HERE = Path(__file__).parent


class Effort(NamedTuple):
    """How much is measured, and of which models."""

    shapes: dict[str, ModelShape]
    batches: tuple[int, ...]
    prompt: int
    tokens: int
    copied: int
    dtype: torch.dtype


FULL = Effort(
    {name: SHAPES[name] for name in ("Qwen2.5-0.5B", "Qwen2.5-1.5B")},
    (1, 32, 128),
    256,
    128,
    2**32,
    torch.bfloat16,
)
TOY = ModelShape(600, 64, 128, 2, 4, 2, 16, tied=True, qkv_bias=True)
QUICK = Effort({"toy": TOY}, (1, 4), 12, 8, 2**24, torch.float32)


class Part(NamedTuple):
    """One section of the page."""

    kind: str
    measure: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
    """Is told all results so far; gives its numbers, again and again as more are there."""
    seconds: float
    """Reckoned for an H100: what it takes at most."""


def parts(effort: Effort, device: str) -> dict[str, Part]:
    """What is measured, in this order; the most important first."""
    first = next(iter(effort.shapes))
    run = Iteration(effort.shapes[first], device, ragen(device, small=effort is QUICK))
    # a step of `generate` or of the plain engine takes 25 to 30 ms, whatever its rows: 129 + 129 of
    # them in 3 ways and 3 batches; little for graphs
    return {
        "Bandwidth": Part("bandwidth", partial(_bandwidth, effort, device), 5),
        **{
            f"Decoding, {name}": Part("decoding", partial(_decode, effort, device, name), 100)
            for name in effort.shapes
        },
        # 2,000 steps of 128 rows in float32, 8 ms each, twice; two updates
        f"A StarPO-S iteration, {first}": Part("iteration", partial(run.measure, TimedGraphs), 110),
        # 2,000 steps of 30 ms
        f"The same, {first}, without graphs": Part(
            "iteration", partial(run.measure, SlotEngine), 90
        ),
        f"Decoding, {first}, static cache compiled": Part(
            "decoding", partial(_compiled, effort, device, first), 70
        ),
    }


def _bandwidth(effort: Effort, device: str, _: Any) -> Iterator[dict[str, Any]]:
    """Bytes a second of a copy on the device, those read and those written."""
    source = torch.ones(effort.copied // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    took = min(timed(lambda: target.copy_(source), device) for _ in range(10))
    yield {"bytes": effort.copied, "bandwidth": 2 * effort.copied / took}


def _prompts(shape: ModelShape, rows: int, length: int, device: str) -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(shape.vocab, (rows, length), generator=draws).to(device)


def _decode(
    effort: Effort, device: str, name: str, results: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Every way at every batch of one model."""
    shape = effort.shapes[name]
    policy = random_policy(shape, device, effort.dtype)
    known = results["parts"].get("Bandwidth", {}).get("numbers") or {}
    numbers = _about(effort)
    Timed.reset()
    width, number = effort.prompt + effort.tokens / 2, effort.dtype.itemsize
    for rows in effort.batches:
        batch: dict[str, Any] = {"rows": rows, "ways": {}}
        if known:
            batch["limit"] = limit(shape, rows, width, number, known["bandwidth"])
        numbers["batches"].append(batch)
        prompts = _prompts(shape, rows, effort.prompt, device)
        for way, make in WAYS.items():
            batch["ways"][way] = _guarded(
                lambda make=make, prompts=prompts: _step(
                    make(policy, prompts, 1 + effort.tokens), effort, device
                ),
                device,
            )
            numbers["graphs"] = {"made": Timed.made, "seconds": Timed.seconds}
            _say(f"  {rows} rows, {way}: {batch['ways'][way]}")
            yield numbers


def _compiled(
    effort: Effort, device: str, name: str, _: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """``generate`` as transformers compiles it by itself on a GPU, which takes a while at first."""
    shape, numbers = effort.shapes[name], _about(effort)
    policy = random_policy(shape, device, effort.dtype)
    rows = effort.batches[len(effort.batches) // 2]
    prompts = _prompts(shape, rows, effort.prompt, device)
    plain = generating(policy, prompts)
    fast = generating(policy, prompts, cache_implementation="static")
    step, first = step_seconds(plain, effort.tokens, device)
    warm = timed(lambda: fast(1 + effort.tokens), device)
    # its cache is as long as what is asked for, and another length is compiled anew
    whole = min(timed(lambda: fast(1 + effort.tokens), device) for _ in range(2))
    numbers["batches"].append(
        {
            "rows": rows,
            "ways": {
                BASE: {"step": step, "first": first},
                f"`generate`, static cache compiled (at first {warm:.0f} s)": {
                    "step": (whole - first) / effort.tokens,
                    "first": first,
                },
            },
        }
    )
    yield numbers


def _about(effort: Effort) -> dict[str, Any]:
    dtype = str(effort.dtype).removeprefix("torch.")
    told = {"prompt": effort.prompt, "tokens": effort.tokens, "dtype": dtype, "base": BASE}
    return {**told, "batches": []}


def _step(way: Callable[[int], None], effort: Effort, device: str) -> dict[str, float]:
    step, first = step_seconds(way, effort.tokens, device)
    return {"step": step, "first": first}


def _guarded(measure: Callable[[], dict[str, float]], device: str) -> dict[str, Any]:
    """What was measured, or why not."""
    try:
        return measure()
    except Exception as error:  # whatever it is, the others are still to be measured
        traceback.print_exc()
        synchronize(device)  # raises where CUDA is of no more use
        return {"error": _line(error)}


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"


def machine(device: str) -> dict[str, str]:
    """Name what was measured on."""
    libraries = {name: version(name) for name in ("torch", "transformers")}
    if device == "cpu":
        return {"processor": platform.machine(), "Python": platform.python_version(), **libraries}
    card = torch.cuda.get_device_properties(0)
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(asked, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        driver = "unknown"
    return {
        "GPU": f"{card.name}, {card.total_memory / 1e9:.0f} GB",
        "driver": driver.partition("\n")[0],
        "CUDA": str(torch.version.cuda),
        "Python": platform.python_version(),
        **libraries,
    }


def _say(text: str) -> None:
    print(text, flush=True)


def measure(
    planned: dict[str, Part],
    device: str,
    budget: float,
    write: Callable[[dict[str, Any]], None],
    results: dict[str, Any],
) -> None:
    """Measure the parts that ``results`` lacks; ``write`` is called whenever there are more.

    Raises:
        RuntimeError: the device is of no more use to this process.
    """
    began = time.perf_counter() - sum(part["seconds"] for part in results["parts"].values())

    def elapsed() -> float:
        return time.perf_counter() - began

    for name in [n for n in planned if n not in results["parts"]]:
        part, at = planned[name], elapsed()
        found = results["parts"][name] = {"kind": part.kind, "seconds": 0.0, "error": None}
        if at + part.seconds > budget:
            found["error"] = f"left out at {at:,.0f} s, since it may take {part.seconds:.0f} s"
            continue
        _say(f"{at:5.0f} s  {name}")
        try:
            for numbers in part.measure(results):
                found["numbers"], found["seconds"] = numbers, elapsed() - at
                write(results)
                if found["seconds"] > 1.5 * part.seconds:
                    found["error"] = f"cut short after {found['seconds']:,.0f} s"
                    break
        except Exception as error:  # the others are still to be measured
            traceback.print_exc()
            found["error"] = _line(error)
        found["seconds"] = elapsed() - at
        write(results)
        gc.collect()
        synchronize(device)
        if device != "cpu":
            torch.cuda.empty_cache()


def main() -> None:
    """Measure; write the page and its numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small shapes, in under a minute")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--budget", type=float, default=480, help="seconds")
    parser.add_argument("--out", type=Path, help="folder; that of this file unless --quick")
    parser.add_argument("--go-on", action="store_true", help="measure what the folder's file lacks")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA GPU; --quick --device cpu tries this out without one")
    folder = chosen.out or (None if chosen.quick or chosen.device == "cpu" else HERE)
    if chosen.go_on and folder is None:
        parser.error("--go-on needs --out")

    def write(results: dict[str, Any]) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "gpu_speed.json").write_text(json.dumps(results, indent=1) + "\n")
            (folder / "gpu_speed.md").write_text(page(results))

    results: dict[str, Any] = {"machine": machine(chosen.device), "parts": {}}
    if chosen.go_on and folder is not None:
        results = json.loads((folder / "gpu_speed.json").read_text())
    planned = parts(QUICK if chosen.quick else FULL, chosen.device)
    try:
        measure(planned, chosen.device, chosen.budget, write, results)
    except RuntimeError:  # after some errors CUDA takes nothing more from a process
        if folder is None:
            raise
        traceback.print_exc()
        again = [a for a in sys.argv[1:] if a != "--go-on"]
        os.execv(sys.executable, [sys.executable, __file__, *again, "--go-on"])
    write(results)
    print(page(results))


if __name__ == "__main__":
    main()
