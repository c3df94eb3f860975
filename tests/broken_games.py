"""Games and environments that break one law each: every law can fail."""

import random
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import gymnasium as gym
import numpy as np
from tiny_game import Corridor, CorridorState

from text_envs import Game, Outcome, TextEnv


class ForgetsItsSeed(Corridor):
    def initial(self, rng):
        return CorridorState(self.cells, random.randrange(self.cells - 1))


class HidesItsChance(Corridor):
    def __init__(self) -> None:
        super().__init__(slip=0.5)
        self.stochastic = False


@dataclass(unsafe_hash=True)
class MutableState:
    position: int = 0
    trail: list[int] = field(default_factory=list, hash=False)


class Mutates(Game[Any]):
    max_text, rules = 10, "Moves: left."

    def initial(self, rng):
        return MutableState()

    def legal(self, state):
        return ("left",)

    def play(self, state, move, rng):
        state.trail.append(1)
        return Outcome(MutableState(state.position, [*state.trail]), -0.1)

    def text(self, state):
        return ""

    def facts(self, state):
        return {}

    def solve(self, state):
        return None


class HasMutableStates(Mutates):
    def play(self, state, move, rng):
        return Outcome(MutableState(state.position, [*state.trail, 1]), -0.1)


class PaysStrings(Corridor):
    def play(self, state, move, rng):
        return super().play(state, move, rng)._replace(reward=np.float32(1))  # pyright: ignore[reportArgumentType]


class MishearsItself(Corridor):
    def parse(self, state, text):
        return {"left": "right"}.get(text, text if text == "right" else None)


class TakesNumbers(Corridor):
    def parse(self, state, text):
        text = text.strip()
        return ("left", "right")[int(text) % 2] if text.isdigit() else super().parse(state, text)


class TakesAnything(Corridor):
    def parse(self, state, text):
        return text.strip().lower() or None


class Guesses(Corridor):
    def parse(self, state, text):
        return next((move for move in ("left", "right") if text.lower().startswith(move)), None)


class TalksTooMuch(Corridor):
    def text(self, state):
        return super().text(state) * 3


class WritesUmlauts(Corridor):
    def play(self, state, move, rng):
        return super().play(state, move, rng)._replace(note="Ä wall.")


class SaysNothing(Corridor):
    def __init__(self) -> None:
        super().__init__()
        self.rules = " "


class SamplesNonsense(Corridor):
    def sample(self, state, rng):
        return "up"


class TellsItsSecret(Corridor):
    """What is hidden is the number of cells; the text shows it."""

    hidden = True

    def lookalike(self, state, rng):
        return state._replace(cells=state.cells + 1)


class HidesSecretly(TellsItsSecret):
    hidden = False

    def text(self, state):
        return f"at {state.position}"

    def facts(self, state):
        return {}


class GivesArrays(Corridor):
    def facts(self, state):
        return {"player": np.int64(state.position)}


class ForgetsANumber(Corridor):
    def info(self, state):
        return {"distance": None if state.position == 0 else state.position}


class MisreadsLevels(Corridor):
    def level(self, state):
        return super().level(state._replace(position=0))


class CrashesOnLevels(Corridor):
    def levels(self, text):
        return [CorridorState(len(line), line.index("P")) for line in text.split() if line[1]]


class ForgetsTheOptimum(Corridor):
    def start_info(self, state):
        return {"optimal_moves": None if state.position == 4 else 1}

    def initial(self, rng):
        return CorridorState(6, int(rng.integers(4)))


class DrawsTheHopeless(Corridor):
    def solve(self, state):
        return super().solve(state) if state.position else None


class PlansTooLittle(Corridor):
    def solve(self, state):
        return ["right"] * (state.cells - 2 - state.position)


class PlansNonsense(Corridor):
    def solve(self, state):
        return ["right"] * (state.cells - 1 - state.position) if state.position else ["up"]


class PaysForWalkingOnTheSpot(Corridor):
    def play(self, state, move, rng):
        outcome = super().play(state, move, rng)
        return outcome._replace(reward=0.2) if move == "left" else outcome


BROKEN_GAMES: dict[str, list[Game[Any]]] = {
    "same_seed_same_episode": [ForgetsItsSeed()],
    "chance_is_declared": [HidesItsChance()],
    "play_never_mutates": [Mutates()],
    "states_are_frozen_values": [HasMutableStates()],
    "outcomes_have_their_types": [PaysStrings()],
    "legal_moves_parse_to_themselves": [MishearsItself()],
    "parse_never_raises": [TakesNumbers(), TakesAnything()],
    "parse_never_guesses": [Guesses()],
    "text_stays_in_its_bounds": [TalksTooMuch(), WritesUmlauts()],
    "rules_are_told": [SaysNothing()],
    "samples_are_moves": [SamplesNonsense()],
    "hidden_things_stay_hidden": [TellsItsSecret(), HidesSecretly()],
    "facts_are_plain": [GivesArrays()],
    "info_keeps_its_keys_and_types": [ForgetsANumber()],
    "levels_read_what_level_writes": [MisreadsLevels()],
    "given_levels_are_read_or_refused": [CrashesOnLevels(), ForgetsTheOptimum()],
    "generated_levels_are_solvable": [DrawsTheHopeless(), PlansTooLittle(), PlansNonsense()],
    "plans_under_way_hold": [PlansNonsense()],
    "no_cycle_of_moves_pays": [PaysForWalkingOnTheSpot()],
}


class CountsEpisodes(TextEnv):
    """Counts what no seed resets."""

    counter = count()

    def reset(self, **kwargs):
        observation, info = super().reset(**kwargs)
        return observation, info | {"episode": next(self.counter)}


class IsVerbose(TextEnv):
    def step(self, action):
        result = super().step(action)
        return f"After {action[:10]}:\n{result[0]}", *result[1:]


class TakesAnyType(TextEnv):
    def step(self, action):
        return super().step(str(action))


class AddsToInfo(TextEnv):
    def step(self, action):
        result = super().step(action)
        info = result[-1] if result[-1]["action_is_valid"] else result[-1] | {"refused": True}
        return *result[:-1], info


class KeepsItsLuckToItself(TextEnv):
    """A copy has other luck."""

    def __getstate__(self):
        return {**super().__getstate__(), "_noise": np.random.default_rng(0)}


class MovesWhenRefusing(TextEnv):
    def step(self, action):
        result = super().step(action)
        if not result[-1]["action_is_valid"]:
            self._state = self._state._replace(position=0)
        return result


class PaysForever(TextEnv):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, 1.0 if terminated else reward, terminated, truncated, info


class IgnoresNoiseSeeds(TextEnv):
    def reset(self, *, seed=None, options=None):
        if options and "noise_seed" in options:
            seed = options["noise_seed"]
        return super().reset(seed=seed, options=options)


class SetsNothing(TextEnv):
    def set_state(self, state):
        pass


class SplitsNothing(TextEnv):
    def reset(self, *, seed=None, options=None):
        split, self.split = self.split, None
        try:
            return super().reset(seed=seed, options=options)
        finally:
            self.split = split


class StaysSilent(TextEnv):
    def reset(self, **kwargs):
        observation, info = super().reset(**kwargs)
        return observation, info | {"optimal_moves": 0}


class SeedsFromItsHash(TextEnv):
    """Another process, another hash."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            seed = (seed + hash("text")) % 2**32
        return super().reset(seed=seed, options=options)


class PlansBackwards(Corridor):
    def solve(self, state):
        return ["left"]


class SamplesTheGoal(Corridor):
    """Its moves can't be listed. Those drawn at random arrive, the oracle never does."""

    def legal(self, state):
        return None

    def parse(self, state, text):
        return text if text in ("left", "right") else None

    def sample(self, state, rng):
        return "right" if rng.random() < 0.9 else "left"

    def solve(self, state):
        return ["left"]


class PlansByChance(SamplesTheGoal):
    """The oracle guesses as the player does who knows the form of a move and nothing else."""

    stochastic = True

    def play(self, state, move, rng):
        done = rng.random() < 0.5
        return Outcome(state, 0.0, True, done)


class RefusesItsPlan(Corridor):
    """Whatever is legal succeeds; the plan is none of it."""

    def legal(self, state):
        return ("right",)

    def solve(self, state):
        return ["left"]


class ReturnsNumPyFlags(TextEnv):
    def reset(self, **kwargs):
        return "outside: Ä", super().reset(**kwargs)[1]


def broken(env: type[TextEnv], **kwargs: Any) -> dict[str, Any]:
    """What ``gym.make`` takes to make it."""
    return {"entry_point": f"{__name__}:{env.__name__}", "kwargs": {"game": Corridor, **kwargs}}


BROKEN_ENVS: dict[str, list[dict[str, Any]]] = {
    "same_seed_same_episode": [broken(CountsEpisodes)],
    "any_text_is_an_action": [broken(IsVerbose)],
    "only_texts_are_actions": [broken(TakesAnyType)],
    "info_keeps_its_keys": [broken(AddsToInfo)],
    "copies_go_on_identically": [broken(KeepsItsLuckToItself, slip=0.5)],
    "refused_text_changes_nothing": [broken(MovesWhenRefusing)],
    "nothing_happens_after_the_end": [broken(PaysForever)],
    "noise_seeds_share_the_start": [broken(IgnoresNoiseSeeds)],
    "states_can_be_set": [broken(SetsNothing)],
    "splits_are_disjoint": [broken(SplitsNothing, split="test")],
    "pictures_hide_what_is_hidden": [broken(TextEnv, game=TellsItsSecret)],
    "plans_fit_the_budget": [broken(StaysSilent, cells=60)],
    "gymnasium_approves": [broken(ReturnsNumPyFlags)],
    "same_episodes_in_another_process": [broken(SeedsFromItsHash, game="tiny_game:Corridor")],
    "oracle_beats_random": [
        broken(TextEnv, game=game)
        for game in (PlansBackwards, SamplesTheGoal, PlansByChance, RefusesItsPlan)
    ],
}


def make_broken(law: str) -> list[gym.Env[Any, str]]:
    made = []
    for number, recipe in enumerate(BROKEN_ENVS[law]):
        id = f"Broken-{law.replace('_', '-')}-{number}-v0"
        if id not in gym.registry:
            gym.register(id, max_episode_steps=20, disable_env_checker=True, **recipe)
        made.append(gym.make(id))
    return made
