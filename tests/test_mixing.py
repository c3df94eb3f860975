"""Several environments in one run, its curriculum, and evaluation on environments of no run."""

import dataclasses
import json
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from starpo_plugin.__main__ import main
from starpo_plugin.config import TrainConfig, from_dict, to_dict
from starpo_plugin.curriculum import next_stage
from starpo_plugin.evaluate import Evaluator, score_each, yardsticks, yardsticks_each
from starpo_plugin.generalisation import run_rows, widened
from starpo_plugin.mixing import deal, every_spec, parse_env, pooled, shares, specs
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.start import start_model
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.train import select, train
from starpo_plugin.trajectory import Trajectory, Turn
from text_envs.agents import Score

SMALL: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "curriculum": ("size=2", "size=3"),
    "curriculum_window": 2,
    "curriculum_up": 0.0,  # on after every window: what an untaught model reaches is chance
    "envs": ("TextBandit-v0",),
    "env_groups": (2, 1),
    "groups": 3,
    "members": 4,
    "system_template": "",
    "user_template": "{observation}",
    "format": "answer",
    "tiny_hidden": 32,
    "tiny_layers": 1,
    "max_turns": 2,
    "max_reply_tokens": 8,
    "max_tokens": 300,
    "warmup_updates": 8,
    "warmup_batch": 8,
    "actor_lr": 1e-3,
    "eval_every": 6,
    "eval_episodes": 4,
    "save_every": 2,
    "save_rollouts": 0,
    "iterations": 6,
}


def small(**changes: Any) -> TrainConfig:
    return preset("starpo_s", **{**SMALL, **changes})


# --- who plays what ---


def test_an_environment_is_read_with_its_arguments():
    assert parse_env("TextMaze-v0") == ("TextMaze-v0", {})
    assert parse_env("X-v0 size=5 word='a b' name=plain") == (
        "X-v0",
        {"size": 5, "word": "a b", "name": "plain"},
    )
    for wrong in ("X-v0 size", "X-v0 'size=5", ""):
        with pytest.raises(ValueError, match=r"name=value|ID name=value"):
            parse_env(wrong)


@given(st.integers(1, 5), st.integers(0, 20))
def test_groups_are_dealt_evenly_unless_told(k, more):
    config = TrainConfig(groups=k + more, envs=tuple(f"E{n}-v0" for n in range(k - 1)))
    each = shares(config)
    assert sum(each) == config.groups
    assert max(each) - min(each) <= 1
    counts = Counter(spec.env_id for spec in deal(config))
    assert tuple(counts.values()) == each


def test_a_run_of_one_environment_is_what_it_was():
    config = TrainConfig(env_args=("size=5",))
    assert specs(config) == every_spec(config) == [config.episodes()]
    assert deal(config) == [config.episodes()] * config.groups
    assert from_dict(json.loads(json.dumps(to_dict(small())))) == small()


def test_stages_are_over_the_arguments_of_env_and_evaluations_at_the_last():
    config = small(env_args=("size=9", "frozen=0.7"))
    assert [s.task for s in every_spec(config)] == [
        "TextFrozenLake-v0 size=2 frozen=0.7",
        "TextFrozenLake-v0 size=3 frozen=0.7",
        "TextBandit-v0",
    ]
    assert specs(config, 0)[0].env_kwargs == {"size": 2, "frozen": 0.7}
    assert config.episodes() == specs(config)[0] == specs(config, 1)[0]


@pytest.mark.parametrize(
    ("changes", "pieces"),
    [
        ({"env_groups": (2, 2)}, ["env_groups=(2, 2)", "groups=3", "TextBandit-v0"]),
        ({"env_groups": (3,)}, ["env_groups=(3,)", "2 environments"]),
        ({"env_groups": (3, 0)}, ["at least one to each"]),
        ({"groups": 1, "env_groups": ()}, ["groups=1", "2 environments"]),
        ({"envs": ("TextBandit-v0", "TextBandit-v0")}, ["TextBandit-v0 twice"]),
        ({"envs": ("TextBandit-v0 arms",)}, ["'arms'", "name=value"]),
        ({"rules": "Win."}, ["rules='Win.'", "TextBandit-v0"]),
        ({"curriculum_down": 0.5, "curriculum_up": 0.4}, ["down=0.5", "up=0.4"]),
        ({"curriculum_window": 0}, ["curriculum_window=0"]),
        ({"curriculum": ("size",)}, ["'size'", "name=value"]),
        ({"from_data": ("x",)}, ["curriculum", "from_data"]),
    ],
)
def test_what_can_not_work_is_named(changes, pieces):
    with pytest.raises(ValueError, match=r"(?s).") as refused:
        small(**changes).check()
    for piece in pieces:
        assert piece in str(refused.value)


# --- rollouts ---


@pytest.fixture(scope="module")
def player() -> tuple[Policy, ChatTokens]:
    policy = Policy(*start_model(small())).double()
    return policy, ChatTokens(policy.tokenizer)


def test_each_group_plays_what_it_would_alone(player):
    config = small()
    given = deal(config)
    rollouts = Rollouts(*player, given[0], Sampling(8, 300), split="train")
    together = rollouts.run([4, 5, 6], 2, torch.Generator().manual_seed(0), specs=given)
    assert [(t.group, t.env_id) for t in together][::2] == [
        (0, "TextFrozenLake-v0"),
        (1, "TextFrozenLake-v0"),
        (2, "TextBandit-v0"),
    ]
    assert [t.task for t in together] == [spec.task for spec in given for _ in range(2)]
    for spec, seed, group in zip(given, (4, 5, 6), range(3), strict=True):
        env = spec.make(split="train")
        for member in range(2):
            played = together[2 * group + member]
            message, info = env.reset(seed=seed, options={"noise_seed": member})
            assert played.system == info["system"]
            for turn in played.turns:
                assert turn.observation == message
                message, reward, *_ = env.step(turn.reply)
                assert turn.reward == reward
    again = rollouts.run([4, 5, 6], 2, torch.Generator().manual_seed(0), specs=given[::-1])
    assert again[0].task == "TextBandit-v0"


def test_an_evaluation_is_on_each_environments_own_levels(player):
    config = small()
    score, played = Evaluator(*player, config).run()
    each = score_each(played)
    assert {task: s.episodes for task, s in each.items()} == {
        "TextFrozenLake-v0 size=3": 4,
        "TextBandit-v0": 4,
    }
    total = pooled(list(each.values()))
    assert (score.episodes, score.successes) == (total.episodes, total.successes)
    assert score.mean_return == pytest.approx(total.mean_return)
    for alone in (
        small(envs=(), env_groups=()),
        small(env="TextBandit-v0", envs=(), curriculum=()),
    ):
        alone = dataclasses.replace(alone, env_groups=())
        _, same = Evaluator(*player, alone).run()
        theirs = [t for t in played if t.task == alone.episodes().task]
        assert [t.seed for t in same] == [t.seed for t in theirs]
        assert [t.turns[0].observation for t in same] == [t.turns[0].observation for t in theirs]
        assert yardsticks(alone) == yardsticks_each(config)[alone.episodes().task]
    assert yardsticks(config)["random"].episodes == 8


# --- filter ---


def _returned(task: str, group: int, *returns: float) -> list[Trajectory]:
    turns = [(Turn((1,), (2,), (0.0,), "", "", float(r)),) for r in returns]
    return [
        Trajectory(task, 0, group, m, t, False, "truncated", task=task) for m, t in enumerate(turns)
    ]


def test_groups_are_only_compared_within_their_environment():
    played = [
        *_returned("loud", 0, 0, 10),
        *_returned("loud", 1, 0, 9),
        *_returned("quiet", 2, 0, 0.1),
        *_returned("quiet", 3, 0, 0.2),
    ]
    config = TrainConfig(filter="top_k", filter_value=0.5, scale_by_kept="linear")
    kept, scale = select(played, config)
    assert {t.group for t in kept} == {0, 3}
    assert scale == 0.5
    alone, _ = select([dataclasses.replace(t, task="") for t in played], config)
    assert {t.group for t in alone} == {0, 1}


# --- the curriculum ---


def _lines(*pairs: tuple[int, float]) -> list[dict[str, float]]:
    return [{"stage": float(stage), "stage_success": success} for stage, success in pairs]


STAIRS = TrainConfig(
    curriculum=("a=1", "a=2", "a=3"), curriculum_window=2, curriculum_up=0.7, curriculum_down=0.2
)


@pytest.mark.parametrize(
    ("lines", "stage"),
    [
        ([], 0),
        ([(0, 1.0)], 0),  # one iteration is no window
        ([(0, 0.6), (0, 0.8)], 1),
        ([(0, 0.6), (0, 0.7)], 0),
        ([(0, 0.0), (0, 0.6), (0, 0.8)], 1),  # the last ones count
        ([(0, 1.0), (0, 1.0), (1, 1.0)], 1),  # counted anew
        ([(1, 0.9), (1, 0.9)], 2),
        ([(2, 1.0), (2, 1.0)], 2),  # there is no stage after the last
        ([(1, 0.1), (1, 0.2)], 0),
        ([(0, 0.0), (0, 0.0)], 0),
        ([(1, 0.9), (0, 0.9), (1, 0.9)], 1),
    ],
)
def test_the_stage_by_hand(lines, stage):
    assert next_stage(STAIRS, _lines(*lines)) == stage


def test_no_curriculum_has_one_stage():
    assert next_stage(TrainConfig(), [{"success": 1.0}] * 9) == 0


# --- a run ---


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> TrainConfig:
    config = small(run=str(tmp_path_factory.mktemp("runs") / "mixed"))
    train(config)
    return config


def test_a_run_says_how_each_environment_went(run):
    folder = RunFolder(run.run)
    lines = folder.read("metrics.jsonl")
    for line in lines:
        lake = f"TextFrozenLake-v0 size={2 + int(line['stage'])}"
        names = {key.partition("/")[2] for key in line if "/" in key}
        assert names == {lake, "TextBandit-v0"}
        assert line["stage_success"] == line[f"success/{lake}"]
        both = 2 * line[f"success/{lake}"] + line["success/TextBandit-v0"]
        assert line["success"] == pytest.approx(both / 3)
        kept = line[f"kept_groups/{lake}"] + line["kept_groups/TextBandit-v0"]
        assert line["kept_groups"] == kept == 2
    assert [line["stage"] for line in lines] == [0, 0, 1, 1, 1, 1]
    last = folder.read("evals.jsonl")[-1]
    assert set(last["envs"]) == {"TextFrozenLake-v0 size=3", "TextBandit-v0"}
    assert last["episodes"] == 8
    measured = run_rows(folder, "model")
    assert set(measured["TextBandit-v0"]) == {"random", "oracle", "model"}


def test_a_mixed_run_that_stops_and_goes_on_is_the_run_that_did_not(run, tmp_path):
    halves = dataclasses.replace(run, run=str(tmp_path / "halves"))
    train(dataclasses.replace(halves, iterations=3, eval_every=9))
    train(halves, resume=True)

    def numbers(config: TrainConfig) -> list[dict[str, Any]]:
        lines = RunFolder(config.run).read("metrics.jsonl")
        return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]

    assert numbers(halves) == numbers(run)
    one, two = (RunFolder(c.run).read("evals.jsonl")[-1] for c in (halves, run))
    assert one == two


def test_one_table_has_environments_that_were_not_trained_on(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    also = ["--also", "TextFrozenLake-v0 size=4", "TextTowerOfHanoi-v0"]
    assert main(["eval", run.run, "--episodes", "3", *also]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "Text" in line]
    assert [" ".join(w for w in line if "Text" in w or "=" in w) for line in lines] == [
        "TextFrozenLake-v0 size=3",
        "TextBandit-v0",
        "TextFrozenLake-v0 size=4",
        "TextTowerOfHanoi-v0",
    ]
    assert all(line.count("3") == 1 and line[-1].endswith("%") for line in lines)
    assert main(["eval", run.run, "--also", "TextBandit-v0"]) == 2
    assert "TextBandit-v0 twice" in capsys.readouterr().err
    assert main(["eval", run.run, "--server", "http://localhost:1/v1"]) == 2
    assert "--server plays one environment" in capsys.readouterr().err


def test_the_suite_changes_the_game_that_was_trained_on():
    config = TrainConfig(env="TextFrozenLake-v0", env_args=("frozen=0.7", "size=3"))
    assert [s.task for s in specs(widened(config, (), suite=True))] == [
        "TextFrozenLake-v0 frozen=0.7 size=3",
        "TextFrozenLake-v0 frozen=0.7 size=3 symbols=a.hgdw",
        "TextFrozenLake-v0 frozen=0.7 size=6",
        "TextSokoban-v0",
    ]
    for name in ("TextSokoban-v0", "TextFrozenLake-v0"):
        wide = widened(TrainConfig(env=name), ("TextBandit-v0",), suite=True)
        for spec in specs(wide):
            spec.make(split="test").reset(seed=0)
    with pytest.raises(ValueError, match=r"TextMaze-v0.*--also"):
        widened(TrainConfig(env="TextMaze-v0"), (), suite=True)


def test_scores_are_pooled_by_episodes():
    assert pooled([Score(1, 1, 1.0, 2.0), Score(3, 0, 0.0, 6.0)]) == Score(4, 1, 0.25, 5.0)
