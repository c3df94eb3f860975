"""The size of a model as transformers' configs say it."""

from typing import Any

from starpo_plugin.shapes import ModelShape


def sizes(shape: ModelShape) -> dict[str, Any]:
    """Give the arguments of a config that make a model of this shape."""
    return {
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "tie_word_embeddings": shape.tied,
    }
