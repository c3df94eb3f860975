"""The policy: any Hugging Face causal language model, with a critic where an estimator needs
one.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from starpo_plugin.batch import Batch
from starpo_plugin.losses import entropy

CriticKind = Literal["none", "shared", "separate"]

# logits that are held at once: 64 M floats are 256 MB, of which a step needs a few copies
_LOGITS_AT_ONCE = 2**26


class Scores(NamedTuple):
    """What the present weights say of a batch: [B, T] each, zero where the mask is zero."""

    logprobs: Tensor
    entropy: Tensor
    values: Tensor


class Policy(nn.Module):
    """A causal language model and its critic.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer, with a chat template.
        critic: ``"none"``; ``"shared"``, a linear head on the model's own last hidden state; or
            ``"separate"``, a head on a body of its own that starts as a copy of the model's.
    """

    def __init__(self, model: Any, tokenizer: Any, critic: CriticKind = "none") -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.critic_kind: CriticKind = critic
        self.critic_body = copy.deepcopy(model.base_model) if critic == "separate" else None
        self.critic_head: nn.Linear | None = None
        if critic != "none":
            self.critic_head = nn.Linear(model.config.hidden_size, 1)
            nn.init.zeros_(self.critic_head.weight)  # values start at 0, whatever the model
            nn.init.zeros_(self.critic_head.bias)
        self._cap = getattr(model.config, "final_logit_softcapping", None)
        self._check_head()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def context(self) -> int:
        """Longest sequence that the model takes, in tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 2**31)

    def critic_parameters(self) -> list[nn.Parameter]:
        """Parameters that only the value loss trains."""
        parts = [p for p in (self.critic_body, self.critic_head) if p is not None]
        return [p for part in parts for p in part.parameters()]

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits, at least float32, of hidden states [..., D]."""
        logits = _at_least_single(self.model.get_output_embeddings()(hidden))
        return torch.tanh(logits / self._cap) * self._cap if self._cap else logits

    def forward(self, batch: Batch, temperature: float = 1.0) -> Scores:
        """Score the policy tokens of a batch; logits of other tokens are never made.

        ``temperature`` is the sampler's, so that both speak of one distribution.
        """
        # Rows are right-padded and attention is causal: no token sees a pad, no mask is needed.
        hidden = self._body(self.model.base_model, batch.ids)
        sampled = batch.mask[:, 1:] > 0
        before = hidden[:, :-1][sampled]  # [N, D]: the state from which each policy token was drawn
        logprobs, entropies = self._token_scores(before, batch.ids[:, 1:][sampled], temperature)
        values = torch.zeros_like(logprobs)
        if self.critic_head is not None:
            if self.critic_body is not None:
                before = self._body(self.critic_body, batch.ids)[:, :-1][sampled]
            values = self.critic_head(before.to(self.critic_head.weight.dtype)).squeeze(-1)
            values = _at_least_single(values)
        return Scores(*(_scatter(x, sampled) for x in (logprobs, entropies, values)))

    def save(self, folder: Path) -> None:
        """Save model and tokenizer as ``from_pretrained`` reads them, and the critic beside
        them.
        """
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        tensors = {
            f"{part}.{name}": tensor.contiguous()
            for part in ("critic_head", "critic_body")
            if (module := getattr(self, part)) is not None
            for name, tensor in module.state_dict().items()
        }
        if tensors:
            save_file(tensors, folder / "critic.safetensors")

    def load_critic(self, folder: Path) -> None:
        """Load the critic that ``save`` wrote, if this policy has one."""
        if self.critic_kind == "none":
            return
        tensors = load_file(folder / "critic.safetensors")
        state = {k: tensors[k] for k in self.state_dict() if k.startswith("critic_")}
        self.load_state_dict(state, strict=False)

    def _body(self, body: Any, ids: Tensor) -> Tensor:
        return body(input_ids=ids, use_cache=False).last_hidden_state

    def _token_scores(
        self, hidden: Tensor, tokens: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of N tokens, the logits of a chunk at a time."""

        def score(hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.logits(hidden) / temperature
            chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
            return chosen - logits.logsumexp(-1), entropy(logits)

        rows = max(1, _LOGITS_AT_ONCE // self.model.config.vocab_size)
        if len(tokens) <= rows:
            return score(hidden, tokens)
        chunks = [
            _checkpointed(score, h, t)
            for h, t in zip(hidden.split(rows), tokens.split(rows), strict=True)
        ]
        return torch.cat([c[0] for c in chunks]), torch.cat([c[1] for c in chunks])

    @torch.no_grad()
    def _check_head(self) -> None:
        """Some architectures scale their logits in ways that only their own ``forward`` knows."""
        probe = torch.arange(4, device=self.model.device).unsqueeze(0)
        training = self.model.training
        self.model.eval()
        theirs = self.model(input_ids=probe, use_cache=False).logits.float()
        ours = self.logits(self._body(self.model.base_model, probe))
        self.model.train(training)
        if not torch.allclose(theirs, ours, rtol=1e-2, atol=1e-2):
            raise ValueError(
                f"{type(self.model).__name__} changes its logits after its output embeddings in a"
                " way that this trainer does not know; choose another architecture"
            )


def _checkpointed(score: Callable[..., Any], *tensors: Tensor) -> Any:
    return checkpoint(score, *tensors, use_reentrant=False)


def _at_least_single(x: Tensor) -> Tensor:
    """Half precision to single; single and double stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _scatter(picked: Tensor, sampled: Tensor) -> Tensor:
    """[N] values of policy tokens into [B, T]; the first column has no token before it."""
    full = picked.new_zeros(sampled.shape).masked_scatter(sampled, picked)
    return nn.functional.pad(full, (1, 0))


def load_model(name_or_path: str, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Load a causal LM and its tokenizer by hub name or path.

    Raises ``ValueError`` that names the model and what to check when there is none.
    """
    if _is_missing_folder(name_or_path):
        raise ValueError(
            f"model {name_or_path!r} can't be loaded: there is no such folder; give 'tiny', the"
            " folder of a saved model, or the hub name of a causal language model"
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer  # seconds to import, needed here

    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path)
        model = AutoModelForCausalLM.from_pretrained(name_or_path, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"model {name_or_path!r} can't be loaded: give 'tiny', the folder of a saved model, or"
            f" the hub name of a causal language model ({str(error).splitlines()[0]})"
        ) from error
    return model, tokenizer


def _is_missing_folder(name_or_path: str) -> bool:
    """Whether it can only mean a folder, and there is none: asking the hub would take a minute
    where there is no network.
    """
    path = Path(name_or_path)
    hub_name = len(path.parts) <= 2 and name_or_path[:1] not in ("", ".", "~", "/")
    beside_others = len(path.parts) > 1 and path.parent.is_dir()
    return (not hub_name or beside_others) and not path.is_dir()
