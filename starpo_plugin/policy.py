"""The policy: any Hugging Face causal language model, with a critic where an estimator needs
one.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from starpo_plugin import lora
from starpo_plugin.batch import Batch
from starpo_plugin.compute import Compute, trainable
from starpo_plugin.lora import Adapters, LoraShape
from starpo_plugin.losses import entropy
from starpo_plugin.processes import plain
from starpo_plugin.shapes import LOGITS_AT_ONCE

CriticKind = Literal["none", "shared", "separate", "lora"]


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
        critic: ``"none"``; ``"shared"``, a linear head on the model's own last hidden state;
            ``"separate"``, a head on a body of its own that starts as a copy of the model's; or
            ``"lora"``, a head on the model's body under an adapter of the critic's own.
        shape: of the adapter that is trained in place of the model; ``None`` trains all weights.
        seed: of the adapters' first weights.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        critic: CriticKind = "none",
        shape: LoraShape | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.text_config = model.config.get_text_config()  # some models also see
        self.critic_kind: CriticKind = critic
        self.compute = Compute()
        separate = critic == "separate"
        self.critic_body = trainable(copy.deepcopy(model.base_model)) if separate else None
        self.adapters = _adapters(model, critic, shape, seed)
        self.critic_head: nn.Linear | None = None
        if critic != "none":
            self.critic_head = nn.Linear(self.text_config.hidden_size, 1)
            nn.init.zeros_(self.critic_head.weight)  # values start at 0, whatever the model
            nn.init.zeros_(self.critic_head.bias)
        self._cap = getattr(self.text_config, "final_logit_softcapping", None)
        self.eval()
        self._check_head()

    def train(self, mode: bool = True) -> "Policy":
        """Stay as for evaluation, whatever is asked: some models' dropout would make of every pass
        another policy. No ratio would be to the one that sampled, and a run that is resumed would
        drop others.
        """
        return super().train(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def context(self) -> int:
        """Longest sequence that the model takes, in tokens."""
        return int(getattr(self.text_config, "max_position_embeddings", 0) or 2**31)

    def actor_parameters(self) -> list[nn.Parameter]:
        """Parameters that the policy's loss trains."""
        if self.adapters is not None:
            return self.adapters.parameters(lora.POLICY)
        return list(self.model.parameters())

    def critic_parameters(self) -> list[nn.Parameter]:
        """Parameters that only the value loss trains."""
        parts = [p for p in (self.critic_body, self.critic_head) if p is not None]
        own = [] if self.adapters is None else self.adapters.parameters(lora.CRITIC)
        return [*own, *(p for part in parts for p in part.parameters())]

    def reference(self, batch: Batch, temperature: float = 1.0) -> Scores:
        """Score a batch with no adapter acting: by the weights that the run began with."""
        assert self.adapters is not None
        with self.adapters.acting(None):
            return self(batch, temperature)

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
            before = self._critic_hidden(batch, hidden)[:, :-1][sampled]
            with torch.autocast(self.device.type, enabled=False):
                values = self.critic_head(before.to(self.critic_head.weight.dtype)).squeeze(-1)
            values = _at_least_single(values)
        return Scores(*(_scatter(x, sampled) for x in (logprobs, entropies, values)))

    def save(self, folder: Path | None) -> None:
        """Save model (or adapter) and tokenizer as ``from_pretrained`` reads them, and the critic
        beside them.

        ``None`` writes nothing: sharded weights are put together by all processes, one of which
        writes.
        """
        critic = plain(self._critic_tensors())
        if self.adapters is None:
            once = dict(self.model.named_parameters())
            tied = dict(self.model.named_parameters(remove_duplicate=False)).keys() - once.keys()
            named = {k: t for k, t in self.model.state_dict().items() if k not in tied}
            weights = plain(named)
            if folder is not None:
                self.model.save_pretrained(folder, state_dict=weights)
        else:
            self.adapters.save(folder)
        if folder is None:
            return
        self.tokenizer.save_pretrained(folder)
        if tensors := {k: t.contiguous() for k, t in critic.items()}:
            save_file(tensors, folder / "critic.safetensors")

    def restore(self, folder: Path) -> None:
        """Take from what ``save`` wrote all that a loaded model does not have: the adapter and the
        critic, where there is one.
        """
        if self.adapters is not None:
            self.adapters.load(folder)
        own = self._critic_tensors()
        tensors = load_file(folder / "critic.safetensors") if own else {}
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[name])

    def _critic_tensors(self) -> dict[str, Tensor]:
        tensors = {
            f"{part}.{name}": tensor
            for part in ("critic_head", "critic_body")
            if (module := getattr(self, part)) is not None
            for name, tensor in module.state_dict().items()
        }
        if self.critic_kind == "lora" and self.adapters is not None:
            saved = self.adapters.tensors(lora.CRITIC)
            tensors |= {f"critic_adapter.{name}": tensor for name, tensor in saved.items()}
        return tensors

    def _critic_hidden(self, batch: Batch, hidden: Tensor) -> Tensor:
        """Hidden states that the critic reads; ``hidden`` are the policy's."""
        if self.critic_body is not None:
            return self._body(self.critic_body, batch.ids)
        if self.critic_kind == "lora" and self.adapters is not None:
            with self.adapters.acting(lora.CRITIC):
                return self._body(self.model.base_model, batch.ids)
        return hidden

    def _body(self, body: Any, ids: Tensor) -> Tensor:
        adapter = self.adapters and self.adapters.current

        def replay() -> AbstractContextManager[None]:
            return self.adapters.acting(adapter) if self.adapters else nullcontext()

        with self.compute.autocast(self.device.type), self.compute.blocks(body, replay):
            return body(input_ids=ids, use_cache=False).last_hidden_state

    def _token_scores(
        self, hidden: Tensor, tokens: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of N tokens, the logits of a chunk at a time."""

        def score(hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
            with self.compute.autocast(self.device.type):
                logits = self.logits(hidden) / temperature
            chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
            return chosen - logits.logsumexp(-1), entropy(logits)

        rows = max(1, LOGITS_AT_ONCE // self.text_config.vocab_size)
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
        theirs = self.model(input_ids=probe, use_cache=False).logits.float()
        ours = self.logits(self._body(self.model.base_model, probe))
        if not torch.allclose(theirs, ours, rtol=1e-2, atol=1e-2):
            raise ValueError(
                f"{type(self.model).__name__} changes its logits after its output embeddings in a"
                " way that this trainer does not know; choose another architecture"
            )


def _adapters(
    model: Any, critic: CriticKind, shape: LoraShape | None, seed: int
) -> Adapters | None:
    if shape is None:
        if critic == "lora":
            raise ValueError("critic='lora' is an adapter beside the policy's: set lora_rank")
        return None
    names = (lora.POLICY, lora.CRITIC) if critic == "lora" else (lora.POLICY,)
    return Adapters(model, shape, names, seed)


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
    """Load a causal LM and its tokenizer by hub name or path; a checkpoint of an adapter comes as
    its base model with the adapter added to the weights.

    Raises ``ValueError`` that names the model and what to check when there is none.
    """
    if is_missing_folder(name_or_path):
        raise ValueError(
            f"model {name_or_path!r} can't be loaded: there is no such folder; give 'tiny', the"
            " folder of a saved model, or the hub name of a causal language model"
        )
    if saved := sorted(Path(name_or_path).glob("checkpoints/[0-9]*")):
        raise ValueError(
            f"model {name_or_path!r} is the folder of a run: give one of its checkpoints, as"
            f" {saved[-1]}"
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer  # seconds to import, needed here

    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path)
        adapter = lora.is_adapter(name_or_path)
        source = lora.base_of(name_or_path) if adapter else name_or_path
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
        if adapter:
            model = lora.merged(model, name_or_path)
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"model {name_or_path!r} can't be loaded: give 'tiny', the folder of a saved model, or"
            f" the hub name of a causal language model ({str(error).splitlines()[0]})"
        ) from error
    return model, tokenizer


def is_missing_folder(name_or_path: str) -> bool:
    """Whether it can only mean a folder, and there is none: asking the hub would take a minute
    where there is no network.
    """
    path = Path(name_or_path)
    hub_name = len(path.parts) <= 2 and name_or_path[:1] not in ("", ".", "~", "/")
    beside_others = len(path.parts) > 1 and path.parent.is_dir()
    return (not hub_name or beside_others) and not path.is_dir()
