"""Small models of three architectures, each with a tokenizer and a chat template of its own kind.

What they share with the published models is what matters to a trainer: how a template treats
thoughts, spaces, the date and the system role, and what an architecture does between its last layer
and its logits. Everything is made from scratch and saved as ``from_pretrained`` reads it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from starpo_plugin.policy import Policy, load_model

TEXTS = [
    "Say a word. Reply in exactly this form, with one to 5 moves separated by ||:",
    "<answer>move 1 || move 2</answer> <think>your thoughts</think>",
    "up down left right player boxes targets xxx xxxx # _ P X O\n",
    "system user assistant model",
]

# Qwen3: ids of ChatML; thoughts of earlier turns are dropped when a conversation is rendered again
QWEN_TEMPLATE = """\
{%- for m in messages %}
{%- if m.role == 'assistant' and '</think>' in m.content and not loop.last %}
{{- '<|im_start|>assistant\\n' + m.content.split('</think>')[-1].lstrip('\\n') + '<|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

# Llama 3: a beginning-of-text token, today's date in a system message, messages trimmed
LLAMA_TEMPLATE = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}
{%- set system = messages[0].content | trim %}{%- set rest = messages[1:] %}
{%- else %}{%- set system = '' %}{%- set rest = messages %}{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + strftime_now('%d %b %Y') }}
{{- '\\n\\n' + system + '<|eot_id|>' }}
{%- for m in rest %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""

# Gemma 2: no system role, roles that alternate, the assistant is called model
GEMMA_TEMPLATE = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for m in messages %}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif %}
{%- set role = 'model' if m.role == 'assistant' else m.role %}
{{- '<start_of_turn>' + role + '\\n' + m.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""


def _bytes_bpe(specials: list[str], **named: Any) -> PreTrainedTokenizerFast:
    """GPT-2's kind, as Qwen and Llama 3 have: bytes, merged by what is frequent."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(s, special=True, normalized=False) for s in specials],
        show_progress=False,
    )
    core.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, **named)


def _pieces(specials: list[str], **named: Any) -> PreTrainedTokenizerFast:
    """SentencePiece's kind, as Gemma has: spaces are a letter, unknown letters fall to bytes."""
    vocab = {s: i for i, s in enumerate(specials)}
    for piece in [f"<0x{byte:02X}>" for byte in range(256)]:
        vocab.setdefault(piece, len(vocab))
    for letter in sorted({c for text in TEXTS for c in text.replace(" ", "▁")}):
        vocab.setdefault(letter, len(vocab))
    merges = []
    for pair in [("▁", "u"), ("l", "e"), ("f", "t"), ("le", "ft"), ("x", "x"), ("\n", "\n")]:
        vocab.setdefault("".join(pair), len(vocab))
        merges.append(pair)
    core = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True))
    core.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    core.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    return PreTrainedTokenizerFast(tokenizer_object=core, **named)


def _qwen() -> tuple[Any, Any]:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = _bytes_bpe(specials, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens(["<think>", "</think>"])  # reserved, as in Qwen3
    tokenizer.chat_template = QWEN_TEMPLATE
    config = Qwen3Config(**_sizes(tokenizer), tie_word_embeddings=True)
    return Qwen3ForCausalLM(config), tokenizer


def _llama() -> tuple[Any, Any]:
    specials = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
    tokenizer = _bytes_bpe(specials, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")
    tokenizer.chat_template = LLAMA_TEMPLATE
    return LlamaForCausalLM(LlamaConfig(**_sizes(tokenizer))), tokenizer


def _gemma() -> tuple[Any, Any]:
    specials = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = _pieces(specials, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    tokenizer.chat_template = GEMMA_TEMPLATE
    config = Gemma2Config(
        **_sizes(tokenizer),
        sliding_window=24,  # shorter than a first message, and on every other layer
        query_pre_attn_scalar=16,
    )
    return Gemma2ForCausalLM(config), tokenizer


def _sizes(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer) + 7,  # published embeddings have more rows than tokens
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 1024,
        "initializer_range": 32**-0.5,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }


class Kind(NamedTuple):
    """One architecture of the zoo."""

    make: Callable[[], tuple[Any, Any]]
    closing: str
    """Token that ends a turn."""
    keeps_history: bool
    """Whether rendering a conversation again gives back what was there."""
    has_system_role: bool


ZOO = {
    "qwen3": Kind(_qwen, "<|im_end|>", keeps_history=False, has_system_role=True),
    "llama": Kind(_llama, "<|eot_id|>", keeps_history=True, has_system_role=True),
    "gemma2": Kind(_gemma, "<end_of_turn>", keeps_history=True, has_system_role=False),
}


def save_model(name: str, folder: Path) -> Path:
    """Make a model of the zoo and save it as published ones are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(sum(name.encode()))
        model, tokenizer = ZOO[name].make()
        with torch.no_grad():
            head = model.get_output_embeddings().weight
            head[tokenizer.convert_tokens_to_ids(ZOO[name].closing)] *= 2  # replies do end
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load_policy(folder: Path, **settings: Any) -> Policy:
    return Policy(*load_model(str(folder)), **settings)
