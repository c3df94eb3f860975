"""The yardsticks: what they choose, and how a score is counted."""

import doctest
from collections import Counter
from math import sqrt
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_game import GUESS_ID

import text_envs
from text_envs import TextEnv, agents
from text_envs.agents import OracleAgent, RandomAgent, Score, evaluate, wilson_interval
from text_envs.games.frozen_lake import FrozenLake, FrozenLakeState

LAKE = "SFFF\nFHFF\nFFFF\nFFFG"


class Always:
    """An agent with one answer."""

    def __init__(self, move: Any) -> None:
        self.move = move

    def act(self, env: gym.Env, observation: Any, info: dict[str, Any]) -> Any:
        return self.move


# --- the interval ---


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_that_are_published(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_bounds_are_where_the_score_test_turns(counts):
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    for bound in (low, high):  # |rate - bound| is 1.96 standard errors at the bound
        error = sqrt(bound * (1 - bound) / n)
        assert abs(successes / n - bound) == pytest.approx(1.959964 * error, abs=1e-6)
    assert wilson_interval(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_intervals_at_the_edges():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0
    narrow, wide = wilson_interval(5, 10, z=1), wilson_interval(5, 10, z=3)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    for successes, n in ((-1, 3), (4, 3), (0, -1)):
        with pytest.raises(ValueError, match=f"successes={successes} must be from 0 to n={n}"):
            wilson_interval(successes, n)


# --- the random player ---


def test_random_moves_are_uniform_over_the_legal_ones():
    env, agent = gym.make("TextFrozenLake-v0"), RandomAgent(0)
    counts = Counter(agent.act(env, "", {"legal_actions": tuple("abcde")}) for _ in range(5000))
    assert set(counts) == set("abcde")
    assert all(abs(count - 1000) < 5 * sqrt(5000 * 0.2 * 0.8) for count in counts.values())


def test_a_random_player_is_its_seed():
    def moves(seed):
        agent, info = RandomAgent(seed), {"legal_actions": tuple("abcde")}
        return [agent.act(gym.make("TextBandit-v0"), "", info) for _ in range(20)]

    assert moves(1) == moves(1) != moves(2)


def test_where_moves_cannot_be_listed_it_plays_what_the_game_samples():
    env = gym.make("TextFrozenLake-v0")
    _, info = env.reset(seed=0)
    agent = RandomAgent(0)
    moves = {agent.act(env, "", info | {"legal_actions": None}) for _ in range(100)}
    assert moves == set(info["legal_actions"])


def test_where_nothing_tells_a_move_it_samples_the_action_space():
    def moves(seed):
        env, agent = gym.make(GUESS_ID), RandomAgent(seed)
        return [agent.act(env, "", {"legal_actions": None}) for _ in range(5)]

    assert moves(1) == moves(1) != moves(2)
    space = gym.make(GUESS_ID).action_space
    assert all(space.contains(move) for move in moves(1))
    assert len(set(moves(1))) > 1


# --- the oracle ---


# takes long; are matters of luck
NOT_ALWAYS = {"TextSokobanLarge-v0", "TextBlackjack-v0", "Text2048-v0"}


@pytest.mark.parametrize("env_id", [i for i in text_envs.ENV_IDS if i not in NOT_ALWAYS])
def test_the_oracle_always_wins_where_it_can(env_id):
    env: Any = gym.make(env_id)
    if env.unwrapped.game.adaptive:
        pytest.skip("an oracle that knows only what the player knows may have to guess")
    score = evaluate(env, OracleAgent(), episodes=50)
    assert score.successes == 50


def lake(**params: Any) -> Any:
    env = gym.make("TextFrozenLake-v0", **params)
    return env, *env.reset(seed=0, options={"level": LAKE})


class CountedLake(FrozenLake):
    """A lake that counts how often its oracle is asked."""

    asked = 0

    def solve(self, state: FrozenLakeState) -> list[str] | None:
        self.asked += 1
        return super().solve(state)


@pytest.mark.parametrize(("success_rate", "asked"), [(1.0, 1), (1e-12, 5)])
def test_the_oracle_plans_once_unless_chance_takes_part(success_rate, asked):
    game = CountedLake(success_rate=success_rate)
    env = TextEnv(game)
    observation, info = env.reset(seed=0, options={"level": "SFFF\nFFFF\nFFFG"})
    agent = OracleAgent()
    for _ in range(5):
        observation, *_, info = env.step(agent.act(env, observation, info))
    assert game.asked == asked
    assert info["success"] == (success_rate == 1)


def test_the_oracle_plans_again_when_it_is_somewhere_else():
    env, observation, info = lake()
    agent = OracleAgent()
    assert agent.act(env, observation, info) == "down"
    for foreign in ("right", "right", "right"):
        observation, *_, info = env.step(foreign)
    rest = []
    for _ in range(3):
        rest.append(agent.act(env, observation, info))
        observation, *_, info = env.step(rest[-1])
    assert rest == ["down"] * 3
    assert info["success"]


def test_one_oracle_plays_environment_after_environment():
    agent = OracleAgent()
    for env in (
        gym.make("TextFrozenLake-v0"),
        gym.make("TextFrozenLake-v0", size=6),
        gym.make("TextBandit-v0", pulls=3),
        gym.make("TextFrozenLake-v0", fixed_corners=True),
    ):
        assert evaluate(env, agent, episodes=20).successes == 20


def test_on_slippery_ice_the_oracle_follows_its_policy_wherever_it_slips():
    env, observation, info = lake(success_rate=1 / 3)
    agent, game = OracleAgent(), env.unwrapped.game
    policy = game.policy(env.unwrapped.get_state())
    for _ in range(20):
        move = agent.act(env, observation, info)
        assert move == policy[env.unwrapped.get_state().player]
        observation, _, terminated, truncated, info = env.step(move)
        if terminated or truncated:
            break
    slippery = gym.make("TextFrozenLake-v0", success_rate=1 / 3)
    oracle, rand = (evaluate(slippery, a, 150) for a in (OracleAgent(), RandomAgent(0)))
    assert oracle.interval[0] > rand.interval[1]


def test_without_a_plan_the_oracle_still_moves():
    env, observation, _ = lake()
    env.unwrapped.set_state(FrozenLakeState(b"_OG", 4, 0))
    assert OracleAgent().act(env, observation, {"legal_actions": ("down", "up")}) == "down"
    assert OracleAgent().act(env, observation, {"legal_actions": None}) == ""


def test_an_environment_without_an_oracle_is_named():
    with pytest.raises(TypeError, match=r"FrozenLakeEnv.* has no solve"):
        OracleAgent().act(gym.make("FrozenLake-v1"), "", {})


# --- the score ---


def test_a_score_is_what_was_played():
    env = gym.make("TextFrozenLake-v0", max_episode_steps=6)
    returned, moves, successes = 0.0, 0, 0
    for seed in range(30, 70):
        env.reset(seed=seed)
        over, info = False, {}
        while not over:
            _, reward, terminated, truncated, info = env.step("right")
            returned, moves, over = returned + float(reward), moves + 1, terminated or truncated
        successes += info["success"]
    score = evaluate(env, Always("right"), episodes=40, seed=30)
    assert 0 < successes < 40
    assert score.successes == successes
    assert score.mean_return == pytest.approx(returned / 40)
    assert score.mean_length == moves / 40


def test_refused_moves_count_and_cost():
    env = gym.make("TextFrozenLake-v0", max_episode_steps=4, invalid_action_penalty=-0.25)
    assert evaluate(env, Always("?"), episodes=3) == Score(3, 0, -1.0, 4.0)


def test_scores_are_reproducible_and_paired_by_seed():
    env = gym.make("TextFrozenLake-v0")
    assert evaluate(env, RandomAgent(3), 60, 5) == evaluate(env, RandomAgent(3), 60, 5)
    both = evaluate(env, Always("right"), 60, 0)
    parts = [evaluate(env, Always("right"), 30, seed) for seed in (0, 30)]
    assert both.successes == sum(part.successes for part in parts)
    assert both.mean_length == sum(part.mean_length for part in parts) / 2


def test_a_score_prints_with_its_interval():
    score = Score(1000, 213, 0.213, 7.94)
    assert score.success_rate == 0.213
    assert score.interval == wilson_interval(213, 1000)
    assert str(score) == "success 21.3% (18.9% to 23.9%), return 0.213, 7.9 moves, 1000 episodes"


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="episodes=0 must be at least 1"):
        evaluate(gym.make("TextBandit-v0"), RandomAgent(0), episodes=0)
    with pytest.raises(ValueError, match=r"FrozenLake-v1.* its info has no 'success'"):
        evaluate(gym.make("FrozenLake-v1"), Always(0), episodes=1)


def test_the_example_in_the_docstring_is_true():
    assert doctest.testmod(agents) == (0, 4)


def test_what_has_no_success_is_told_how_to_get_one():
    with pytest.raises(ValueError, match=r"no 'success'; let step's info say"):
        evaluate(gym.make("CartPole-v1"), FirstAction(), 1)


class FirstAction:
    def act(self, env, observation, info):
        return 0
