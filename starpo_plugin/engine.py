"""Batched multi-turn sampling with one key-value cache that is kept across turns.

A turn pays for its new tokens only. Rows differ in length, so each chunk of new tokens is
left-padded and its padding stays behind as holes that the attention mask hides. A group of rollouts
that share a prompt is prefilled once and then repeated.

The sampled distribution is softmax(logits / temperature), nothing cut off: what is sampled is what
is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from starpo_plugin.cache import cache_argument, new_cache
from starpo_plugin.policy import Policy


@dataclass(frozen=True)
class Sampled:
    """One reply: its token ids as drawn and the log-probability of each."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


class Engine:
    """Samples replies for many conversations in step.

    Use: ``start(prompts, repeats)``, then ``reply(...)`` and ``extend(...)`` in turn;
    ``keep(rows)`` drops conversations that are over. Rows are in order of group, then member.

    Args:
        policy: the model; its weights must not change between ``start`` and the last ``reply``.
        end_ids: tokens that end a reply.
        pad_id: any valid token id.
        keep_cache: ``False`` reads every conversation anew on each turn: the slow reference.
    """

    def __init__(
        self, policy: Policy, end_ids: frozenset[int], pad_id: int, keep_cache: bool = True
    ) -> None:
        self._policy = policy
        self._pad_id = pad_id
        # holes would shift a sliding window, which counts columns: such models are read anew
        self._keep_cache = keep_cache and not _slides(policy.text_config)
        self._cache_argument = cache_argument(policy.model.base_model)
        self._ends = torch.tensor(sorted(end_ids), device=policy.device)
        self._history: list[list[int]] = []
        self._pending: list[list[int]] = []
        self._cache: Any = None
        self._seen = torch.zeros(0, 0, dtype=torch.long)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each conversation so far."""
        return [len(h) for h in self._history]

    @torch.no_grad()
    def start(self, prompts: Sequence[Sequence[int]], repeats: int = 1) -> None:
        """Begin ``repeats`` conversations on each prompt, which is prefilled once."""
        self._history = [list(p) for p in prompts for _ in range(repeats)]
        self._pending = [[h[-1]] for h in self._history]
        device = self._policy.device
        self._cache = new_cache(self._policy.text_config)
        self._seen = torch.zeros(len(prompts), 0, dtype=torch.long, device=device)
        if self._keep_cache and any(len(p) > 1 for p in prompts):
            # the last token stays pending: its logits are what the first draw needs
            self._feed([list(p[:-1]) for p in prompts])
            if repeats > 1:
                self._cache.batch_repeat_interleave(repeats)
        if repeats > 1:
            self._seen = self._seen.repeat_interleave(repeats, dim=0)

    def extend(self, chunks: Sequence[Sequence[int]]) -> None:
        """Append a turn's new prompt tokens to every conversation."""
        for history, pending, chunk in zip(self._history, self._pending, chunks, strict=True):
            history.extend(chunk)
            pending.extend(chunk)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these conversations, in this order."""
        if list(rows) == list(range(len(self._history))):
            return
        index = torch.tensor(list(rows), dtype=torch.long, device=self._seen.device)
        self._history = [self._history[r] for r in rows]
        self._pending = [self._pending[r] for r in rows]
        self._seen = self._seen[index]
        if self._keep_cache:
            self._cache.batch_select_indices(index)

    @torch.no_grad()
    def reply(
        self,
        max_tokens: Sequence[int],
        noise: Tensor,
        temperature: float = 1.0,
    ) -> list[Sampled]:
        """Sample one reply for every conversation.

        Args:
            max_tokens: most tokens of each row's reply; a row with 0 gets an empty one.
            noise: float [rows, longest reply], uniform in [0, 1): token t of row r is drawn with
                ``noise[r, t]``, so a row's text does not depend on its neighbours.
            temperature: 0 takes the most likely token.
        """
        device = self._policy.device
        limits = torch.tensor(list(max_tokens), device=device)
        longest = int(limits.max()) if len(limits) else 0
        noise = noise.to(device)
        open_rows = limits > 0
        tokens, logprobs, lived = [], [], []
        if not self._keep_cache:
            self._forget()
        chunk = self._pending
        for t in range(longest):
            logits = self._feed(chunk) if t == 0 else self._feed_one(tokens[-1], lived[-1])
            token, logprob = _draw(logits, noise[:, t], temperature)
            tokens.append(token)
            logprobs.append(logprob)
            lived.append(open_rows)
            open_rows = open_rows & ~torch.isin(token, self._ends) & (t + 1 < limits)
            if not bool(open_rows.any()):
                break
        return self._collect(tokens, logprobs, lived)

    def _collect(
        self, tokens: list[Tensor], logprobs: list[Tensor], lived: list[Tensor]
    ) -> list[Sampled]:
        if not tokens:
            return [Sampled((), ()) for _ in self._history]
        ids, logps = torch.stack(tokens, 1).tolist(), torch.stack(logprobs, 1).tolist()
        counts = torch.stack(lived, 1).sum(1).tolist()
        replies = []
        for row, n in enumerate(counts):
            replies.append(Sampled(tuple(ids[row][:n]), tuple(logps[row][:n])))
            self._history[row].extend(ids[row][:n])
            # A token is fed when the next one is drawn: only a row that lived to the last step
            # has one that the cache has not seen.
            self._pending[row] = [ids[row][n - 1]] if n == len(tokens) else []
        return replies

    def _feed(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """Feed ragged chunks, left-padded; logits [rows, V] after each row's last token."""
        width = max(len(c) for c in chunks)
        ids = torch.tensor([[self._pad_id] * (width - len(c)) + list(c) for c in chunks])
        real = torch.tensor([[0] * (width - len(c)) + [1] * len(c) for c in chunks])
        return self._forward(ids, real)

    def _feed_one(self, token: Tensor, real: Tensor) -> Tensor:
        return self._forward(token.unsqueeze(1), real.long().unsqueeze(1))

    def _forward(self, ids: Tensor, real: Tensor) -> Tensor:
        device = self._policy.device
        ids, real = ids.to(device), real.to(device)
        start = self._seen.sum(1, keepdim=True)
        self._seen = torch.cat([self._seen, real], dim=1)
        positions = (start + real.cumsum(1) - 1).clamp_min(0)
        hidden = self._policy.model.base_model(
            input_ids=ids,
            attention_mask=self._seen,
            position_ids=positions,
            use_cache=True,
            **{self._cache_argument: self._cache},
        ).last_hidden_state
        return self._policy.logits(hidden[:, -1])

    def _forget(self) -> None:
        self._cache = new_cache(self._policy.text_config)
        self._seen = self._seen.new_zeros(len(self._history), 0)
        self._pending = [list(h) for h in self._history]


def _slides(config: Any) -> bool:
    layers = getattr(config, "layer_types", None)
    if layers is None:
        return getattr(config, "sliding_window", None) is not None
    return "sliding_attention" in layers


def _draw(logits: Tensor, noise: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw a token per row by inverting the cumulative distribution; its log-probability."""
    if temperature == 0:
        logp = logits.log_softmax(-1)
        token = logp.argmax(-1)
    else:
        logp = (logits / temperature).log_softmax(-1)
        cumulative = logp.exp().cumsum(-1)
        target = noise.to(cumulative.dtype).unsqueeze(-1) * cumulative[:, -1:]
        # right=True: the first token whose cumulative mass exceeds the target, so one with mass > 0
        token = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
        token = token.clamp_max(logits.shape[-1] - 1)
    return token, logp.gather(-1, token.unsqueeze(-1)).squeeze(-1)
