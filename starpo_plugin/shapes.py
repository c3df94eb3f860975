"""Sizes of models: what of a causal language model decides how much memory it takes.

A model is read from the ``config.json`` in its folder, from the table of common models here, or
from the hub, in this order, so that an estimate needs neither the weights nor a network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOGITS_AT_ONCE = 2**26
"""Logits that a training step holds at once: 64 M floats are 256 MB, of which a few copies are
needed. A larger vocabulary makes the chunks of tokens smaller.
"""


@dataclass(frozen=True)
class ModelShape:
    """A decoder with gated feed-forward layers: Llama, Qwen 2 and 3, Mistral, near enough Gemma."""

    vocab: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    """Input and output embeddings are one matrix."""
    qkv_bias: bool = False
    qk_norm: bool = False

    @property
    def query(self) -> int:
        """Width of all queries of a token."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Width of all keys of a token, and of all values."""
        return self.kv_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Widths in and out of a block's linear layers."""
        return {
            "q_proj": (self.hidden, self.query),
            "k_proj": (self.hidden, self.key),
            "v_proj": (self.hidden, self.key),
            "o_proj": (self.query, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def embedding(self) -> int:
        """Parameters of one embedding matrix."""
        return self.vocab * self.hidden

    @property
    def body(self) -> int:
        """Parameters without the output head."""
        norms = 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)
        biases = self.query + 2 * self.key if self.qkv_bias else 0
        block = sum(a * b for a, b in self.linears.values()) + norms + biases
        return self.embedding + self.layers * block + self.hidden

    @property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        return self.body + (0 if self.tied else self.embedding)

    def adapter(self, rank: int, targets: tuple[str, ...] = ()) -> int:
        """Parameters of a LoRA adapter on some linear layers, or on all of them."""
        chosen = [io for name, io in self.linears.items() if not targets or name in targets]
        return self.layers * rank * sum(a + b for a, b in chosen)


def _qwen2(hidden: int, inner: int, layers: int, heads: int, kv: int, **more: Any) -> ModelShape:
    more = {"vocab": 151936, "tied": True, **more}
    head = hidden // heads
    return ModelShape(
        hidden=hidden,
        intermediate=inner,
        layers=layers,
        heads=heads,
        kv_heads=kv,
        head_dim=head,
        qkv_bias=True,
        **more,
    )


def _qwen3(hidden: int, inner: int, layers: int, heads: int, tied: bool = True) -> ModelShape:
    return ModelShape(151936, hidden, inner, layers, heads, 8, 128, tied, qk_norm=True)


# From the config.json of each model on the Hugging Face hub (organisations Qwen and meta-llama).
SHAPES = {
    "Qwen2.5-0.5B": _qwen2(896, 4864, 24, 14, 2),
    "Qwen2.5-1.5B": _qwen2(1536, 8960, 28, 12, 2),
    "Qwen2.5-3B": _qwen2(2048, 11008, 36, 16, 2),
    "Qwen2.5-7B": _qwen2(3584, 18944, 28, 28, 4, vocab=152064, tied=False),
    "Qwen3-0.6B": _qwen3(1024, 3072, 28, 16),
    "Qwen3-1.7B": _qwen3(2048, 6144, 28, 16),
    "Qwen3-4B": _qwen3(2560, 9728, 36, 32),
    "Qwen3-8B": _qwen3(4096, 12288, 36, 32, tied=False),
    "Llama-3.2-1B": ModelShape(128256, 2048, 8192, 16, 32, 8, 64, tied=True),
    "Llama-3.2-3B": ModelShape(128256, 3072, 8192, 28, 24, 8, 128, tied=True),
    "Llama-3.1-8B": ModelShape(128256, 4096, 14336, 32, 32, 8, 128, tied=False),
}


def known(name: str) -> ModelShape | None:
    """Shape of a model of the table, by its hub name; variants (Instruct, Base) are one shape."""
    short = name.rpartition("/")[2].lower()
    matching = [k for k in SHAPES if (short + "-").startswith(k.lower() + "-")]
    return SHAPES[matching[0]] if matching else None


def shape_of(name_or_path: str) -> ModelShape:
    """Shape of a model by folder or hub name. Raises ``ValueError`` where there is none."""
    from starpo_plugin.lora import base_of, is_adapter

    path = Path(name_or_path)
    if is_adapter(path):
        return shape_of(base_of(path))
    if (file := path / "config.json").is_file():
        try:
            config = dict(json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} is no model's config: {error}") from error
        return read_shape(config, name_or_path)
    if (shape := known(name_or_path)) is not None:
        return shape
    return _from_hub(name_or_path)


def read_shape(config: Mapping[str, Any], name: str) -> ModelShape:
    """Shape from a transformers config as a dictionary. Raises ``ValueError`` for architectures of
    another kind.
    """
    config = config.get("text_config") or config
    experts = [k for k in ("num_experts", "num_local_experts", "n_routed_experts") if config.get(k)]
    needed = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    missing = [k for k in (*needed, "num_attention_heads") if not _is_size(config.get(k))]
    if experts or missing:
        why = f"it has {experts[0]}" if experts else f"its config has no {', '.join(missing)}"
        raise ValueError(
            f"model {name!r} can't be estimated: {why}; estimates are for dense decoders like"
            " Llama, Qwen and Mistral"
        )
    kind, heads = str(config.get("model_type")), config["num_attention_heads"]
    return ModelShape(
        vocab=config["vocab_size"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        tied=bool(config.get("tie_word_embeddings")),
        qkv_bias=bool(config.get("attention_bias")) or kind == "qwen2",
        qk_norm=kind in ("qwen3", "gemma3_text"),
    )


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def _from_hub(name: str) -> ModelShape:
    from starpo_plugin.policy import is_missing_folder

    if not is_missing_folder(name):
        from transformers import AutoConfig

        try:
            return read_shape(AutoConfig.from_pretrained(name).to_dict(), name)
        except OSError:
            pass  # said below, with what is known without the hub
    raise ValueError(
        f"model {name!r} can't be estimated: there is no such folder, and the hub does not give it;"
        f" known without the hub are tiny, {', '.join(SHAPES)}"
    )
