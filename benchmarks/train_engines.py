"""Other ways to sample, for ``train_speed.py``: the trainer's own without one of its devices, and
transformers' ``generate``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from starpo_plugin import rollout
from starpo_plugin.batch import Batch
from starpo_plugin.engine import SlotEngine
from starpo_plugin.policy import Policy
from starpo_plugin.reread import RereadingEngine
from starpo_plugin.rows import Row
from starpo_plugin.sampler import Sampled


class InStep(SlotEngine):
    """Answers nobody before the last reply of a turn has ended."""

    def _due(self) -> list[Row]:
        return [] if self._replying > len(self._ended) else super()._due()


class EachItsPrompt(SlotEngine):
    """Reads a prompt for each member of a group."""

    def _share(self, asked: Sequence[Row]) -> tuple[list[Row], list[tuple[Row, Row]]]:
        leaders = [row for one in asked for row in super(EachItsPrompt, self)._share([one])[0]]
        return leaders, []


def anew(policy: Policy, ends: frozenset[int], pad: int, *given: Any) -> RereadingEngine:
    """Make what reads every conversation anew on each turn; slots and room are of no use to it."""
    _, _, heat, _ = given
    return RereadingEngine(policy, ends, pad, heat)


class Generate:
    """What a trainer does that calls ``generate`` on each turn."""

    def __init__(
        self,
        policy: Policy,
        ends: frozenset[int],
        pad: int,
        slots: int,
        longest: int,
        heat: float,
        columns: int,
    ) -> None:
        self._policy, self._pad = policy, pad
        self._settings: dict[str, Any] = {
            **{"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": heat},
            **{"eos_token_id": sorted(ends), "pad_token_id": pad, "max_new_tokens": longest},
            **{"return_dict_in_generate": True, "output_logits": True},
        }
        self._ends = ends
        self._asked: list[tuple[int, list[int], int]] = []
        self.steps = self.row_steps = 0

    @property
    def busy(self) -> bool:
        """See ``Engine``."""
        return bool(self._asked)

    @property
    def columns(self) -> int:
        """See ``Engine``."""
        return 0

    def ask(self, conversation: int, ids: Sequence[int], limit: int, noise: Tensor) -> None:
        """See ``Engine``; the noise is torch's own."""
        self._asked.append((conversation, list(ids), limit))

    def release(self, conversation: int) -> None:
        """See ``Engine``."""

    def step(self) -> list[tuple[int, Sampled]]:
        """See ``Engine``."""
        asked, self._asked = self._asked, []
        if not asked:
            return []
        width = max(len(ids) for _, ids, _ in asked)
        rows = [[self._pad] * (width - len(ids)) + ids for _, ids, _ in asked]
        seen = [[0] * (width - len(ids)) + [1] * len(ids) for _, ids, _ in asked]
        given = {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(seen)}
        made = self._policy.model.generate(**given, **self._settings)
        tokens = made.sequences[:, width:]
        self.steps += tokens.shape[1]
        self.row_steps += tokens.numel()
        logits = torch.stack(made.logits, 1).float()
        logprobs = logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        replies = []
        for (conversation, _, limit), ids, scores in zip(
            asked, tokens.tolist(), logprobs.tolist(), strict=True
        ):
            n = next((i + 1 for i, token in enumerate(ids) if token in self._ends), len(ids))
            n = min(n, limit)
            replies.append((conversation, Sampled(tuple(ids[:n]), tuple(scores[:n]))))
        return replies


@contextmanager
def sampling_with(kind: Callable[..., Any], made: list[Any]) -> Iterator[None]:
    """Let rollouts sample with an engine of this kind; each that is made is added to ``made``."""

    def make(*arguments: Any) -> Any:
        *of_all, _, columns, _ = arguments  # neither the cache nor how it is run is asked for
        made.append(kind(*of_all, columns))
        return made[-1]

    with patch.object(rollout, "make_engine", make):
        yield


def unsorted_batches(batch: Batch, budget: int) -> Iterator[Tensor]:
    """Micro-batches within the budget, in the order of the rows."""
    picked: list[int] = []
    widest = 0
    for row, length in enumerate(batch.lengths.tolist()):
        if picked and (len(picked) + 1) * max(widest, length) > budget:
            yield torch.tensor(picked)
            picked, widest = [], 0
        picked.append(row)
        widest = max(widest, length)
    yield torch.tensor(picked)
