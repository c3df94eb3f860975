"""The world-model reward of VAGEN (arXiv 2510.16907), corrected for chance.

A reply's ``observation`` says what the board is like, its ``prediction`` what it will be like after
the reply's moves. Both are compared with the environment's facts; what one fixed answer would earn
is taken off. So that this needs no judge, claims are read by rule (``facts.Reader``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from starpo_plugin.config import parse_args
from starpo_plugin.constant_answer import ConstantAnswer, best_constant, sample_states
from starpo_plugin.facts import Reader, describe, split
from starpo_plugin.mixing import every_spec
from starpo_plugin.trajectory import Trajectory, Turn
from text_envs.chat import ChatProtocol

if TYPE_CHECKING:
    from starpo_plugin.config import TrainConfig

BatchReward = Callable[[Sequence[Trajectory]], tuple[list[Trajectory], dict[str, float]]]

FACTS = {"observation": "facts", "prediction": "facts_after"}
"""Section -> the key of a turn's info that holds what is true of it."""
WEIGHT = 0.5
"""Of each section."""
EXACT = 1 - 1e-9


class WorldModelReward:
    """The environment's reward, to which is added what the claims of a reply earn.

    Whether a claim is only an echo is seen once all episodes of an iteration are there, so that the
    turn's reward here is the environment's own, and ``over_batch`` adds the rest.
    """

    def __call__(self, reward: float, reply: str, info: Mapping[str, Any]) -> float:
        """Give the environment's own reward."""
        return reward

    def over_batch(self, config: "TrainConfig") -> BatchReward:
        """Look at each environment of a run; give what adds to the rewards of an iteration.

        Raises ``ValueError`` for an environment that has no facts.
        """
        from starpo_plugin.checkpoint import number_for  # loads torch, which a check need not

        seed = number_for(config.seed, "constant answer")
        arguments = parse_args(config.train_args)
        constants = {
            spec.task: best_constant(sample_states(spec.make(**arguments), seed))
            for spec in every_spec(config)
        }
        protocol = config.protocol()

        def add(played: Sequence[Trajectory]) -> tuple[list[Trajectory], dict[str, float]]:
            claims = read_claims(played, protocol, constants)
            return pay(played, claims), summary(claims, sum(len(t.turns) for t in played))

        return add


@dataclass(frozen=True)
class Claim:
    """What one section of a well-formed reply said of a state."""

    episode: int
    turn: int
    section: str
    f1: float
    score: float
    """``corrected`` for chance."""
    echo: bool
    """The same words were written of another state too, and are not exactly right of this one."""

    @property
    def earned(self) -> float:
        """What it adds to its turn's reward."""
        return 0.0 if self.echo else WEIGHT * self.score


def corrected(score: float, chance: float) -> float:
    """``max(0, (score - chance) / (1 - chance))``; 0 where chance leaves nothing to earn."""
    return max(0.0, (score - chance) / (1 - chance)) if chance < EXACT else 0.0


def read_claims(
    played: Sequence[Trajectory],
    protocol: ChatProtocol,
    constants: Mapping[str, ConstantAnswer],
) -> list[Claim]:
    """Score the sections of all well-formed replies of an iteration.

    Args:
        played: with ``FACTS`` in the info of their turns.
        protocol: how replies are read.
        constants: ``Trajectory.task`` -> the best constant answer there.
    """
    readers: dict[str, Reader] = {}
    states_of: dict[tuple[str, ...], set[str]] = {}
    found = []
    for e, trajectory in enumerate(played):
        for k, turn in enumerate(trajectory.turns):
            for section, text in _sections(turn, protocol).items():
                facts = turn.info[FACTS[section]]
                state, words = describe(facts), tuple(split(text))
                if state not in readers:
                    readers[state] = Reader(facts)
                states_of.setdefault(words, set()).add(state)
                found.append((e, k, section, text, words, state))
    claims = []
    for e, k, section, text, words, state in found:
        f1 = readers[state].score(text)
        chance = constants[played[e].task].score(readers[state])
        echo = len(states_of[words]) > 1 and f1 < EXACT
        claims.append(Claim(e, k, section, f1, corrected(f1, chance), echo))
    return claims


def pay(played: Sequence[Trajectory], claims: Sequence[Claim]) -> list[Trajectory]:
    """Add to every turn's reward what its claims earned; ``world_model`` in its info says it."""
    earned: dict[tuple[int, int], float] = {}
    for claim in claims:
        place = claim.episode, claim.turn
        earned[place] = earned.get(place, 0.0) + claim.earned
    return [
        replace(
            trajectory,
            turns=tuple(
                _with(turn, earned.get((e, k), 0.0)) for k, turn in enumerate(trajectory.turns)
            ),
        )
        for e, trajectory in enumerate(played)
    ]


def summary(claims: Sequence[Claim], turns: int) -> dict[str, float]:
    """Metrics of an iteration's claims; a mean of none is left out."""
    measured = {}
    for section in FACTS:
        if scores := [claim.score for claim in claims if claim.section == section]:
            measured[f"{section}_score"] = fmean(scores)
            measured[f"{section}_f1"] = fmean(c.f1 for c in claims if c.section == section)
    if claims:
        measured["claims_repeated"] = fmean(claim.echo for claim in claims)
    if turns:
        measured["world_model_reward"] = sum(claim.earned for claim in claims) / turns
    return measured


def _sections(turn: Turn, protocol: ChatProtocol) -> dict[str, str]:
    """Claims of a turn by section; none where the reply is not well formed."""
    if not turn.info["well_formed"]:
        return {}
    sections = protocol.parse(turn.reply).sections
    return {name: sections[name] for name in FACTS if name in protocol.sections}


def _with(turn: Turn, earned: float) -> Turn:
    info = {**turn.info, "world_model": earned}
    return replace(turn, reward=turn.reward + earned, info=info)
