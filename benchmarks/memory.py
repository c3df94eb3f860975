"""Peak memory of an update and of a rollout, measured beside ``starpo estimate``.

    python benchmarks/memory.py [--quick | --draw]

Each row is a process of its own that makes a model with random weights, takes one step of the
trainer and reports its peak: torch's CUDA peak where there is a GPU, otherwise the peak resident
set above what it was once torch was loaded. Needs 9 GB. The numbers become
``benchmarks/memory.json``, and the tables and the picture that are drawn from them ``memory.md``
and ``memory.svg``; ``--draw`` only draws, ``--quick`` measures a few and writes nothing.
"""

import argparse
import ctypes
import gc
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from curves import standalone
from sizes import sizes
from transformers import Qwen3Config, Qwen3ForCausalLM

from starpo_plugin.batch import Batch
from starpo_plugin.charts import Series, chart
from starpo_plugin.compute import Compute, held
from starpo_plugin.config import TrainConfig
from starpo_plugin.engine import make_engine
from starpo_plugin.estimate import estimate
from starpo_plugin.lora import LoraShape
from starpo_plugin.policy import Policy
from starpo_plugin.shapes import ModelShape
from starpo_plugin.start import make_optimizer
from starpo_plugin.tiny import tiny_tokenizer
from starpo_plugin.update import Learner

NUMBERS = Path(__file__).with_suffix(".json")
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # is there one, without beginning it
QWEN = 151936  # Qwen's vocabulary


@dataclass(frozen=True)
class Case:
    """One measurement."""

    name: str
    shape: ModelShape
    config: TrainConfig
    what: str = "update"
    """update; rollout; or logits of every position: the update's forward and backward pass with
    whole logits.
    """
    written: float = 0.25
    """Share of the tokens that the policy wrote."""


def _shape(vocab: int, hidden: int, layers: int, heads: int = 4, kv: int = 2) -> ModelShape:
    return ModelShape(vocab, hidden, 3 * hidden, layers, heads, kv, 64, tied=True, qk_norm=True)


def _config(tokens: int, width: int = 256, **changes: Any) -> TrainConfig:
    """One mini-batch, as large as a micro-batch."""
    rows = tokens // width
    return TrainConfig(
        advantage=changes.pop("advantage", "gae"),
        micro_batch_tokens=tokens,
        mini_batch=rows,
        groups=1,
        members=rows,
        max_tokens=width,
        max_turns=1,
        max_reply_tokens=changes.pop("reply", width // 4),
        device=changes.pop("device", "cpu"),
        **changes,
    )


SMALL, DEEP = _shape(2000, 128, 4), _shape(2000, 128, 12)
WIDE, WORDY = _shape(2000, 512, 2, heads=8), _shape(QWEN, 128, 2)
CASES = [
    Case("small", SMALL, _config(2048)),
    Case("deep", DEEP, _config(2048)),
    Case("deep, checkpointing", DEEP, _config(2048, gradient_checkpointing=True)),
    Case("deep, bf16", DEEP, _config(2048, precision="bf16")),
    Case("wide", WIDE, _config(1024)),
    Case("wide, separate critic", WIDE, _config(1024, critic="separate")),
    Case("wide, LoRA", WIDE, _config(1024, lora_rank=8)),
    Case("wide, LoRA, bf16", WIDE, _config(1024, lora_rank=8, precision="bf16")),
    Case("152k words", WORDY, _config(1024)),
    Case("rollout, 32 rows", DEEP, _config(32 * 512, 512, reply=96), "rollout"),
]
LOGITS = [
    Case(what, WORDY, _config(tokens), what)
    for tokens in (256, 512, 1024, 2048)
    for what in ("update", "logits of every position")
]


# --- in a process of its own ---


def measure(case: Case) -> int:
    """Bytes of the peak, above what torch itself takes."""
    torch.set_num_threads(1)  # a forked process can't use the threads of the one before
    small = replace(case.config, micro_batch_tokens=64, mini_batch=2, members=2, max_tokens=32)
    _take_step(replace(case, shape=_shape(64, 32, 1), config=replace(small, max_reply_tokens=8)))
    gc.collect()
    if sys.platform == "linux":  # what earlier work of this process left to be used again
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = _resident()  # with all the code that a step loads
    _reset_peak()
    device = _take_step(case)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return _peak() - before


def _take_step(case: Case) -> torch.device:
    shape, config = case.shape, case.config
    made = Qwen3Config(**sizes(shape))
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    critic = config.critic if config.needs_critic else "none"
    model = held(Qwen3ForCausalLM(made), config)
    policy = Policy(model, tiny_tokenizer(["a"]), critic, LoraShape.of(config)).to(device)
    policy.compute = Compute.of(config)
    _STEPS[case.what](policy, case)
    return device


def _update(policy: Policy, case: Case) -> None:
    """Two updates: the optimiser has its moments in the second."""
    learner = Learner(policy, None, case.config, make_optimizer(policy, case.config))
    for _ in range(2):
        learner.update(_batch(case, policy.device), torch.Generator().manual_seed(0))


def _whole_logits(policy: Policy, case: Case) -> None:
    """What the update's pass takes where logits are made for every position: softmax, then pick."""
    batch = _batch(case, policy.device)
    logits = policy.model(input_ids=batch.ids, use_cache=False).logits[:, :-1]
    logp = logits.log_softmax(-1)
    entropy = -(logp.exp() * logp).sum(-1)
    chosen = logp.gather(-1, batch.ids[:, 1:].unsqueeze(-1)).squeeze(-1)
    ((chosen - 0.001 * entropy) * batch.mask[:, 1:]).sum().backward()
    with torch.no_grad():
        for p in policy.model.parameters():  # Adam's moments, so that both hold the same
            p.moments = (torch.zeros_like(p), torch.zeros_like(p))


def _rollout(policy: Policy, case: Case) -> None:
    """Every row to its full length."""
    config = case.config
    prompt = [1] * (config.max_tokens - config.max_reply_tokens)
    rows, reply = config.groups * config.members, config.max_reply_tokens
    engine = make_engine(policy, frozenset(), 0, rows, reply)
    for row, noise in enumerate(torch.rand(rows, reply, generator=torch.Generator())):
        engine.ask(row, prompt, reply, noise)
    while engine.busy:
        engine.step()


_STEPS: dict[str, Callable[[Policy, Case], None]] = {
    "update": _update,
    "logits of every position": _whole_logits,
    "rollout": _rollout,
}


def _batch(case: Case, device: torch.device) -> Batch:
    rows, width = case.config.mini_batch, case.config.max_tokens
    draws = torch.Generator().manual_seed(0)
    mask = torch.zeros(rows, width)
    mask[:, width - int(case.written * width) :] = 1
    zeros = torch.zeros(rows, width)
    return Batch(
        ids=torch.randint(case.shape.vocab, (rows, width), generator=draws),
        mask=mask,
        turn=torch.where(mask > 0, 0, -1),
        rewards=zeros.index_fill(1, torch.tensor([width - 1]), 1.0),
        logprobs=zeros,
        values=zeros,
        group=torch.arange(rows),
        episode=torch.arange(rows),
        lengths=torch.full((rows,), width),
        section=torch.full((rows, width), -1),
        beyond=zeros.bool(),
        bootstrap=torch.zeros(rows),
    ).to(device)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


# --- of all processes ---


def run(case: Case) -> int:
    """Measure a case in a process of its own; bytes."""
    forked = multiprocessing.get_context("fork")  # with torch loaded, which takes seconds
    ours, theirs = forked.Pipe(duplex=False)
    process = forked.Process(target=lambda: theirs.send(measure(case)))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise RuntimeError(f"{case.name}: its process ended without a result") from None
    finally:
        process.join()


def estimated(case: Case) -> float:
    """Bytes that ``starpo estimate`` gives for what a case measures."""
    phases = estimate(case.shape, case.config)
    names = ("rollout",) if case.what == "rollout" else ("update", "optimiser step")
    return max(sum(phases[name].values()) for name in names)


def compare(cases: list[Case]) -> list[dict[str, Any]]:
    """Measured and estimated peaks, in bytes."""
    rows = []
    for case in cases:
        peaks = {"measured": run(case), "estimated": round(estimated(case))}
        tokens, parameters = case.config.micro_batch_tokens, case.shape.parameters
        rows.append({"name": case.name, "parameters": parameters, "tokens": tokens, **peaks})
        print(rows[-1], flush=True)
    return rows


def compare_logits(cases: list[Case]) -> list[dict[str, int]]:
    """Peaks with logits of the policy's tokens and with logits of every position, in bytes."""
    rows = []
    for ours, whole in zip(cases[::2], cases[1::2], strict=True):
        tokens = ours.config.micro_batch_tokens
        written = int(tokens * ours.written)
        rows.append({"tokens": tokens, "written": written, "ours": run(ours), "whole": run(whole)})
        print(rows[-1], flush=True)
    return rows


# --- what is written ---


def page(results: dict[str, Any]) -> str:
    """Markdown of what was measured."""
    compared = [
        f"| {r['name']} | {r['parameters'] / 1e6:.1f} M | {r['tokens']:,} |"
        f" {r['measured'] / 1e6:,.0f} | {r['estimated'] / 1e6:,.0f} |"
        f" {r['estimated'] / r['measured']:.2f} |"
        for r in results["compared"]
    ]
    logits = [
        f"| {r['tokens']:,} | {r['written']:,} | {r['ours'] / 1e6:,.0f} |"
        f" {r['whole'] / 1e6:,.0f} | {r['whole'] / r['ours']:.1f} |"
        for r in results["logits"]
    ]
    return PAGE.format(
        machine=results["machine"],
        how=results["how"],
        compared="\n".join(compared),
        vocab=QWEN,
        logits="\n".join(logits),
    )


def picture(results: dict[str, Any]) -> str:
    """SVG: GB of the update's peak against tokens at once."""
    ways = {"ours": ("this trainer", "a"), "whole": ("every position", "b")}
    lines = [
        Series(name, [(r["tokens"], r[key] / 1e9) for r in results["logits"]], style, smooth=False)
        for key, (name, style) in ways.items()
    ]
    return standalone(
        chart(lines, height=200, over="tokens at once, GB"), [line.name for line in lines]
    )


PAGE = """\
# Memory of the trainer

Made by `python benchmarks/memory.py` on {machine}. {how} Models have random weights; each row is a
process of its own.

## Estimated and measured

What `starpo estimate` says, and what one process took, in its update or its rollout.

| | parameters | tokens at once | measured, MB | estimated, MB | estimated / measured |
| --- | ---: | ---: | ---: | ---: | ---: |
{compared}

## Logits

The update's peak at a vocabulary of {vocab:,}, where logits are made for the policy's own tokens
only, in chunks of at most 256 MB, and for every position. The second only has a forward and a
backward pass, weights, gradients and Adam's moments; no loss, critic or second scoring. A chunk is
not made smaller than its limit, so what a batch of few tokens saves is the prompts' share.

![The update's peak in GB against the tokens that go through the model at once](memory.svg)

| tokens at once | written by the policy | this trainer, MB | every position, MB | times |
| ---: | ---: | ---: | ---: | ---: |
{logits}
"""


def main() -> None:
    """Measure; write the numbers, the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--quick", action="store_true", help="four rows, and nothing is written")
    only.add_argument("--draw", action="store_true", help="page and picture of what was measured")
    given = parser.parse_args()
    if not given.draw:
        results = measure_all(given.quick)
        if given.quick:
            return
        NUMBERS.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(NUMBERS.read_text())
    NUMBERS.with_suffix(".md").write_text(page(results))
    NUMBERS.with_suffix(".svg").write_text(picture(results))


def measure_all(quick: bool) -> dict[str, Any]:
    """Every case, or a few; on which machine."""
    gpu = torch.cuda.is_available()
    cases = [replace(c, config=replace(c.config, device="cuda")) for c in CASES] if gpu else CASES
    compared = compare(cases[:2] if quick else cases)
    logits = compare_logits(LOGITS[:2] if quick else LOGITS)
    # last: a process that has begun with CUDA can't be forked
    device = torch.cuda.get_device_name() if gpu else f"a CPU ({platform.machine()})"
    return {
        "machine": f"{device}, torch {version('torch')}, transformers {version('transformers')}",
        "how": "Peaks are those of torch's allocator."
        if gpu
        else "Peaks are of resident memory, above that of a process that has only loaded torch.",
        "compared": compared,
        "logits": logits,
    }


if __name__ == "__main__":
    main()
