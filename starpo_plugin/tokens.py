"""Chat templates as token ids, appended turn by turn.

History is never rendered again: some templates drop earlier thoughts (Qwen3), and decoding and
encoding a reply need not give back the tokens that were sampled. What a user turn adds is read off
the template with placeholders in place of the turns before it, and appended to the ids that are
there.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from jinja2 import TemplateError

from starpo_plugin.sections import Span

_SYSTEM, _FIRST, _REPLY, _USER = (
    f"{name}PLACEHOLDER" for name in ("SYSTEM", "FIRST", "REPLY", "USER")
)
_STARTS = 4096
"""First prompts that are remembered: the members of a group begin alike, and meet again later."""
_CLOCK = """\
{%- macro strftime_now(form) -%}
{%- set said = namespace(text=form) -%}
{%- for code, value in [
    ('%d', '26'), ('%b', 'Jul'), ('%B', 'July'), ('%m', '07'), ('%Y', '2024'), ('%y', '24'),
    ('%A', 'Friday'), ('%a', 'Fri'), ('%H', '12'), ('%M', '00'), ('%S', '00')
] -%}
{%- set said.text = said.text | replace(code, value) -%}
{%- endfor -%}
{{- said.text -}}
{%- endmacro +%}"""
"""A clock that stands still, for templates that write today's date (Llama 3): a run that goes on
tomorrow must see the same prompts.
"""


class ChatTokens:
    """Token ids of a conversation, piece by piece.

    ``end_ids`` are the tokens that end a turn; a sampler stops after one of them.

    Raises ``ValueError`` for a tokenizer without a chat template, or one whose template loses
    messages.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._name = repr(tokenizer.name_or_path)
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                f"tokenizer {self._name} has no chat template: choose an instruction-tuned model,"
                " or set its chat_template and save it with the model"
            )
        self.tokenizer = tokenizer
        self._encode, self._decode = _core(tokenizer)
        self._starts: dict[tuple[str, str], tuple[int, ...]] = {}
        self._specials = _any_of(_specials(tokenizer))
        template = tokenizer.get_chat_template()
        self._template = _CLOCK + template if "strftime_now" in template else template
        between, after, header = self._pieces_of_a_turn()
        self._has_system_role = self._keeps_system()
        self._closing_id, self._closing_length = self._closing(self.encode(between))
        self.end_ids = frozenset(
            i for i in (self._closing_id, tokenizer.eos_token_id) if i is not None
        )
        if not self.end_ids:
            raise ValueError(
                f"tokenizer {self._name} has no token that ends a turn: set its eos_token"
            )
        self.closing_id: int = (
            self._closing_id if self._closing_id is not None else min(self.end_ids)
        )
        """What a well-behaved policy writes at the end of a turn."""
        begun = after[len(header) :] if after.startswith(header) else ""
        self.begun: str = begun if begun.strip() and "</" not in begun else ""
        """What the template writes of every reply before the policy does: some open the thinking
        section (``<think>``). It is part of the reply's text, and no token of the policy's.
        """
        pad = tokenizer.pad_token_id
        self.pad_id: int = pad if pad is not None else min(self.end_ids)
        self._anchor = self.encode("a")[:1]
        self._pieces: dict[int, str] = {}

    def start(self, system: str, user: str) -> list[int]:
        """Ids of system message (none if empty), first user message and the reply's header.

        Where the template has no system role, or drops its message, the user says it.
        """
        key = (system, user)
        if key not in self._starts:
            if len(self._starts) == _STARTS:
                self._starts.clear()
            self._starts[key] = self._start_ids(system, user)
        return list(self._starts[key])

    def _start_ids(self, system: str, user: str) -> tuple[int, ...]:
        user = self._harmless(user)
        messages = [("user", user)]
        if system and self._has_system_role:
            messages = [("system", system), *messages]
        elif system:
            messages = [("user", f"{system}\n\n{user}")]
        return tuple(self.encode(self._render(messages)))

    def next(self, user: str, last_id: int | None) -> list[int]:
        """Ids of a further user message and the reply's header.

        ``last_id`` is the reply's last sampled token: where it closed the turn, the template's own
        closing token is not added again.
        """
        messages = [("user", _FIRST), ("assistant", _REPLY), ("user", self._harmless(user))]
        text = self._render(messages)
        ids = self.encode(text.partition(_REPLY)[2])
        closed = last_id is not None and last_id == self._closing_id
        return ids[self._closing_length :] if closed else ids

    def decode(self, ids: tuple[int, ...] | list[int]) -> str:
        """Text of a reply: what the template began of it, then ``ids`` without the token that ended
        it.
        """
        if ids and ids[-1] in self.end_ids:
            ids = ids[:-1]
        return self.begun + self._plain(ids)

    def demonstrate(self, reply: str) -> list[int]:
        """Ids that a policy would have to write for this reply, the end of its turn included."""
        return [*self.encode(reply.removeprefix(self.begun.strip())), self.closing_id]

    def check_tags(self, tags: Iterable[str]) -> None:
        """Raise ``ValueError`` for a tag that this tokenizer can't write inside a reply."""
        for tag in tags:
            ids = self.encode(tag)
            if set(ids) & self.end_ids:
                why = "takes it for the end of a turn"
            elif (back := self._plain(ids)).strip() != tag:
                why = f"can't write it (it makes {back!r} of it)"
            else:
                continue
            raise ValueError(
                f"replies have the tag {tag!r}, and tokenizer {self._name} {why}: give that section"
                " another tag (--tags think=thought)"
            )

    def check_opening(self, tag: str) -> None:
        """Raise ``ValueError`` where the template begins every reply with something else than the
        tag of its first section: none could be well formed, whatever the policy writes.
        """
        begun = self.begun.strip()
        if begun and not begun.startswith(tag):
            raise ValueError(
                f"the chat template of {self._name} begins every reply with {begun!r}, and replies"
                f" of this format begin with {tag!r}: choose a format that begins so (--format"
                " think or predict), or another template"
            )

    # --- what the template does ---

    def _pieces_of_a_turn(self) -> tuple[str, str, str]:
        """Text between a reply and the user's, after the user's, and before an earlier reply."""
        conversation = [("user", _FIRST), ("assistant", _REPLY), ("user", _USER)]
        try:
            text = self._render(conversation)
        except TemplateError as error:
            raise ValueError(
                f"the chat template of {self._name} can't write a conversation of user and"
                f" assistant ({error}); multi-turn episodes need one that can"
            ) from error
        _, found_first, text = text.partition(_FIRST)
        header, found_reply, text = text.partition(_REPLY)
        between, found_user, after = text.partition(_USER)
        if not (found_first and found_reply and found_user):
            raise ValueError(
                f"the chat template of {self._name} drops messages of a conversation; multi-turn"
                " episodes need one that keeps them"
            )
        return between, after, header

    def _keeps_system(self) -> bool:
        try:
            return _SYSTEM in self._render([("system", _SYSTEM), ("user", _FIRST)])
        except TemplateError:  # Gemma
            return False

    def _closing(self, between: list[int]) -> tuple[int | None, int]:
        """The special token with which the template closes a reply, and how many tokens that is
        with the blanks before it.
        """
        for n, token in enumerate(between):
            if self._is_special(token):
                blank = not self._plain(between[:n]).strip()
                return (token, n + 1) if blank else (None, 0)
        return None, 0

    def _plain(self, ids: Sequence[int]) -> str:
        return self._decode([list(ids)])[0]

    def spans(self, ids: tuple[int, ...] | list[int]) -> list[Span]:
        """Characters of ``decode(ids)`` that each token wrote, as (start, end).

        Tokens that only together make characters, such as the bytes of one, share them all. One
        that wrote none belongs to what is before it; the token that ended the turn wrote none.
        """
        closed = bool(ids) and ids[-1] in self.end_ids
        body = list(ids[: len(ids) - closed])
        text, begun = self._plain(body), len(self.begun)
        bounds = [None if b is None else begun + b for b in self._bounds(body, text)]
        known = [i for i, bound in enumerate(bounds) if bound is not None]
        spans: list[Span] = []
        for i, j in pairwise(known):
            start, end = bounds[i] or 0, bounds[j] or 0
            span = spans[-1] if start == end and spans else (start, end)
            spans += [span] * (j - i)
        end = begun + len(text)
        return spans + [(end, end)] * closed

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token, special ones included; of several that only together make a
        character the last one has it, the others have none. Time is linear in their number.
        """
        found: list[str] = []
        begun: list[int] = []
        for token in ids:
            begun.append(token)
            text = self._piece(token) if len(begun) == 1 else self._after_others(begun)
            # four tokens hold the bytes of any character: what is no text by then never will be
            whole = not text.endswith("\N{REPLACEMENT CHARACTER}") or len(begun) == 4
            found.append(text if whole else "")
            begun = [] if whole else begun
        if begun:
            found[-1] = self._after_others(begun)
        return found

    def _bounds(self, ids: list[int], text: str) -> list[int | None]:
        """Where in ``text`` each token begins, and the last one ends; None inside a character."""
        pieces = [self._plain(ids[:1]), *map(self._piece, ids[1:])]
        if "".join(pieces) == text:
            return list(accumulate((len(p) for p in pieces[: len(ids)]), initial=0))
        prefixes = self._decode([ids[:i] for i in range(len(ids))])
        lengths = [len(p) if text.startswith(p) else None for p in prefixes]
        bounds: list[int | None] = [len(text)]
        least = len(text)
        for length in reversed(lengths):
            # what a half-written character stands for may be taken back: bounds never go back
            bounds.append(length if length is not None and length <= least else None)
            least = min(least, length if length is not None else least)
        bounds[-1] = 0
        return bounds[::-1]

    def _piece(self, token: int) -> str:
        """Text of a token that is not a reply's first: some tokenizers strip that one's space."""
        if token not in self._pieces:
            self._pieces[token] = self._after_others([token])
        return self._pieces[token]

    def _after_others(self, ids: Sequence[int]) -> str:
        lead = len(self._plain(self._anchor))
        return self._plain([*self._anchor, *ids])[lead:]

    def _harmless(self, message: str) -> str:
        """Take special tokens apart: a game may repeat what a player wrote, which must not end the
        user's turn or begin another.
        """
        return self._specials.sub(lambda found: f"{found[0][0]} {found[0][1:]}", message)

    def _render(self, messages: list[tuple[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in messages],
            tokenize=False,
            add_generation_prompt=True,
            chat_template=self._template,
        )

    def encode(self, text: str) -> list[int]:
        """Ids of a text, no special tokens added."""
        return self._encode(text)

    def _is_special(self, token: int) -> bool:
        return (
            token in self.tokenizer.all_special_ids or token in self.tokenizer.added_tokens_decoder
        )


def _specials(tokenizer: Any) -> set[str]:
    added = tokenizer.added_tokens_decoder.values()
    return {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Match any of these texts, the longest first; nothing if there is none."""
    longest_first = sorted(filter(None, texts), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _core(
    tokenizer: Any,
) -> tuple[Callable[[str], list[int]], Callable[[list[list[int]]], list[str]]]:
    """Give what turns a text into ids, and lists of ids into their texts, special tokens included.

    Where the tokenizer adds nothing to what its core does, the core is asked: transformers looks
    at every single id before, which for a rollout of a tiny model is a quarter of its time.
    """
    from transformers import PreTrainedTokenizerFast  # a second to import, loaded with the model

    kind, own = PreTrainedTokenizerFast, type(tokenizer)
    methods = ("__call__", "_encode_plus", "decode", "_decode")
    if all(getattr(own, name, None) is getattr(kind, name) for name in methods):
        core = tokenizer.backend_tokenizer
        core.no_truncation()  # files of some models ask for it
        core.no_padding()
        return (
            lambda text: core.encode(text, add_special_tokens=False).ids,
            lambda many: [core.decode(ids, skip_special_tokens=False) for ids in many],
        )
    settings = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    return (
        lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        lambda many: [tokenizer.decode(ids, **settings) for ids in many],
    )
