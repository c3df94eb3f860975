"""Models with random weights, and ways to decode, that ``gpu_speed.py`` measures."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from sizes import sizes
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Qwen2Config, Qwen2ForCausalLM

from starpo_plugin.engine import SlotEngine
from starpo_plugin.graphs import CudaGraphs, GraphedEngine, Plain, Recorder, Step
from starpo_plugin.policy import CriticKind, Policy
from starpo_plugin.shapes import ModelShape
from starpo_plugin.tiny import tiny_tokenizer

Way = Callable[[int], None]
"""Samples so many tokens for each prompt."""


def random_model(shape: ModelShape, device: str, dtype: torch.dtype) -> Any:
    """Make a model of Qwen2.5's kind with random weights, on the device at once."""
    config = Qwen2Config(
        **sizes(shape),
        max_position_embeddings=32768,
        bos_token_id=None,
        eos_token_id=None,  # replies go on to their limit
        pad_token_id=None,
    )
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return Qwen2ForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)


def random_policy(
    shape: ModelShape,
    device: str,
    dtype: torch.dtype,
    corpus: Sequence[str] = (),
    tags: Sequence[str] = (),
    critic: CriticKind = "none",
) -> Policy:
    """Give such a model a made-up tokenizer of a few hundred tokens."""
    model = random_model(shape, device, dtype)
    return Policy(model, tiny_tokenizer(corpus, tags), critic).to(device)


class Timed:
    """A ``Recorder`` that counts its graphs and the seconds that they took to make."""

    made = 0
    seconds = 0.0

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @classmethod
    def reset(cls) -> None:
        """Count from zero."""
        cls.made, cls.seconds = 0, 0.0

    def first(self, step: Step) -> None:
        """See ``Recorder``."""
        self._recorder.first(step)

    def record(self, step: Step) -> Step:
        """See ``Recorder``."""
        began = time.perf_counter()
        recorded = self._recorder.record(step)
        Timed.made += 1
        Timed.seconds += time.perf_counter() - began
        return recorded


class TimedGraphs(GraphedEngine):
    """The engine with graphs, which are counted."""

    def __init__(self, policy: Policy, *arguments: Any) -> None:
        kind = CudaGraphs if policy.device.type == "cuda" else Plain
        super().__init__(policy, *arguments, recorder=lambda: Timed(kind()))


def synchronize(device: str) -> None:
    """Wait until the device has done what it was asked to."""
    if device != "cpu":
        torch.cuda.synchronize()


def seconds(run: Callable[[], Any], device: str) -> float:
    """How long something takes, with all that it asked of the device."""
    synchronize(device)
    began = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - began


def generating(policy: Policy, prompts: Tensor, **how: Any) -> Way:
    """Transformers' ``generate``, sampling as the trainer does: nothing cut off."""
    given: dict[str, Any] = {
        **{"input_ids": prompts, "attention_mask": torch.ones_like(prompts)},
        **{"do_sample": True, "top_k": 0, "top_p": 1.0, "pad_token_id": 0, **how},
    }

    def run(tokens: int) -> None:
        made = policy.model.generate(max_new_tokens=tokens, **given)
        if made.shape[1] != prompts.shape[1] + tokens:
            raise RuntimeError(f"generate made {made.shape[1] - prompts.shape[1]} tokens")

    return run


def sampling(kind: type[SlotEngine], policy: Policy, prompts: Tensor, longest: int) -> Way:
    """One of the trainer's engines, which is made once."""
    rows = len(prompts)
    engine = kind(policy, frozenset(), 0, rows, longest, 1.0)
    noise = torch.rand(rows, longest, generator=torch.Generator().manual_seed(0))
    ids = prompts.tolist()

    def run(tokens: int) -> None:
        for row in range(rows):
            engine.ask(row, ids[row], tokens, noise[row])
        ended = 0
        while engine.busy:
            ended += len(engine.step())
        for row in range(rows):
            engine.release(row)
        if ended != rows:
            raise RuntimeError(f"{ended} of {rows} replies ended")

    return run


def without_cudnn(policy: Policy, prompts: Tensor, longest: int) -> Way:
    """The engine with graphs, whose attention is any of torch's kernels but cuDNN's."""
    way = sampling(TimedGraphs, policy, prompts, longest)
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

    def run(tokens: int) -> None:
        with sdpa_kernel(kernels):
            way(tokens)

    return run


WAYS: dict[str, Callable[[Policy, Tensor, int], Way]] = {
    "`generate`": lambda policy, prompts, _: generating(policy, prompts),
    "`generate`, static cache": lambda policy, prompts, _: generating(
        policy, prompts, cache_implementation="static", disable_compile=True
    ),
    "this engine": lambda *given: sampling(SlotEngine, *given),
    "this engine, CUDA graphs": lambda *given: sampling(TimedGraphs, *given),
    "the same without cuDNN's attention": without_cudnn,
}
"""Ways to decode, by what the page calls them."""
BASE = "`generate`"


def step_seconds(way: Way, tokens: int, device: str) -> tuple[float, float]:
    """Seconds of a decoding step, and of the prompts with the first token.

    The prompts are read in the time of one token, which is taken off that of ``tokens`` more.
    """
    way(1 + tokens)  # loads kernels, records graphs
    first = min(seconds(lambda: way(1), device) for _ in range(2))
    whole = seconds(lambda: way(1 + tokens), device)
    return (whole - first) / tokens, first
