"""Which sampled tokens are which section of a reply, read once, when the reply is."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from text_envs.chat import ChatProtocol

Span = tuple[int, int]


def token_spans(
    ids: Sequence[int],
    text: str,
    characters: Mapping[str, Span],
    decode: Callable[[Sequence[int]], str],
    piece: Callable[[int], str],
) -> dict[str, Span]:
    """Turn spans of characters into spans of tokens; a token belongs to where its text begins.

    Args:
        ids: the reply as sampled.
        text: what it decodes to; the token that ended it may be missing.
        characters: section -> (start, end) in ``text``.
        decode: tokens to text.
        piece: one token to text.

    Returns:
        Section -> (start, end), tokens ``ids[start:end]``.
    """
    pieces = [piece(i) for i in ids]
    begins = [0, *accumulate(map(len, pieces))]
    # together, tokens may mean other text than alone: a character that is cut in pieces, a space
    # that is dropped at the start
    adds_up = "".join(pieces).startswith(text)

    def begin(t: int) -> int:
        # a character that is not whole yet decodes to U+FFFD
        return begins[t] if adds_up else len(decode(ids[:t]).rstrip("\ufffd"))

    def first_from(character: int) -> int:
        return bisect_left(range(len(ids)), character, key=begin)

    return {name: (first_from(a), first_from(b)) for name, (a, b) in characters.items()}


def is_unclosed(protocol: ChatProtocol, reply: str) -> bool:
    """Whether a section's tag is still open where the reply ends."""
    tags = [protocol.tag(s) for s in protocol.sections]
    return any(reply.rfind(f"<{t}>") > reply.rfind(f"</{t}>") for t in tags)
