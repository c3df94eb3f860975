"""How a token is drawn.

The sampled distribution is softmax(logits / temperature), nothing cut off: what is sampled is what
is trained.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Sampled(NamedTuple):
    """One reply: its token ids as drawn and the log-probability of each."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


def draw(logits: Tensor, noise: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw a token per row by inverting the cumulative distribution; its log-probability.

    Args:
        logits: [rows, V].
        noise: [rows], uniform in [0, 1).
        temperature: 0 takes the most likely token.
    """
    if temperature == 0:
        p = logits.softmax(-1)
        token = p.argmax(-1)
    else:
        p = (logits if temperature == 1 else logits / temperature).softmax(-1)
        cumulative = p.cumsum(-1)
        target = noise.to(p.dtype).unsqueeze(-1) * cumulative[:, -1:]
        # right=True: the first token whose cumulative mass exceeds the target, so one with mass > 0
        token = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
        token = token.clamp_max(logits.shape[-1] - 1)
    chosen = p.gather(-1, token.unsqueeze(-1)).squeeze(-1)
    # rounding may, once in millions, reach past the last token that has any mass
    return token, chosen.clamp_min(torch.finfo(p.dtype).tiny).log()
