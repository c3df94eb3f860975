import dataclasses
import itertools
from typing import Any, get_args

import gymnasium as gym
import pytest
import tiny_game
from starpo_kit import parrot_spec

from starpo_plugin.evaluate import Evaluator, yardsticks
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.rollout import EpisodeSpec
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.start import start_model
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.train import train
from starpo_plugin.warmup import (
    Thought,
    _in_turn,
    _sections,
    as_trajectory,
    demonstrations,
    describe,
    imitate,
)
from text_envs.chat import FORMATS, ChatProtocol


def _shown(spec: EpisodeSpec, n: int = 20, **kw):
    return list(itertools.islice(demonstrations(spec, 0, **kw), n))


def test_facts_are_written_as_words():
    facts = {"player": (2, 3), "boxes": [(3, 3), (1, 4)], "held": "key", "doors": {"red": 1}}
    assert describe(facts) == "player 2 3 boxes 3 3 1 4 held key doors red 1"


@pytest.mark.parametrize("format", FORMATS)
def test_a_demonstration_is_well_formed_in_every_format_and_succeeds(format):
    protocol = ChatProtocol(format)
    spec = EpisodeSpec("TextSokoban-v0", protocol=protocol)
    for _, turns in _shown(spec):
        replies = [protocol.parse(reply) for _, reply, _ in turns]
        assert all(r.well_formed for r in replies)
        assert sum(len(r.actions) for r in replies) <= spec.max_actions
        assert turns[-1][2] > 9  # the last turn's reward has the 10 of a solved level


def test_a_prediction_is_what_the_next_turn_observes():
    spec = EpisodeSpec("TextSokoban-v0", protocol=ChatProtocol("world"))
    for _, turns in _shown(spec):
        replies = [spec.protocol.parse(reply).sections for _, reply, _ in turns]
        for a, b in itertools.pairwise(replies):
            assert a["prediction"] == b["observation"]


def test_the_pace_is_even_or_what_the_budget_asks_for():
    spec = EpisodeSpec("TextSokoban-v0")

    def paces(moves_per_turn: int) -> set[int]:
        shown = _shown(spec, 60, moves_per_turn=moves_per_turn)
        # the last turn plays what is left
        return {len(spec.protocol.parse(reply).actions) for _, t in shown for _, reply, _ in t[:-1]}

    assert paces(0) == {2}  # 10 moves in 5 turns
    assert paces(3) == {1, 2, 3}


def test_the_same_seed_demonstrates_the_same():
    spec = EpisodeSpec("TextSokoban-v0")
    assert _shown(spec, moves_per_turn=2) == _shown(spec, moves_per_turn=2)


PUSH_DOWN = "######\n#@   #\n# $  #\n#    #\n# .  #\n######"


def test_subgoals_are_the_pushes_and_where_to_stand_for_the_first():
    env = EpisodeSpec("TextSokoban-v0").make()
    env.reset(options={"level": PUSH_DOWN})
    game: Any = env.unwrapped
    start, plan = game.get_state(), game.solve()
    assert plan == ["right", "down", "down"]
    thoughts: tuple[Thought, ...] = ("subgoals", "facts and subgoals")
    alone, after = (_sections(env, plan, plan[:1], t)["think"] for t in thoughts)
    assert alone == "down down from 1 2"
    assert after == "player 1 1 boxes 2 2 targets 4 2 then down down from 1 2"
    assert game.get_state() == start


def test_where_only_the_player_changes_there_are_no_subgoals():
    env = EpisodeSpec("TextFrozenLake-v0").make()
    env.reset(seed=0)
    game: Any = env.unwrapped
    thoughts: tuple[Thought, ...] = ("facts", "facts and subgoals", "subgoals")
    told = [_sections(env, game.solve(), [], t)["think"] for t in thoughts]
    assert told[0] == told[1]
    assert told[2] == ""


@pytest.mark.parametrize("thought", get_args(Thought))
def test_the_tiny_tokenizer_has_the_words_of_every_thought(thought):
    config = dataclasses.replace(
        preset("starpo_s"), tiny_hidden=32, tiny_layers=1, warmup_thought=thought
    )
    _, tokenizer = start_model(config)
    for _, turns in _shown(config.episodes(), 5, thought=thought):
        for _, reply, _ in turns:
            words = tokenizer.convert_ids_to_tokens(
                tokenizer(reply, add_special_tokens=False)["input_ids"]
            )
            assert not [w for w in words if len(w) == 1 and w.isalpha()]


def test_an_environment_without_an_oracle_is_named():
    with pytest.raises(ValueError, match="warmup_updates=0"):
        _shown(parrot_spec(), 1)


def _corridor(tmp_path, **changes):
    assert tiny_game.CORRIDOR_ID in gym.registry
    return preset(
        "starpo_s",
        run=str(tmp_path / "run"),
        env=tiny_game.CORRIDOR_ID,
        train_args=(),
        eval_args=(),
        system_template="",
        user_template="{observation}",
        format="answer",
        tiny_hidden=32,
        tiny_layers=2,
        max_turns=4,
        max_reply_tokens=24,
        max_tokens=300,
        eval_episodes=64,
        eval_temperature=1.0,
        **changes,
    )


def test_imitation_ends_above_the_random_player(tmp_path):
    config = _corridor(tmp_path)
    policy = Policy(*start_model(config))
    tokens, losses = ChatTokens(policy.tokenizer), []
    imitate(
        policy,
        tokens,
        config.episodes(),
        updates=150,
        batch_size=16,
        lr=3e-3,
        seed=0,
        progress=lambda _, loss: losses.append(loss),
    )
    score, _ = Evaluator(policy, tokens, config).run()
    measured = yardsticks(config)
    assert losses[-1] < 0.3 * losses[0]
    assert score.interval[0] > measured["random"].interval[1]
    assert measured["oracle"].success_rate == 1.0


def test_starpo_ends_above_its_imitation_start(tmp_path):
    """From demonstrations that dawdle: the turns run out before the way does."""
    config = _corridor(
        tmp_path,
        seed=2,
        warmup_updates=50,
        warmup_batch=16,
        warmup_moves=2,
        advantage="grpo",
        grpo_scale="none",
        actor_lr=3e-3,
        groups=16,
        members=8,
        mini_batch=64,
        entropy_coef=0.0,
        iterations=25,
        eval_every=25,
        aggregation="seq-mean-token-mean",
    )
    train(config)
    start, end = RunFolder(config.run).read("evals.jsonl")
    assert end["interval"][0] > start["success"]


def test_a_demonstration_is_encoded_as_the_policy_would_sample_it():
    spec = EpisodeSpec("TextSokoban-v0")
    config = dataclasses.replace(preset("starpo_s"), tiny_hidden=32, tiny_layers=1)
    _, tokenizer = start_model(config)
    tokens = ChatTokens(tokenizer)
    for shown in _shown(spec, 5):
        trajectory = as_trajectory(shown, tokens, spec)
        assert [tokens.decode(t.reply_ids) for t in trajectory.turns] == [r for _, r, _ in shown[1]]
        assert all(t.reply_ids[-1] in tokens.end_ids for t in trajectory.turns)


def test_environments_take_turns_whoever_makes_them():
    """Each process makes its share of the numbers; a demonstration is the same in all of them."""
    names = ("TextSokoban-v0", "TextFrozenLake-v0", "TextBandit-v0")
    specs = [EpisodeSpec(name) for name in names]

    def made(numbers):
        return list(_in_turn(specs, numbers, lambda s, n: demonstrations(s, 5, "facts", 2, n)))

    whole = made(range(12))
    assert made(n for n in range(12) if n % 4 < 2) == [whole[n] for n in (0, 1, 4, 5, 8, 9)]
    for k, spec in enumerate(specs):
        assert whole[k::3] == list(demonstrations(spec, 5, "facts", 2, range(4)))
