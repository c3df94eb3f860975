"""Pairs: the card game Concentration, played alone; it tests memory over a conversation.

Cards lie face down, two of each kind. A turn flips two of them, one after the other; two alike stay
face up, two that differ are turned back by the next flip.

=========================  ===================  =====================
event                      reward               game
=========================  ===================  =====================
a pair is found            1 / number of pairs  ends, won, if the last
anything else              0                    goes on
=========================  ===================  =====================

What was turned back is in no later observation: a player who does not remember what it saw turns
ago can only try its luck. In the other games here the present observation holds all that is needed,
or adds up what was learnt so far; in this one alone it does not. A move is a single flip, so that
the second card is chosen with the first in sight.

The game and its best play: Zwick and Paterson, "The memory game", Theoretical Computer Science 110
(1993); played alone: Velleman and Warrington, "What to expect in a game of memory", American
Mathematical Monthly 120 (2013), who count about 1.61 turns a pair on average.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome, blocks, new

MAX_SIDE = 8
MAX_SYMBOL = 12

ANIMALS = (
    "ant", "bat", "bear", "bee", "cat", "cow", "crab", "crow", "deer", "dog", "dove", "duck",
    "fish", "fox", "frog", "goat", "hare", "hen", "lion", "mole", "moth", "mouse", "owl", "pig",
    "rat", "seal", "sheep", "snail", "swan", "toad", "whale", "wolf",
)  # fmt: skip


class PairsState(NamedTuple):
    """Cards on the table. Sets of cards are the bits of an integer: card 0 is bit 0."""

    deck: tuple[str, ...]
    """What is on each card, row by row: hidden where a card is face down."""
    cols: int
    found: int = 0
    """Cards of pairs that were found; they stay face up."""
    up: tuple[int, ...] = ()
    """Cards flipped in this turn, at most two: all others that are not found lie face down."""
    seen: int = 0
    """Cards that were face up at any time: what a player with a perfect memory knows, and what
    nobody is shown.
    """


class Pairs(Game[PairsState]):
    """Find all pairs among cards that lie face down.

    Move: ``flip 3`` turns card number 3 face up; cards are numbered from zero, row by row. Legal is
    every card that lies face down, and at the beginning of a turn also the two that did not match.
    Every second flip ends a turn: a pair stays face up and pays 1 / number of pairs, two different
    cards are turned back by the next flip. The game ends with the last pair (success).

    With a perfect memory, 2 * pairs - 1 turns are always enough: TextPairs-v0 allows twice as many
    flips as there are cards, which is a turn more than that. For other boards, give ``gym.make`` a
    ``max_episode_steps`` of twice their number of cards.

    The text shows what is face up now and nothing of what was seen before; nor do ``facts``. A
    state carries what was seen, for the oracle, which knows no other card: it takes a pair that it
    knows, else flips an unseen card, then that one's mate if it knows it, else another unseen card.
    There is no ``info["optimal_moves"]``: how many flips are needed depends on luck.

    Args:
        rows: rows of cards, 1 to 8.
        cols: columns of cards, 1 to 8; the number of cards must be even and at least 4.
        symbols: what can be on the cards: different words of 1 to 12 visible characters, none of
            them a bracket, with something else than digits in them. There must be as many as pairs;
            of more, each game draws its own.

    A level is the cards, a row a line, words with spaces between; a blank line stands between two
    levels. The player never sees it.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (24 in TextPairs-v0):

    ==============  =====  ===================  ===================
    parameters      moves  random               oracle
    ==============  =====  ===================  ===================
    default         24     1.8 (1.5 to 2.0)     100 (99.96 to 100)
    default         18     0.4 (0.3 to 0.5)     69.2 (68.3 to 70.1)
    rows=2, cols=3  12     38.5 (37.6 to 39.5)  100 (99.96 to 100)
    rows=4, cols=4  32     0.1 (0.08 to 0.2)    100 (99.96 to 100)
    rows=4, cols=5  40     0.01 (0 to 0.06)     100 (99.96 to 100)
    ==============  =====  ===================  ===================
    """

    adaptive = True
    hidden = True

    def __init__(self, rows: int = 3, cols: int = 4, symbols: Sequence[str] = ANIMALS) -> None:
        for name, side in (("rows", rows), ("cols", cols)):
            if not isinstance(side, int) or not 1 <= side <= MAX_SIDE:
                raise ValueError(f"{name}={side!r} must be a whole number from 1 to {MAX_SIDE}")
        cards = rows * cols
        if cards % 2 or cards < 4:
            raise ValueError(
                f"rows={rows!r} and cols={cols!r} make {cards} cards; the number must be even and"
                " at least 4"
            )
        _check_symbols(symbols, cards // 2)
        self.rows, self.cols, self.pairs = rows, cols, cards // 2
        self.symbols = tuple(symbols)
        self.charset = PRINTABLE | frozenset("".join(symbols))
        self.rules = self._rules()
        width = max(map(len, self.symbols)) + len("[] ")
        ends = [(card + 1) % cols == 0 for card in range(cards)]
        self._backs = [_cell(str(card), width, end) for card, end in enumerate(ends)]
        self._faces = [
            {symbol: _cell(symbol, width, end) for symbol in self.symbols} for end in ends
        ]
        self._turned = [
            {symbol: _cell(f"[{symbol}]", width, end) for symbol in self.symbols} for end in ends
        ]
        self.max_text = cards * width + len("Pairs found: 99 of 99")

    def initial(self, rng: np.random.Generator) -> PairsState:
        """Choose the symbols and shuffle the cards."""
        chosen = rng.permutation(len(self.symbols))[: self.pairs].tolist()
        order = rng.permutation(2 * self.pairs).tolist()
        return PairsState(tuple([self.symbols[chosen[i >> 1]] for i in order]), self.cols)

    def legal(self, state: PairsState) -> tuple[str, ...]:
        """Flip any card that is not found, but not the first of a turn again."""
        up = state.up
        return _flips(len(state.deck), state.found | 1 << up[0] if len(up) == 1 else state.found)

    def play(self, state: PairsState, move: str, rng: np.random.Generator) -> Outcome[PairsState]:
        """Flip a card."""
        deck, cols, found, up, seen = state
        card = int(move[5:])
        seen |= 1 << card
        if len(up) != 1:
            after = new(PairsState, (deck, cols, found, (card,), seen))
            return new(Outcome, (after, 0.0, False, False, ""))
        first = up[0]
        if deck[first] != deck[card]:
            after = new(PairsState, (deck, cols, found, (first, card), seen))
            return new(Outcome, (after, 0.0, False, False, "No pair."))
        found |= 1 << first | 1 << card
        done = found.bit_count() == len(deck)
        note = "A pair, the last one." if done else "A pair."
        after = PairsState(deck, cols, found, (), seen)
        return Outcome(after, 2 / len(deck), done, done, note)

    def text(self, state: PairsState) -> str:
        """Give the cards: a number is face down, a bare symbol is found, one in brackets was
        flipped in this turn.
        """
        deck, _, found, up, _ = state
        cells = self._backs.copy()
        if found:
            for card, symbol in enumerate(deck):
                if found >> card & 1:
                    cells[card] = self._faces[card][symbol]
        for card in up:
            cells[card] = self._turned[card][deck[card]]
        cells.append(f"Pairs found: {found.bit_count() // 2} of {self.pairs}")
        return "".join(cells)

    def facts(self, state: PairsState) -> dict[str, Any]:
        """What is face up now, as in the text: ``card N``, its symbol or ``face down``, for every
        card; ``flipped``, the cards of this turn; ``pairs found`` and ``pairs``.
        """
        shown = state.found | _bits(state.up)
        facts: dict[str, Any] = {
            f"card {card}": symbol if shown >> card & 1 else "face down"
            for card, symbol in enumerate(state.deck)
        }
        found = state.found.bit_count() // 2
        return facts | {
            "flipped": list(state.up),
            "pairs found": found,
            "pairs": len(state.deck) // 2,
        }

    def solve(self, state: PairsState) -> list[str] | None:
        """Give the rest of this turn, as far as a player with a perfect memory can tell; ``None``
        when all pairs are found.
        """
        deck, _, found, up, seen = state
        hidden = [card for card in range(len(deck)) if not seen >> card & 1]
        places: dict[str, list[int]] = {}
        for card, symbol in enumerate(deck):
            if seen >> card & 1 and not found >> card & 1:
                places.setdefault(symbol, []).append(card)
        if len(up) == 1:
            mates = [card for card in places[deck[up[0]]] if card != up[0]]
            plan = (mates or hidden)[:1]
        else:
            plan = next((both for both in places.values() if len(both) == 2), hidden[:1])
        return [f"flip {card}" for card in plan] or None

    def lookalike(self, state: PairsState, rng: np.random.Generator) -> PairsState:
        """Swap two different cards that were never seen. Not even a perfect memory tells them
        apart; that the text keeps what was seen to itself is more than this shows.
        """
        deck = list(state.deck)
        hidden = [card for card in range(len(deck)) if not state.seen >> card & 1]
        if not hidden:
            return state
        first = hidden[int(rng.random() * len(hidden))]
        others = [card for card in hidden if deck[card] != deck[first]]
        spare = [symbol for symbol in self.symbols if symbol not in deck]
        if others:
            second = others[int(rng.random() * len(others))]
            deck[first], deck[second] = deck[second], deck[first]
        elif len(hidden) == 2 and spare:  # the last pair, of which nothing was seen yet
            deck[hidden[0]] = deck[hidden[1]] = spare[int(rng.random() * len(spare))]
        return state._replace(deck=tuple(deck))

    def level(self, state: PairsState) -> str:
        """Write the cards."""
        deck, cols = state.deck, state.cols
        return "\n".join(" ".join(deck[i : i + cols]) for i in range(0, len(deck), cols))

    def levels(self, text: str) -> list[PairsState]:
        """Read levels, separated by blank lines."""
        return [self._read(number, lines) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    def _read(self, number: int, lines: list[str]) -> PairsState:
        rows = [line.split() for line in lines]
        deck = [symbol for row in rows for symbol in row]
        uneven = [i for i, row in enumerate(rows) if len(row) != self.cols]
        unknown = [symbol for symbol in deck if symbol not in self.symbols]
        unpaired = [symbol for symbol in deck if deck.count(symbol) != 2]
        fault = ""
        if len(rows) != self.rows:
            fault = f"has {len(rows)} rows, this environment was made with rows={self.rows}"
        elif uneven:
            fault = (
                f"row {uneven[0]} has {len(rows[uneven[0]])} cards, this environment was made with"
                f" cols={self.cols}"
            )
        elif unknown:
            fault = f"has {unknown[0]!r:.80}, which is none of the environment's symbols; add it"
        elif unpaired:
            fault = f"has {unpaired[0]!r} {deck.count(unpaired[0])} times; it must be there twice"
        if fault:
            raise ValueError(f"level {number}: {fault}")
        return PairsState(tuple(deck), self.cols)

    def _rules(self) -> str:
        cards = 2 * self.pairs
        return (
            f"{cards} cards lie face down in {self.rows} rows of {self.cols}: {self.pairs} pairs of"
            " two alike. Find all pairs.\n"
            f"Cards are numbered from zero, row by row: 0 is at the top left, {cards - 1} at the"
            " bottom right. A number is a card that lies face down, a word in brackets a card"
            " flipped in this turn, a bare word a card of a pair that was found.\n"
            "Move: flip and the number of a card, such as flip 0. A turn is two flips: two cards"
            " alike stay face up, two different ones are turned face down again by your next flip,"
            " and you must remember them.\n"
            f"Each pair pays 1/{self.pairs}. The game ends when all pairs are found."
        )


def _check_symbols(symbols: Sequence[str], pairs: int) -> None:
    if not isinstance(symbols, Sequence):
        raise ValueError(f"symbols={symbols!r:.300} must be a list of words, or a string of signs")
    for symbol in symbols:
        fit = isinstance(symbol, str) and 0 < len(symbol) <= MAX_SYMBOL and symbol.isprintable()
        if not fit or set(" []") & set(symbol) or symbol.isdigit():
            raise ValueError(
                f"symbols={symbols!r:.300} has {symbol!r:.80}; each must have 1 to {MAX_SYMBOL}"
                " visible characters, no bracket and something else than digits"
            )
    if not len(set(symbols)) == len(symbols) >= pairs:
        raise ValueError(
            f"symbols={symbols!r:.300} must be at least {pairs} different ones, one a pair; give"
            " more, or lay fewer cards"
        )


def _cell(text: str, width: int, end: bool) -> str:
    return f"{text}\n" if end else text.ljust(width)


def _bits(cards: Sequence[int]) -> int:
    return sum(1 << card for card in cards)


@lru_cache(maxsize=1 << 15)
def _flips(cards: int, shut: int) -> tuple[str, ...]:
    """Flips of all cards but those whose bits ``shut`` has."""
    return tuple([f"flip {card}" for card in range(cards) if not shut >> card & 1])
