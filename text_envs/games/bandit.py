"""Bandit: named arms that pay differently, and few pulls to tell which is best.

Two arms, in random order: one named after a cautious profession, one after a daring one. The daring
arm is better on average, which a player can only expect from the names, or learn over many games.

==============  =============================  ====
arm             pays                           mean
==============  =============================  ====
cautious, low   0.1 always                     0.1
daring, high    1 with probability 0.25        0.25
==============  =============================  ====

The payouts follow RAGEN's Bandit; names, several pulls and more arms are our own.
"""

import re
from functools import lru_cache
from math import isfinite
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from text_envs.game import Game, Outcome, blocks, new

Names = Literal["train", "test"]

MAX_ARMS = 20
MAX_PULLS = 1000
MAX_NAME = 24
MAX_AMOUNT = 1000

NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (
        (
            "accountant", "actuary", "archivist", "auditor", "baker", "beekeeper", "bookkeeper",
            "caretaker", "cartographer", "cashier", "clerk", "curator", "dentist", "gardener",
            "librarian", "notary", "optician", "pharmacist", "postman", "potter", "proofreader",
            "registrar", "tailor", "watchmaker",
        ),
        (
            "astronaut", "base jumper", "bounty hunter", "bull rider", "cliff diver", "fire eater",
            "gambler", "gold prospector", "knife thrower", "lion tamer", "matador", "mountaineer",
            "pirate", "privateer", "racing driver", "skydiver", "smuggler", "storm chaser",
            "stuntman", "sword swallower", "test pilot", "tightrope walker", "treasure hunter",
            "wing walker",
        ),
    ),
    "test": (
        (
            "bank teller", "bookbinder", "cobbler", "conservator", "dietitian", "florist",
            "grocer", "indexer", "insurance broker", "lens grinder", "museum guard", "paralegal",
            "piano tuner", "receptionist", "safety inspector", "school teacher", "shepherd",
            "statistician", "tax adviser", "translator", "typist", "typesetter", "upholsterer",
            "weaver",
        ),
        (
            "alligator wrestler", "buccaneer", "card sharp", "cat burglar", "corsair", "daredevil",
            "duellist", "escape artist", "explorer", "free climber", "gladiator", "highwayman",
            "human cannonball", "ice climber", "mercenary", "motorcycle racer", "paraglider",
            "rodeo clown", "rum runner", "snake charmer", "speculator", "spy", "trapeze artist",
            "wildcatter",
        ),
    ),
}  # fmt: skip
"""List -> (cautious, daring) professions. No name is in both lists."""


class Pay(NamedTuple):
    """How an arm pays: ``amount`` with probability ``chance``, else nothing."""

    amount: float
    chance: float

    @property
    def mean(self) -> float:
        """Expected reward of a pull."""
        return self.amount * self.chance


LOW, HIGH = Pay(0.1, 1.0), Pay(1.0, 0.25)


class BanditState(NamedTuple):
    """The arms as they are shown, how they pay (hidden from the player), and what was pulled."""

    arms: tuple[str, ...]
    """Names, in the order shown."""
    pays: tuple[Pay, ...]
    """Hidden: how each arm pays, in the same order."""
    left: int
    """Pulls left."""
    history: tuple[tuple[str, float], ...] = ()
    """(arm, reward) of every pull, oldest first."""
    totals: tuple[tuple[int, float], ...] = ()
    """(pulls, sum of rewards) of every arm, in the order shown: what ``history`` adds up to, kept
    so that nobody has to walk it. Empty before the first pull.
    """

    @property
    def best(self) -> str:
        """Hidden: name of the arm with the highest mean."""
        means = [amount * chance for amount, chance in self.pays]
        return self.arms[means.index(max(means))]


class Bandit(Game[BanditState]):
    """Pull the arm that pays best on average.

    Move: an arm's name, in any case. Reward: what the arm pays. The game ends with the last pull;
    it is a success if more than half of all pulls were of the arm with the highest mean (with one
    pull: if that was the arm pulled), whatever they happened to pay.
    ``info["optimal_moves"]``, at reset: the number of pulls.

    With two arms, the low one pays 0.1 always and the high one pays 1 with probability 0.25; the
    names tell which is which. With more arms there is nothing in the names, which are drawn from
    all professions: each arm pays 1 with a probability of its own, drawn without replacement from
    0.01, 0.02, ..., 0.99, and only the pulls themselves tell. The observation then adds up what
    every arm has paid.

    Args:
        pulls: pulls in a game, 1 to 1000. An episode of TextBandit-v0 has at most 20 moves: for
            more, give ``gym.make`` a ``max_episode_steps``.
        arms: number of arms, 2 to 20.
        names: ``"train"`` or ``"test"``: from which of two disjoint lists of professions.
        reverse: the cautious name has the high arm. For two arms only.

    A level is a line an arm, ``name: amount with chance probability``, in the order shown, with a
    blank line between two levels. The player never sees it.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextBandit-v0):

    ================  =====  ===================  ==================
    parameters        moves  random               oracle
    ================  =====  ===================  ==================
    default           20     50.5 (49.5 to 51.4)  100 (99.96 to 100)
    default           10     50.5 (49.5 to 51.4)  100 (99.96 to 100)
    pulls=10          20     37.8 (36.9 to 38.8)  100 (99.96 to 100)
    pulls=10          10     37.8 (36.9 to 38.8)  100 (99.96 to 100)
    pulls=10, arms=5  20     0.6 (0.5 to 0.8)     100 (99.96 to 100)
    pulls=10, arms=5  10     0.6 (0.5 to 0.8)     100 (99.96 to 100)
    ================  =====  ===================  ==================
    """

    stochastic = True
    hidden = True

    def __init__(
        self, pulls: int = 1, arms: int = 2, names: Names = "train", reverse: bool = False
    ) -> None:
        for name, value, low, high in (
            ("pulls", pulls, 1, MAX_PULLS),
            ("arms", arms, 2, MAX_ARMS),
        ):
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name}={value!r} must be a whole number from {low} to {high}")
        if names not in get_args(Names):
            raise ValueError(f"names={names!r} is not one of {', '.join(NAMES)}")
        if not isinstance(reverse, bool):
            raise ValueError(f"reverse={reverse!r} must be True or False")
        if reverse and arms > 2:
            raise ValueError(
                f"reverse=True with arms={arms}: the names of more than two arms mean nothing, so"
                " there is nothing to reverse; use arms=2"
            )
        self.pulls, self.arms, self.reverse = pulls, arms, reverse
        self.names: Names = names
        self.rules = self._rules()
        self.max_text = 40 + arms * (2 * MAX_NAME + 40)

    def initial(self, rng: np.random.Generator) -> BanditState:
        """Draw the names, their order, and how the arms pay."""
        cautious, daring = NAMES[self.names]
        if self.arms > 2:
            pool = cautious + daring
            arms = tuple(pool[i] for i in rng.permutation(len(pool))[: self.arms].tolist())
            percents = 1 + rng.permutation(99)[: self.arms]
            return BanditState(
                arms, tuple(Pay(1.0, p / 100) for p in percents.tolist()), self.pulls
            )
        first, second, order = rng.random(3).tolist()
        arms = cautious[int(first * len(cautious))], daring[int(second * len(daring))]
        pays = (HIGH, LOW) if self.reverse else (LOW, HIGH)
        if order < 0.5:
            arms, pays = arms[::-1], pays[::-1]
        return new(BanditState, (arms, pays, self.pulls, (), ()))

    def legal(self, state: BanditState) -> tuple[str, ...]:
        """Names of the arms, while there are pulls left."""
        return state.arms if state.left > 0 else ()

    def play(self, state: BanditState, move: str, rng: np.random.Generator) -> Outcome[BanditState]:
        """Pull an arm."""
        arms, pays, left, history, totals = state
        place = arms.index(move)
        amount, chance = pays[place]
        reward = amount if chance == 1 or rng.random() < chance else 0.0  # drawing takes its time
        if not totals:
            totals = _totals(state)
        pulls, total = totals[place]
        paid = (pulls + 1, total + reward)
        if len(totals) == 2:
            totals = (totals[0], paid) if place else (paid, totals[1])
        else:
            totals = (*totals[:place], paid, *totals[place + 1 :])
        history += ((move, reward),)
        success = left == 1 and 2 * totals[arms.index(state.best)][0] > len(history)
        after = new(BanditState, (arms, pays, left - 1, history, totals))
        return new(Outcome, (after, reward, left == 1, success, _note(move, reward)))

    def text(self, state: BanditState) -> str:
        """Give the arms, the pulls left and, in a game of several, what every arm has paid."""
        arms, _, left, history, totals = state
        if left < 2 and len(history) + left == 1:
            return f"{_heading(arms)}{left}"
        if len(arms) == 2:  # the same as below, in half the time
            (one, other), (ones, others) = arms, totals or _UNPULLED
            return f"{_heading(arms)}{left}\n{one}{_paid(ones)}\n{other}{_paid(others)}"
        lines = zip(arms, map(_paid, _totals(state)), strict=True)
        return f"{_heading(arms)}{left}" + "".join([f"\n{arm}{paid}" for arm, paid in lines])

    def parse(self, state: BanditState, text: str) -> str | None:
        """Read an arm's name, in any case, with any white space around and between its words."""
        arms = state.arms
        if state.left <= 0:
            return None
        if text not in arms:
            text = " ".join(text.split()).lower()
        return arms[arms.index(text)] if text in arms else None

    def facts(self, state: BanditState) -> dict[str, Any]:
        """Give ``arms``, ``pulls_left``, and of every arm ``pulls of NAME``, ``total of NAME``."""
        facts: dict[str, Any] = {"arms": list(state.arms), "pulls_left": state.left}
        for arm, (pulls, total) in zip(state.arms, _totals(state), strict=True):
            facts[f"pulls of {arm}"] = pulls
            facts[f"total of {arm}"] = total
        return facts

    def start_info(self, state: BanditState) -> dict[str, Any]:
        """Give ``optimal_moves``: the number of pulls."""
        return {"optimal_moves": state.left}

    def solve(self, state: BanditState) -> list[str] | None:
        """Pull the arm with the highest mean to the end; ``None`` when no pull is left."""
        return [state.best] * state.left or None

    def lookalike(self, state: BanditState, rng: np.random.Generator) -> BanditState:
        """Pay like this one, each arm as another does."""
        shift = 1 + int(rng.integers(self.arms - 1))
        return state._replace(pays=state.pays[shift:] + state.pays[:shift])

    def level(self, state: BanditState) -> str:
        """Write the arms and how they pay."""
        arms = zip(state.arms, state.pays, strict=True)
        return "\n".join(f"{arm}: {pay.amount!r} with chance {pay.chance!r}" for arm, pay in arms)

    def levels(self, text: str) -> list[BanditState]:
        """Read levels, separated by blank lines."""
        return [self._read(number, lines) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    def _read(self, number: int, lines: list[str]) -> BanditState:
        arms: dict[str, Pay] = {}
        for line in lines:
            arm, pay = _read_arm(number, line)
            if arm in arms:
                raise ValueError(
                    f"level {number}: {arm!r} is there twice; arms need names of their own"
                )
            arms[arm] = pay
        if len(arms) != self.arms:
            raise ValueError(
                f"level {number}: the number of arms is {len(arms)}, but this environment was made"
                f" with arms={self.arms}"
            )
        means = sorted(pay.mean for pay in arms.values())
        if means[-1] == means[-2]:
            raise ValueError(
                f"level {number}: two arms share the highest mean, {means[-1]:g}; one must be best"
            )
        return BanditState(tuple(arms), tuple(arms.values()), self.pulls)

    def _rules(self) -> str:
        pulls = "one pull" if self.pulls == 1 else f"{self.pulls} pulls"
        if self.arms == 2:
            pays = "Two arms pay differently. How an arm pays goes with the character of its name."
        else:
            pays = (
                f"Each of {self.arms} arms pays 1 with a hidden probability of its own, and"
                " otherwise nothing. The names mean nothing."
            )
        return (
            f"{pays}\nYou have {pulls}: pull the arm that pays most on average.\n"
            "Move: the name of an arm. You are paid what the arm pays."
        )


_ARM = re.compile(r"([a-z]+(?: [a-z]+)*): (\S+) with chance (\S+)")


def _read_arm(number: int, line: str) -> tuple[str, Pay]:
    match = _ARM.fullmatch(line)
    if match is None or len(match[1]) > MAX_NAME:
        raise ValueError(
            f"level {number}: {line[:80]!r} is not an arm; write 'name: amount with chance"
            f" probability', the name in lower-case letters, at most {MAX_NAME} of them"
        )
    try:
        pay = Pay(float(match[2]) + 0.0, float(match[3]) + 0.0)  # -0.0 becomes 0.0
    except ValueError:
        raise ValueError(
            f"level {number}: {line!r} has an amount or a chance that is no number"
        ) from None
    if not isfinite(pay.amount) or abs(pay.amount) > MAX_AMOUNT or not 0 <= pay.chance <= 1:
        raise ValueError(
            f"level {number}: {line!r} must have an amount from -{MAX_AMOUNT} to {MAX_AMOUNT} and a"
            " chance from 0 to 1"
        )
    return match[1], pay


_UNPULLED = ((0, 0.0), (0, 0.0))


def _totals(state: BanditState) -> tuple[tuple[int, float], ...]:
    return state.totals or _UNPULLED[:1] * len(state.arms)


@lru_cache(maxsize=4096)
def _heading(arms: tuple[str, ...]) -> str:
    return f"Arms: {', '.join(arms)}\nPulls left: "


@lru_cache(maxsize=4096)
def _paid(total: tuple[int, float]) -> str:
    """What stands after an arm's name: how often it was pulled, and what it paid."""
    pulls, paid = total
    mean = f", {paid / pulls:.3g} on average" if pulls else ""
    return f": {pulls} pull{'s' * (pulls != 1)}{mean}"


@lru_cache(maxsize=1024)
def _note(arm: str, reward: float) -> str:
    return f"{arm} pays {reward:g}."
