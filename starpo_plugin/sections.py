"""Sections of a reply, token by token: which of its tokens think, which answer, which are tags.

A token belongs to a section when every character that it wrote lies between the section's tags;
all others are ``tags``: the tags themselves, a token that holds a part of one, text outside any
section, and the token that ended the turn. In a reply that is not well formed, the sections that
can be read keep their name. A section that is missing, is not closed, occurs twice or overlaps
another can't be read, and its text counts as ``tags``, just as no move is played from it.
"""

from collections.abc import Mapping, Sequence

from text_envs.chat import FORMATS, ChatProtocol

Span = tuple[int, int]
"""(start, end) in characters of a reply's text."""

SECTIONS = ("tags", *FORMATS["world"])
"""Names of the sections; a token's section is an index into these."""


def token_sections(tokens: Sequence[Span], sections: Mapping[str, Span]) -> tuple[int, ...]:
    """The section of every token of a reply, as an index into ``SECTIONS``.

    Args:
        tokens: the characters that each token wrote (``ChatTokens.spans``).
        sections: the text of each section, tags excluded (``Reply.spans``).
    """
    spans = readable(sections)
    found = []
    for start, end in tokens:
        inside = (n for n, (a, b) in spans.items() if a <= start < end <= b)
        found.append(SECTIONS.index(next(inside, "tags")))
    return tuple(found)


def readable(sections: Mapping[str, Span]) -> dict[str, Span]:
    """Sections that overlap no other, tags included.

    Tags share no characters, so that of two sections the later one's text begins after the earlier
    one's end exactly where they don't overlap.
    """
    return {
        name: (start, end)
        for name, (start, end) in sections.items()
        if all(start > b or a > end for other, (a, b) in sections.items() if other != name)
    }


def span(sections: Sequence[int], name: str) -> Span | None:
    """(start, end) of the tokens of a section, among the reply's; ``None`` where there is none."""
    number = SECTIONS.index(name)
    inside = [i for i, section in enumerate(sections) if section == number]
    return (inside[0], inside[-1] + 1) if inside else None


def is_unclosed(protocol: ChatProtocol, reply: str) -> bool:
    """Whether a section's tag is still open where the reply ends."""
    tags = [protocol.tag(s) for s in protocol.sections]
    return any(reply.rfind(f"<{t}>") > reply.rfind(f"</{t}>") for t in tags)
