"""Blackjack: come closer to 21 than the dealer, and not over it.

Each has two cards, one of the dealer's face down. The player takes cards until satisfied; then the
dealer turns the hidden card over and draws below a total of 17. Ranks are drawn from an endless
deck. An ace counts 11 unless that takes the hand over 21, then 1; J, Q and K count 10.

==========================================  ======
end                                         reward
==========================================  ======
the player is over 21                       -1
the dealer is over 21, or has less          1
both have the same                          0
the dealer has more                         -1
a win with a natural (``natural=True``)     1.5
a natural, the dealer none (``sab=True``)   1
==========================================  ======

A natural is an ace and a ten-valued card as first two cards. The rules, options and rewards are
those of Gymnasium's Blackjack-v1, which is matched move for move; those of ``sab`` are Example 5.1
of Sutton and Barto, Reinforcement Learning (2018).
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import Game, Outcome, blocks, new

MOVES = ("hit", "stand")
RANKS = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
SUITS = ("clubs", "diamonds", "hearts", "spades")
CARDS = tuple(f"{rank} of {suit}" for rank in RANKS for suit in SUITS)
"""Name of every card, by its number: four times that of the rank, plus that of the suit."""
BEST, DEALER_STANDS = 21, 17
MAX_PLAYER, MAX_DEALER = 22, 12
"""Most cards of a hand: 21 aces and one too many; the dealer's longest way to 17 is six aces, a 6,
and five aces."""

_VALUES = bytes(min(card // 4 + 1, 10) for card in range(len(CARDS))) + bytes(256 - len(CARDS))
_CHANCES = tuple((value, (4 if value == 10 else 1) / 13) for value in range(1, 11))
"""(value with an ace as 1, probability) of a card drawn."""
_SINGLE = tuple(bytes([card]) for card in range(len(CARDS)))
_SHOWN = tuple(f"{card}, and a hidden card." for card in CARDS)
_NAMES = {f"{card.split()[0]}{card.split()[2][0]}".upper(): n for n, card in enumerate(CARDS)}
"""Short name -> card, as levels are written."""
_CODES = {card: f"{name[:-1]}{name[-1].lower()}" for name, card in _NAMES.items()}


class BlackjackState(NamedTuple):
    """Both hands, as card numbers in the order drawn."""

    player: bytes
    dealer: bytes
    """The second card is hidden from the player until the game is over."""
    over: bool = False
    """The player has stood, or has more than 21."""


class Blackjack(Game[BlackjackState]):
    """Come closer to 21 than the dealer, and not over it.

    Moves: ``hit`` takes a card, ``stand`` ends the game: the dealer then turns over the hidden card
    and draws until at 17 or more. Reward at the end: 1 for a win, 0 for a draw, -1 for a loss;
    until then 0. A hand over 21 loses at once. Success is a win: a draw is none, and even the best
    player loses more games than it wins.

    The oracle knows the best move for every hand, by dynamic programming over the endless deck
    (``action_values``), and of the dealer's cards only the one that is shown. Its plan is the next
    move. Under the best play a game is worth, on average (``expected_reward``):

    ================  =========
    parameters        reward
    ================  =========
    default           -0.04656
    ``sab=True``      -0.04311
    ``natural=True``  -0.02573
    ================  =========

    Args:
        natural: a win with a natural, an ace and a ten-valued card as first two, pays 1.5.
        sab: Sutton and Barto's rules: a natural wins against any hand that is none, so against a 21
            of three cards as well. ``natural`` then changes nothing, as in Gymnasium.
        totals: show what the hands add up to. Otherwise the player has to add.

    A level is a line such as ``player: 10h 7s, dealer: 6d Qc``: two cards each, a rank and the
    first letter of a suit, the dealer's hidden card last. A card without a suit is of spades.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextBlackjack-v0):

    ============  =====  ===================  ===================
    parameters    moves  random               oracle
    ============  =====  ===================  ===================
    default       20     28.1 (27.2 to 29.0)  42.9 (42.0 to 43.9)
    natural=True  20     28.1 (27.2 to 29.0)  42.9 (42.0 to 43.9)
    sab=True      20     28.3 (27.4 to 29.2)  43.3 (42.3 to 44.3)
    ============  =====  ===================  ===================
    """

    stochastic = True
    adaptive = True
    hidden = True

    def __init__(self, natural: bool = False, sab: bool = False, totals: bool = True) -> None:
        for name, value in (("natural", natural), ("sab", sab), ("totals", totals)):
            if not isinstance(value, bool):
                raise ValueError(f"{name}={value!r} must be True or False")
        self.natural, self.sab, self.totals = natural and not sab, sab, totals
        self.rules = self._rules()
        longest = max(map(len, CARDS)) + len(", ")
        self.max_text = (MAX_PLAYER + MAX_DEALER) * longest + 100

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> BlackjackState:
        """Deal two cards each."""
        cards = bytes([int(draw * len(CARDS)) for draw in rng.random(4).tolist()])
        return BlackjackState(cards[:2], cards[2:])

    def legal(self, state: BlackjackState) -> tuple[str, ...]:
        """Hit and stand, until the game is over."""
        return () if state.over else MOVES

    def play(
        self, state: BlackjackState, move: str, rng: np.random.Generator
    ) -> Outcome[BlackjackState]:
        """Take a card, or let the dealer play."""
        player, dealer, _ = state
        if move == "hit":
            player += _SINGLE[int(rng.random() * len(CARDS))]
            points, _ = total(player)
            if points <= BEST:
                after = new(BlackjackState, (player, dealer, False))
                return new(Outcome, (after, 0.0, False, False, ""))
            after = BlackjackState(player, dealer, True)
            return Outcome(after, -1.0, True, False, f"{points} is over 21: you lose.")
        while (theirs := total(dealer)[0]) < DEALER_STANDS:
            dealer += _SINGLE[int(rng.random() * len(CARDS))]
        mine = total(player)[0]
        reward = _reward(
            mine, is_natural(player), theirs, is_natural(dealer), self.natural, self.sab
        )
        after = new(BlackjackState, (player, dealer, True))
        return new(Outcome, (after, reward, True, reward > 0, _verdict(mine, theirs, reward)))

    def text(self, state: BlackjackState) -> str:
        """Give both hands; of the dealer's, until the game is over, the first card only."""
        player, dealer, over = state
        mine = _hand(player, self.totals)
        theirs = _hand(dealer, self.totals) if over else _SHOWN[dealer[0]]
        return f"You: {mine}\nDealer: {theirs}"

    def facts(self, state: BlackjackState) -> dict[str, Any]:
        """Give the cards that are seen, ``player`` and ``dealer``; ``player_total``; and
        ``usable_ace``, 1 if an ace counts 11 in it.
        """
        points, soft = total(state.player)
        seen = state.dealer if state.over else state.dealer[:1]
        return {
            "player": [CARDS[card] for card in state.player],
            "player_total": points,
            "usable_ace": int(soft),
            "dealer": [CARDS[card] for card in seen],
        }

    def lookalike(self, state: BlackjackState, rng: np.random.Generator) -> BlackjackState:
        """Put another card face down."""
        if state.over:
            return state
        shown, hidden = state.dealer
        other = (hidden + 1 + int(rng.random() * (len(CARDS) - 1))) % len(CARDS)
        return state._replace(dealer=bytes([shown, other]))

    # --- the oracle ---

    def solve(self, state: BlackjackState) -> list[str] | None:
        """Give the best next move; ``None`` once the game is over."""
        if state.over:
            return None
        values = self.action_values(state)
        return [max(MOVES, key=values.__getitem__)]

    def action_values(self, state: BlackjackState) -> dict[str, float]:
        """Move -> expected reward of making it and playing best from there on, to one who sees what
        the player sees.
        """
        hand = state.player.translate(_VALUES)
        shown = min(state.dealer[0] // 4 + 1, 10)
        stand = _stand(total(state.player)[0], is_natural(state.player), shown, self._pays)
        return {"hit": _hit(sum(hand), 1 in hand, shown, self._pays), "stand": stand}

    def expected_reward(self) -> float:
        """Expected reward of a game, before the cards are dealt, under the best play."""
        return sum(
            p * q * r * _best(a + b, 1 in (a, b), {a, b} == {1, 10}, shown, self._pays)
            for a, p in _CHANCES
            for b, q in _CHANCES
            for shown, r in _CHANCES
        )

    # --- levels ---

    def level(self, state: BlackjackState) -> str:
        """Write both hands, the hidden card last."""
        hands = (" ".join(_CODES[card] for card in hand) for hand in (state.player, state.dealer))
        return "player: {}, dealer: {}".format(*hands)

    def levels(self, text: str) -> list[BlackjackState]:
        """Read levels, separated by blank lines."""
        return [_read(number, lines) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    @property
    def _pays(self) -> tuple[bool, bool]:
        return self.natural, self.sab

    def _rules(self) -> str:
        lines = [
            "Blackjack: come closer to 21 than the dealer, and not over it.",
            "Number cards count their number, J, Q and K count 10, and an ace (A) counts 11, or 1"
            " where 11 would take the hand over 21. The deck is endless: each of the 13 ranks is"
            " as likely as any other, whatever has been drawn.",
            "You and the dealer have two cards each; one of the dealer's is hidden.",
            "Moves: hit takes a card, stand takes no more. With more than 21 you lose at once. When"
            " you stand, the dealer turns the hidden card over and draws until the dealer's hand is"
            f" at {DEALER_STANDS} or more; more than 21 loses.",
            "A win pays 1, a draw 0, a loss -1. Only a win is a success.",
        ]
        natural = "An ace and a card that counts 10 as your first two cards are a natural:"
        if self.natural:
            lines.append(f"{natural} a win with it pays 1.5.")
        if self.sab:
            lines.append(f"{natural} it wins unless the dealer has a natural too.")
        return "\n".join(lines)


@lru_cache(maxsize=8192)
def total(hand: bytes) -> tuple[int, bool]:
    """Give (what a hand counts, whether an ace counts 11 in it)."""
    values = hand.translate(_VALUES)
    hard = sum(values)
    return (hard + 10, True) if hard <= BEST - 10 and 1 in values else (hard, False)


def is_natural(hand: bytes) -> bool:
    """Tell whether a hand is an ace and a ten-valued card, and no more."""
    return len(hand) == 2 and total(hand)[0] == BEST


def _reward(
    mine: int, natural: bool, theirs: int, dealer_natural: bool, pays_more: bool, sab: bool
) -> float:
    """Reward of a player who stands; a dealer's total may be over 21."""
    if sab and natural and not dealer_natural:
        return 1.0
    if theirs > BEST or mine > theirs:
        return 1.5 if pays_more and natural else 1.0
    return 0.0 if mine == theirs else -1.0


@lru_cache(maxsize=1024)
def _verdict(mine: int, theirs: int, reward: float) -> str:
    if theirs > BEST:
        return f"The dealer's {theirs} is over 21: you win."
    if reward > 0:
        against = f"{mine} against {theirs}" if mine > theirs else "a natural against a plain 21"
        return f"You win, {against}."
    return f"A draw, {mine} each." if reward == 0 else f"You lose, {mine} against {theirs}."


@lru_cache(maxsize=8192)
def _hand(hand: bytes, totals: bool) -> str:
    cards = ", ".join([CARDS[card] for card in hand])
    if not totals:
        return f"{cards}."
    points, soft = total(hand)
    return f"{cards}. Total {points}, an ace as 11." if soft else f"{cards}. Total {points}."


# --- the best play ---
# A hand is (its sum with aces as 1, whether it has an ace): all that counts from the third card on.


@lru_cache(maxsize=1024)
def _dealt(hard: int, ace: bool) -> dict[int, float]:
    """Final total -> probability of a dealer who now has this hand; more than 21 is 22."""
    points = hard + 10 if ace and hard <= BEST - 10 else hard
    if points >= DEALER_STANDS:
        return {min(points, BEST + 1): 1.0}
    ends: dict[int, float] = {}
    for value, chance in _CHANCES:
        for end, likely in _dealt(hard + value, ace or value == 1).items():
            ends[end] = ends.get(end, 0.0) + chance * likely
    return ends


@lru_cache(maxsize=1024)
def _stand(points: int, natural: bool, shown: int, pays: tuple[bool, bool]) -> float:
    value = 0.0
    for hidden, chance in _CHANCES:
        theirs = {shown, hidden} == {1, 10}
        for end, likely in _dealt(shown + hidden, 1 in (shown, hidden)).items():
            value += chance * likely * _reward(points, natural, end, theirs, *pays)
    return value


@lru_cache(maxsize=8192)
def _hit(hard: int, ace: bool, shown: int, pays: tuple[bool, bool]) -> float:
    return sum(
        chance
        * (
            -1.0
            if hard + value > BEST
            else _best(hard + value, ace or value == 1, False, shown, pays)
        )
        for value, chance in _CHANCES
    )


def _best(hard: int, ace: bool, natural: bool, shown: int, pays: tuple[bool, bool]) -> float:
    points = hard + 10 if ace and hard <= BEST - 10 else hard
    return max(_stand(points, natural, shown, pays), _hit(hard, ace, shown, pays))


# --- levels ---

_LEVEL = re.compile(r"player:(.*),\s*dealer:(.*)", re.IGNORECASE)


def _read(number: int, lines: list[str]) -> BlackjackState:
    match = _LEVEL.fullmatch(lines[0])
    if match is None or len(lines) > 1:
        raise ValueError(
            f"level {number}: {' / '.join(lines)[:80]!r} is not a start; write one line such as"
            " 'player: 10h 7s, dealer: 6d Qc', and a blank line between two levels"
        )
    player = _read_hand(number, "player", match[1])
    return BlackjackState(player, _read_hand(number, "dealer", match[2]))


def _read_hand(number: int, who: str, text: str) -> bytes:
    cards = bytearray()
    for name in text.split():
        card = _NAMES.get(name.upper(), _NAMES.get(f"{name.upper()}S"))
        if card is None:
            raise ValueError(
                f"level {number}: {name[:20]!r} is not a card; write a rank, {RANKS[0]},"
                f" {RANKS[1]} to {RANKS[9]}, J, Q or K, and the first letter of a suit: 10h, As"
            )
        cards.append(card)
    if len(cards) != 2:
        raise ValueError(f"level {number}: the {who} has {len(cards)} cards; deal two")
    return bytes(cards)
