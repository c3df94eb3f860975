"""The slow way to sample, right for every model: conversations are read anew on each turn.

For models whose layers don't attend to everything (a sliding window, a recurrence), whose caches
can't be kept as ``cache`` keeps them; and as the reference that tests hold the fast way against.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from starpo_plugin.cache import cache_argument
from starpo_plugin.policy import Policy
from starpo_plugin.sampler import Sampled, draw


class _Question(NamedTuple):
    conversation: int
    ids: Sequence[int]
    limit: int
    noise: Tensor


class RereadingEngine:
    """Samples the replies of all that were asked, until the longest of them ends.

    See ``engine.make_engine`` for the arguments.
    """

    def __init__(
        self, policy: Policy, end_ids: frozenset[int], pad_id: int, temperature: float = 1.0
    ) -> None:
        self._policy, self._pad_id, self._temperature = policy, pad_id, temperature
        self._argument = cache_argument(policy.model.base_model)
        self._ends = torch.tensor(sorted(end_ids), device=policy.device)
        self._asked: list[_Question] = []
        self.steps = 0
        """Tokens that were drawn one after another."""

    @property
    def busy(self) -> bool:
        """See ``Engine``."""
        return bool(self._asked)

    @property
    def columns(self) -> int:
        """See ``Engine``: nothing is kept."""
        return 0

    def ask(self, conversation: int, ids: Sequence[int], limit: int, noise: Tensor) -> None:
        """See ``Engine``."""
        self._asked.append(_Question(conversation, ids, limit, noise))

    def release(self, conversation: int) -> None:
        """See ``Engine``: nothing is kept."""

    @torch.no_grad()
    def step(self) -> list[tuple[int, Sampled]]:
        """See ``Engine``."""
        asked, self._asked = self._asked, []
        if not asked:
            return []
        device = self._policy.device
        width = max(len(q.ids) for q in asked)
        padding = [width - len(q.ids) for q in asked]
        ids = torch.tensor(
            [[self._pad_id] * p + list(q.ids) for p, q in zip(padding, asked, strict=True)],
            device=device,
        )
        seen = torch.arange(width, device=device) >= torch.tensor(padding, device=device)[:, None]
        seen = seen.long()
        limits = torch.tensor([q.limit for q in asked], device=device)
        noise = torch.zeros(len(asked), int(limits.max()))
        for row, q in enumerate(asked):
            noise[row, : q.limit] = q.noise[: q.limit]
        cache = DynamicCache(config=self._policy.text_config)
        replying = torch.ones(len(asked), dtype=torch.bool, device=device)
        tokens, logprobs, lived = [], [], []
        for t, luck in enumerate(noise.to(device).T):
            token, logprob = draw(self._logits(ids, seen, cache), luck, self._temperature)
            tokens.append(token)
            logprobs.append(logprob)
            lived.append(replying)
            replying = replying & ~torch.isin(token, self._ends) & (t + 1 < limits)
            self.steps += 1
            if not bool(replying.any()):
                break
            ids = token.unsqueeze(1)
            seen = torch.cat([seen, seen.new_ones(len(asked), 1)], dim=1)
        counts = torch.stack(lived, 1).sum(1).tolist()
        drawn, scores = torch.stack(tokens, 1).tolist(), torch.stack(logprobs, 1).tolist()
        return [
            (q.conversation, Sampled(tuple(i[:n]), tuple(p[:n])))
            for q, n, i, p in zip(asked, counts, drawn, scores, strict=True)
        ]

    def _logits(self, ids: Tensor, seen: Tensor, cache: Any) -> Tensor:
        """Next-token logits [rows, V] after new tokens, padded on the left."""
        positions = (seen.cumsum(1) - 1).clamp_min(0)[:, -ids.shape[1] :]
        hidden = self._policy.model.base_model(
            input_ids=ids,
            attention_mask=seen,
            position_ids=positions,
            use_cache=True,
            **{self._argument: cache},
        ).last_hidden_state
        return self._policy.logits(hidden[:, -1])
