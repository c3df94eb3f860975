"""Docstrings as Markdown: the few forms of reStructuredText that the games' docstrings use.

Paragraphs, lists, ``code``, indented blocks, simple tables (``===``), tables of bars (``|``), and
the parameters below ``Args:``.
"""

import re
from collections.abc import Sequence
from inspect import cleandoc
from textwrap import dedent
from typing import NamedTuple

_CODE = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
_SPECIAL = re.compile(r"([\\*\[\]]|(?<!\w)_|_(?!\w))")
_LIST = re.compile(r"(?:[-*]|\d+\.) ")
_ITEM = re.compile(rf"\n(?={_LIST.pattern})")
_ARGUMENT = re.compile(r"(\*{0,2}\w+)(?: \([^)]*\))?: ?(.*)", re.DOTALL)


class Manual(NamedTuple):
    """A class docstring, taken apart; all in Markdown."""

    summary: str
    """First paragraph."""
    before: str
    """What stands between it and the parameters."""
    arguments: dict[str, str]
    """Parameter -> what it means."""
    after: str
    """What follows the parameters."""


def read_manual(docstring: str) -> Manual:
    """Take a class docstring apart."""
    summary, *blocks = _blocks(docstring) or [""]
    start = next((i for i, b in enumerate(blocks) if b.startswith("Args:")), len(blocks))
    stop = start + 1
    while stop < len(blocks) and blocks[stop].startswith(" "):  # a parameter's next paragraph
        stop += 1
    arguments = "\n".join(blocks[start:stop]).removeprefix("Args:")
    before, after = _written(blocks[:start]), _written(blocks[stop:])
    return Manual(inline(summary), before, _arguments(arguments), after)


def from_rst(docstring: str) -> str:
    """Turn a docstring into Markdown."""
    return _written(_blocks(docstring))


def inline(text: str) -> str:
    """Turn a paragraph into one line of Markdown."""
    parts = _CODE.split(" ".join(text.split()))
    parts[::2] = map(_plain, parts[::2])
    parts[1::2] = map(_code, parts[1::2])
    return "".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in lines)


def fenced(text: str) -> str:
    """Write a text as it is, in a block of its own."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def _blocks(docstring: str) -> list[str]:
    return [b.strip("\n") for b in re.split(r"\n\s*\n", cleandoc(docstring)) if b.strip()]


def _written(blocks: Sequence[str]) -> str:
    return "\n\n".join(map(_block, blocks))


def _block(block: str) -> str:
    lines = block.splitlines()
    if block.startswith("=="):
        return _simple_table(lines)
    if block.startswith("|"):
        rows = [[inline(c) for c in line.strip().strip("|").split("|")] for line in lines]
        return table(rows[0], rows[2:])
    if block.startswith(" "):
        return fenced(dedent(block))
    if _LIST.match(block):
        items = [item.split(" ", 1) for item in _ITEM.split(block)]
        return "\n".join(f"{mark} {inline(item)}" for mark, item in items)
    return inline(block.removesuffix(":") if block.endswith("::") else block)


def _simple_table(lines: Sequence[str]) -> str:
    spans = [match.span() for match in re.finditer("=+", lines[0])]
    spans[-1] = spans[-1][0], max(map(len, lines))
    groups: list[list[list[str]]] = [[]]
    for line in lines[1:]:
        cells = [line[start:stop].strip() for start, stop in spans]
        if line.startswith("=="):
            groups.append([])
        elif cells[0] or not groups[-1]:
            groups[-1].append(cells)
        else:  # the row goes on
            groups[-1][-1] = [" ".join(c).strip() for c in zip(groups[-1][-1], cells, strict=True)]
    (head,), rows = groups[:2] if len(groups) > 2 else ([[""] * len(spans)], groups[0])
    return table([inline(cell) for cell in head], [[inline(cell) for cell in r] for r in rows])


def _arguments(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in re.split(r"\n(?=\S)", cleandoc(text)):
        match = _ARGUMENT.fullmatch(item)
        if match:
            found[match[1].lstrip("*")] = inline(match[2])
    return found


def _code(text: str) -> str:
    text = text.strip("`")
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text).replace("<", "&lt;")
