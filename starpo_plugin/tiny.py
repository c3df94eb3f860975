"""``tiny``: a small Qwen3-architecture model with its own tokenizer, made from scratch in a second.

It takes the very code path that a 7B model takes, on a laptop CPU, with no download. The tokenizer
has one token per board cell, one per word that the environment uses, single characters for other
text and bytes for the rest, so any text can be encoded and decoded exactly. The frame of a board,
walls that are always the same, takes a token per row. Model and tokenizer save and load like any
other (``save_pretrained``, ``from_pretrained``).
"""

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

# words and numbers take the space before them, as in byte-level tokenizers; cells stay alone
_PIECES = r" ?[a-z]+| ?[0-9]| ?\|\||\n|[^\n]"

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class TinyShape:
    """Size of a tiny model; the default has about 0.2 M parameters."""

    hidden: int = 64
    """Width of the residual stream."""
    layers: int = 3
    """Number of transformer blocks."""
    heads: int = 2
    """Attention heads of 16 dimensions: few, since a CPU spends a rollout on reading keys and
    values.
    """
    context: int = 2048
    """Longest sequence in tokens."""


def tiny_tokenizer(corpus: Iterable[str], tags: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """Make a tokenizer whose words are those of ``corpus``; ``tags`` become one token each."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    characters = string.digits + string.ascii_letters + string.punctuation + " \n"
    for character in characters:
        vocab.setdefault(character, len(vocab))
    for digit in string.digits:
        vocab.setdefault(f" {digit}", len(vocab))
    texts = list(corpus)
    pieces = "|".join([*_frame([t for t in texts if "\n" in t]), _PIECES])
    for piece in sorted({p for text in texts for p in re.findall(pieces, text)}):
        vocab.setdefault(piece, len(vocab))
    core = Tokenizer(models.BPE(vocab, [], byte_fallback=True, ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), behavior="isolated")
    core.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([t for tag in tags for t in (f"<{tag}>", f"</{tag}>")])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _frame(boards: Sequence[str]) -> list[str]:
    """Patterns of what all boards begin with, end with, and have around each line's end.

    A board of 6x6 cells inside walls becomes 21 tokens instead of 41; its cells stay one each, at
    the same distance from those above and below.
    """
    if len(set(boards)) < 2:
        return []
    # RUF071: character by character is what is wanted of texts that are not paths
    first = commonprefix(boards)  # noqa: RUF071
    last = commonprefix([b[::-1] for b in boards])[::-1]  # noqa: RUF071
    around = {b[i - 1 : i + 2] for b in boards for i, c in enumerate(b) if c == "\n"}
    patterns = []
    if "\n" in first:
        patterns.append(rf"(?<![\s\S]){re.escape(first)}")
    if "\n" in last:
        patterns.append(rf"{re.escape(last)}(?![\s\S])")
    if len(around) == 1:
        patterns.append(re.escape(around.pop()))
    return patterns


def tiny_model(tokenizer: Any, seed: int, shape: TinyShape | None = None) -> Qwen3ForCausalLM:
    """Make a model for ``tokenizer`` with random weights drawn from ``seed``; the global RNG is
    untouched.
    """
    shape = shape or TinyShape()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=3 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=16,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        initializer_range=shape.hidden**-0.5,  # 0.02 is for wide models: a narrow one hardly starts
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)
