"""How the update's forward pass runs: recomputed, compiled, in half precision.

All of it changes memory and speed; recomputing and compiling change nothing else. Rollouts run as
they are: each token makes their cache wider, and compiled blocks would be compiled anew each time.

Precision. Weights that are trained, their gradients and the optimiser's moments are float32 always:
a step of 1e-6 is lost in bfloat16, whose neighbours lie 0.4 % apart. With ``precision="bf16"`` the
blocks and the output head multiply in bfloat16 (autocast); log-probabilities, entropies, values and
losses are float32. What is frozen, the model under an adapter and the reference, is held in
bfloat16.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from starpo_plugin.config import TrainConfig

Replay = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Compute:
    """What is asked of the forward pass of an update."""

    checkpointing: bool = False
    """Keep a block's input only, and run the block again in the backward pass."""
    compiled: bool = False
    """Compile the blocks with symbolic widths, one graph for all of them."""
    bf16: bool = False
    """Multiply in bfloat16."""

    @staticmethod
    def of(config: TrainConfig) -> "Compute":
        """What a config asks for. Raises ``ValueError`` for what this machine can't do."""
        if config.compile and not _has_compiler():
            raise ValueError(
                "compile=True needs a C++ compiler, and there is no g++ or clang++ here (nor does"
                " $CXX name one): install one, or use compile=False"
            )
        if config.cuda_graphs and (config.device == "cpu" or not torch.cuda.is_available()):
            raise ValueError(
                f"cuda_graphs=True needs a CUDA GPU, and with device={config.device!r} there is"
                " none here: use cuda_graphs=False"
            )
        return Compute(config.gradient_checkpointing, config.compile, config.precision == "bf16")

    def autocast(self, device: str) -> AbstractContextManager[Any]:
        """Multiply in bfloat16 while this is open, where that is asked for."""
        return torch.autocast(device, torch.bfloat16) if self.bf16 else nullcontext()

    @contextmanager
    def blocks(self, body: nn.Module, replay: Replay = nullcontext) -> Iterator[None]:
        """While this is open, the blocks of ``body`` run as asked.

        Args:
            body: of a transformers model.
            replay: what else must hold when a block is run again: which adapter acts.
        """
        recomputed = self.checkpointing and torch.is_grad_enabled()
        if not (recomputed or self.compiled):
            yield
            return
        blocks = [m for m in body.modules() if isinstance(m, GradientCheckpointingLayer)]
        if not blocks:
            raise ValueError(
                f"{type(body).__name__} has no blocks that transformers marks as such, which"
                " gradient_checkpointing and compile need: turn both off"
            )
        for block in blocks:
            run = partial(_compiled(), block) if self.compiled else block.forward
            if recomputed:
                contexts = partial(_contexts, replay)
                run = partial(checkpoint, run, use_reentrant=False, context_fn=contexts)
            block.forward = run  # over the class's, until it is deleted
        try:
            yield
        finally:
            for block in blocks:
                del block.forward


def frozen_dtype(config: TrainConfig) -> torch.dtype:
    """How weights are held that are never trained."""
    return torch.bfloat16 if config.precision == "bf16" else torch.float32


def held(model: Any, config: TrainConfig) -> Any:
    """Hold a model that is about to get adapters as frozen weights are held.

    Its buffers stay: rotary frequencies in bfloat16 are off by up to 0.2 %, by which token 1,000 is
    turned by more than a radian.
    """
    if config.lora_rank:
        for p in model.parameters():
            p.data = p.data.to(frozen_dtype(config))
    return model


def trainable(module: Any) -> Any:
    """Weights of half precision to single; single and double stay as they are."""
    for p in module.parameters():
        p.data = p.data.to(torch.promote_types(p.dtype, torch.float32))
    return module


def _contexts(replay: Replay) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), replay()


def _run(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return type(block).forward(block, *args, **kwargs)


@cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(_run, dynamic=True)


def _has_compiler() -> bool:
    named = os.environ.get("CXX", "").split()
    return any(shutil.which(name) for name in (*named[:1], "g++", "clang++", "c++"))
