"""The world-model reward: what a reply is paid for its claims about the state."""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from starpo_kit import register_parrot

from starpo_plugin.config import TrainConfig
from starpo_plugin.constant_answer import ConstantAnswer
from starpo_plugin.facts import describe
from starpo_plugin.policy import Policy
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.shaping import shaping
from starpo_plugin.start import start_model
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.world_model import corrected, pay, read_claims, summary
from text_envs.chat import ChatProtocol

WORLD = ChatProtocol("world")
NOTHING = {"lake": ConstantAnswer("", 0.0)}


def state(player: int, hole: int = 5) -> dict[str, Any]:
    return {"player": (0, player), "holes": ((1, hole),)}


def turn(before: dict, after: dict, observation: str, prediction: str, reward: float = 0.0) -> Turn:
    said = {"observation": observation, "think": "t", "prediction": prediction, "answer": "left"}
    reply = WORLD.write(said)
    info = {"well_formed": WORLD.parse(reply).well_formed, "facts": before, "facts_after": after}
    return Turn((), (), (), "", reply, reward, info)


def episode(*turns: Turn, group: int = 0) -> Trajectory:
    return Trajectory("L", 0, group, 0, turns, success=False, end="truncated", task="lake")


def paid(played: list[Trajectory], constants: dict | None = None) -> list[list[float]]:
    claims = read_claims(played, WORLD, constants or NOTHING)
    done = pay(played, claims)
    for one, two in zip(played, done, strict=True):
        for a, b in zip(one.turns, two.turns, strict=True):
            assert b.reward == pytest.approx(a.reward + b.info["world_model"])
            assert (a.reply, a.observation) == (b.reply, b.observation)
    return [[k.info["world_model"] for k in t.turns] for t in done]


@pytest.mark.parametrize(
    ("score", "chance", "left"),
    [(1, 0, 1), (1, 0.9, 1), (0.75, 0.5, 0.5), (0.5, 0.5, 0), (0.2, 0.5, 0), (1, 1, 0)],
)
def test_chance_is_taken_off_and_the_rest_rescaled(score, chance, left):
    assert corrected(score, chance) == pytest.approx(left)


def test_a_perfect_turn_earns_one_whatever_chance_is():
    for chance in (0.0, 0.4, 0.9):
        right = episode(turn(state(1), state(2), describe(state(1)), describe(state(2)), 0.25))
        assert paid([right], {"lake": ConstantAnswer("", chance)}) == [[pytest.approx(1)]]


def test_by_hand():
    # observation: 3 of 4 attributes agree, (0.75 - 0.5) / 0.5 = 0.5; prediction below chance
    almost = turn(state(1), state(2), "player 0 9 holes 1 5", "player 9 9 holes 9 9")
    claims = read_claims([episode(almost)], WORLD, {"lake": ConstantAnswer("", 0.5)})
    assert [(c.section, c.f1, c.score) for c in claims] == [
        ("observation", 0.75, pytest.approx(0.5)),
        ("prediction", 0.0, 0.0),
    ]
    assert summary(claims, 1) == {
        "observation_score": pytest.approx(0.5),
        "observation_f1": 0.75,
        "prediction_score": 0.0,
        "prediction_f1": 0.0,
        "claims_repeated": 0.0,
        "world_model_reward": pytest.approx(0.25),
    }
    assert summary([], 0) == {}


def test_the_constant_itself_earns_nothing_anywhere():
    text = "player 0 1 holes 1 5"
    constants = {"lake": ConstantAnswer(text, 0.6)}
    played = [episode(turn(state(p), state(p), text, text), group=p) for p in range(4)]
    assert paid(played, constants) == [[0.0]] * 4
    # not even with a word more, which is no repetition, where its mean would be below its score
    varied = [
        episode(turn(state(p), state(p), f"{text} {'x' * p}", f"{text} y{'x' * p}"), group=p)
        for p in range(1, 3)
    ]
    assert paid(varied, constants) == [[0.0]] * 2


def test_a_text_said_of_different_states_is_only_worth_something_where_it_is_right():
    right, same = describe(state(1)), describe(state(2))
    moved = turn(state(1), state(2), right, right)  # predicts that nothing changes, and it does
    assert paid([episode(moved)]) == [[0.5]]
    stays = turn(state(1), state(1), right, right)
    assert paid([episode(stays)]) == [[1.0]]
    # a prediction that came true is observed in the same words
    walk = episode(
        turn(state(1), state(2), right, same), turn(state(2), state(3), same, describe(state(3)))
    )
    assert paid([walk]) == [[1.0, 1.0]]
    # over the turns of an episode, and over the batch: half right, twice
    guess = "player 0 7 holes 1 5"
    alone = [episode(turn(state(1), state(2), guess, describe(state(2))))]
    assert paid(alone) == [[0.5 * 0.75 + 0.5]]
    other = episode(turn(state(3), state(4), guess, describe(state(4))), group=1)
    assert paid([*alone, other]) == [[0.5], [0.5]]
    assert paid([episode(*alone[0].turns, *other.turns)]) == [[0.5, 0.5]]
    # members of a group see the same state: nothing is wrong with saying the same of it
    assert paid([*alone, *alone]) == [[0.875], [0.875]]


def test_only_a_well_formed_turn_is_paid():
    good = turn(state(1), state(2), describe(state(1)), describe(state(2)))
    bad = dataclasses.replace(good, reply=good.reply + " more")
    bad = dataclasses.replace(bad, info={**bad.info, "well_formed": False})
    assert paid([episode(bad)]) == [[0.0]]


def test_the_order_of_episodes_changes_nothing():
    played = [
        episode(turn(state(p), state(p + 1), f"player 0 {p % 2}", f"holes 1 {p}"), group=p)
        for p in range(4)
    ]
    assert paid(played) == paid(played[::-1])[::-1]


@given(st.text(), st.text())
def test_any_section_is_read(observation, prediction):
    made = turn(state(1), state(2), observation, prediction)
    ((earned,),) = paid([episode(made)])
    assert 0 <= earned <= 1


# --- in a run ---

LAKE = TrainConfig(
    env="TextFrozenLake-v0",
    env_args=("size=3",),
    envs=("TextBandit-v0",),
    format="world",
    turn_reward="world_model",
    groups=2,
    tiny_hidden=32,
    tiny_layers=1,
    max_turns=2,
    max_reply_tokens=8,
    system_template="",
)


def test_facts_reach_the_turns_and_the_reward_reads_them():
    config = LAKE.check()
    policy = Policy(*start_model(config))
    tokens = ChatTokens(policy.tokenizer)
    rollouts = Rollouts(policy, tokens, config.episodes(), Sampling(8, 900), split="train")
    played = rollouts.run([1, 2], 2, torch.Generator().manual_seed(0))
    for trajectory in played:
        for one, two in zip(trajectory.turns, trajectory.turns[1:], strict=False):
            assert one.info["facts_after"] == two.info["facts"]
        first = trajectory.turns[0]
        # what the model would have written, had it known
        truth = WORLD.write(
            {
                "observation": describe(first.info["facts"]),
                "prediction": describe(first.info["facts_after"]),
                "answer": "up",
            }
        )
        info = {**first.info, "well_formed": True}
        knowing = dataclasses.replace(first, reply=truth, info=info)
        trajectory = dataclasses.replace(trajectory, turns=(knowing,))
        (done,), metrics = shaping(config).finish([trajectory])
        assert done.turns[0].info["world_model"] == pytest.approx(1)
        assert metrics["observation_f1"] == metrics["prediction_score"] == 1


def test_a_plain_reply_carries_no_facts():
    config = dataclasses.replace(LAKE, format="think", turn_reward="game")
    policy = Policy(*start_model(config))
    rollouts = Rollouts(
        policy, ChatTokens(policy.tokenizer), config.episodes(), Sampling(8, 900), split="train"
    )
    (played,) = rollouts.run([1], 1, torch.Generator().manual_seed(0))
    assert "facts" not in played.turns[0].info


def test_what_it_needs():
    with pytest.raises(ValueError, match=r"world_model.*format='think'.*observe, predict, world"):
        dataclasses.replace(LAKE, format="think").check()
    parrot = dataclasses.replace(
        LAKE, env=register_parrot(), env_args=(), envs=(), train_args=(), rules="Say a word."
    )
    with pytest.raises(ValueError, match=r"no facts.*turn_reward=game"):
        shaping(parrot.check())
