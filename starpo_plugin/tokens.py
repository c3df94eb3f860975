"""Chat templates as token ids, appended turn by turn.

History is never rendered again: some templates drop earlier thoughts (Qwen3), and decoding and
encoding a reply need not give back the tokens that were sampled. What a user turn adds is read off
the template once, with placeholders, and appended to the ids that are there.
"""

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

_USER, _ASSISTANT = "USERPLACEHOLDER", "ASSISTANTPLACEHOLDER"


class ChatTokens:
    """Token ids of a conversation, piece by piece.

    ``end_ids`` are the tokens that end a turn; a sampler stops after one of them.

    Raises ``ValueError`` for a tokenizer without a chat template, or one whose template loses
    messages.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} has no chat template: choose an"
                " instruction-tuned model, or set its chat_template and save it with the model"
            )
        self.tokenizer = tokenizer
        messages = [("user", "U"), ("assistant", _ASSISTANT), ("user", _USER)]
        text = self._render(messages)
        opening, found_assistant, rest = text.partition(_ASSISTANT)
        between, found_user, self._after = rest.partition(_USER)
        if not (found_assistant and found_user and opening):
            raise ValueError(
                f"the chat template of {tokenizer.name_or_path!r} drops messages of a conversation;"
                " multi-turn episodes need one that keeps them"
            )
        self._between = between
        close = self.encode(between)[:1]
        self._closing_id = close[0] if close and self._is_special(close[0]) else None
        self.end_ids = frozenset(
            i for i in (self._closing_id, tokenizer.eos_token_id) if i is not None
        )
        if not self.end_ids:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} has no token that ends a turn:"
                " set its eos_token"
            )
        self.closing_id: int = (
            self._closing_id if self._closing_id is not None else min(self.end_ids)
        )
        """What a well-behaved policy writes at the end of a turn."""
        self._pieces: dict[int, str] = {}
        pad = tokenizer.pad_token_id
        self.pad_id: int = pad if pad is not None else min(self.end_ids)

    def start(self, system: str, user: str) -> list[int]:
        """Ids of system message (none if empty), first user message and the reply's header."""
        messages = [("user", user)]
        if not system:
            return self.encode(self._render(messages))
        try:
            return self.encode(self._render([("system", system), *messages]))
        except TemplateError:  # a template without a system role (Gemma): the user says it
            return self.encode(self._render([("user", f"{system}\n\n{user}")]))

    def next(self, user: str, last_id: int | None) -> list[int]:
        """Ids of a further user message and the reply's header.

        ``last_id`` is the reply's last sampled token: where it closed the turn, the template's own
        closing token is not added again.
        """
        ids = self.encode(f"{self._between}{user}{self._after}")
        return ids[1:] if last_id is not None and last_id == self._closing_id else ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a reply, without the token that ended it."""
        if ids and ids[-1] in self.end_ids:
            ids = ids[:-1]
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)

    def piece(self, token: int) -> str:
        """Text of one token by itself."""
        if token not in self._pieces:
            self._pieces[token] = self.tokenizer.decode([token], skip_special_tokens=False)
        return self._pieces[token]

    def _render(self, messages: list[tuple[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in messages],
            tokenize=False,
            add_generation_prompt=True,
        )

    def encode(self, text: str) -> list[int]:
        """Ids of a text, no special tokens added."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _is_special(self, token: int) -> bool:
        return (
            token in self.tokenizer.all_special_ids or token in self.tokenizer.added_tokens_decoder
        )
