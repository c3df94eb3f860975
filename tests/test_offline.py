"""Offline: what a run stores, and training on what another one stored."""

import copy
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from starpo_kit import play, rewarded, small_policy

from starpo_plugin import trajectory_file
from starpo_plugin.config import TrainConfig
from starpo_plugin.offline import StoredData, open_data
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.rollout import TURN_INFO
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.train import train
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.trajectory_file import Origin, read, read_stored, vocabulary_of

SMALL: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "system_template": "",
    "user_template": "{observation}",
    "format": "answer",
    "tiny_hidden": 32,
    "tiny_layers": 1,
    "groups": 3,
    "members": 4,
    "max_turns": 3,
    "max_reply_tokens": 12,
    "max_tokens": 300,
    "warmup_updates": 15,
    "actor_lr": 1e-3,
    "critic_lr": 1e-3,
    "eval_every": 4,
    "eval_episodes": 4,
    "save_every": 1,
    "keep": 9,
    "save_rollouts": 1,
    "iterations": 3,
    "device": "cpu",
}


def config_of(run: Path, name: str = "starpo_s", **changes: Any) -> TrainConfig:
    return preset(name, run=str(run), **{**SMALL, **changes})


def weights(path: Path) -> dict[str, torch.Tensor]:
    critic = path / "critic.safetensors"
    more = load_file(critic) if critic.exists() else {}
    return {**load_file(path / "model.safetensors"), **more}


def assert_same_weights(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def metrics(run: str | Path) -> list[dict[str, Any]]:
    lines = RunFolder(run).read("metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def online(tmp_path_factory) -> Path:
    """A run of three iterations that stored each of them, with ratios to the sampler's."""
    run = tmp_path_factory.mktemp("runs") / "online"
    train(config_of(run, old_logprobs="sampler"))
    return run


# --- what a run stores ---


def test_a_run_stores_what_it_played(online):
    folder = RunFolder(online)
    files = trajectory_file.find(online)
    assert [p.stem for p in files] == ["000001", "000002", "000003"]
    for path, line in zip(files, metrics(online), strict=True):
        stored = read_stored(path)
        assert stored.origin.iteration == line["iteration"]
        assert stored.origin.env_kwargs == {"split": "train"}
        assert stored.origin.config == dataclasses.asdict(folder.config())
        played = stored.trajectories
        assert len(played) == 12
        assert sum(t.total_reward for t in played) / 12 == pytest.approx(line["return"])
        assert sum(len(k.reply_ids) for t in played for k in t.turns) == line["tokens"]


@pytest.mark.parametrize(("every", "wanted"), [(0, []), (2, [2, 3]), (5, [3])])
def test_how_often_a_run_stores(tmp_path, every, wanted):
    run = tmp_path / "run"
    train(config_of(run, save_rollouts=every, groups=2, members=2, warmup_updates=0))
    assert sorted(int(p.stem) for p in run.glob("rollouts/*.safetensors")) == wanted


def test_a_resumed_run_stores_the_same(online, tmp_path):
    """What was stored after the last checkpoint is dropped, and played and stored again."""
    run = tmp_path / "online"
    shutil.copytree(online, run)
    shutil.rmtree(run / "checkpoints" / "000003")
    shutil.rmtree(run / "checkpoints" / "000002")
    RunFolder(run).write_config(
        config := dataclasses.replace(config_of(run), old_logprobs="sampler")
    )
    RunFolder(run).forget_after(1)
    assert [p.stem for p in trajectory_file.find(run)] == ["000001"]
    train(config, resume=True)
    for one, other in zip(trajectory_file.find(run), trajectory_file.find(online), strict=True):
        assert read(one) == read(other)


# --- offline ---


@pytest.mark.parametrize("name", ["starpo_s", "starpo_grpo", "starpo_ppo"])
def test_training_on_a_stored_batch_is_training_on_the_batch(tmp_path, name):
    """Bit for bit, up to the first update: then the online run plays with its new weights."""
    kl: dict[str, Any] = {"kl": "k1", "kl_in": "reward", "kl_coef": 0.01}
    on = config_of(tmp_path / "on", name, old_logprobs="sampler", iterations=1, **kl)
    train(on)
    off = dataclasses.replace(
        on, run=str(tmp_path / "off"), from_data=(str(tmp_path / "on"),), old_logprobs="recomputed"
    )
    train(off)
    assert_same_weights(*(tmp_path / n / "checkpoints" / "000001" for n in ("on", "off")))
    assert metrics(on.run) == metrics(off.run)
    moved = weights(tmp_path / "off" / "checkpoints" / "000000")
    after = weights(tmp_path / "off" / "checkpoints" / "000001")
    assert any(not torch.equal(moved[k], after[k]) for k in moved)
    assert not (tmp_path / "off" / "rollouts").exists()


def offline(online: Path, run: Path, **changes: Any) -> TrainConfig:
    """Four iterations of two groups: the nine groups of the data are not all used."""
    start = str(online / "checkpoints" / "000000")
    mine = {"model": start, "warmup_updates": 0, "groups": 2, "iterations": 4}
    return config_of(run, **{**mine, "from_data": (str(online),), **changes})


def test_a_resumed_run_goes_on_with_the_data_of_its_turn(online, tmp_path):
    whole, halves = (offline(online, tmp_path / name) for name in ("whole", "halves"))
    train(whole)
    train(dataclasses.replace(halves, iterations=2))
    # another file in the folder comes too late for a run that has begun
    extra = shutil.copytree(online, tmp_path / "copy")
    late = dataclasses.replace(halves, from_data=(str(online), str(extra)))
    train(late, resume=True)
    assert metrics(whole.run) == metrics(halves.run)
    assert_same_weights(*(tmp_path / n / "checkpoints" / "000004" for n in ("whole", "halves")))


def test_data_that_change_under_a_run_are_refused(online, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(online / "rollouts", data)
    config = offline(online, tmp_path / "run", from_data=(str(data),), iterations=1)
    train(config)
    stored = read_stored(data / "000002")
    trajectory_file.write(data / "000002", stored.trajectories[:4], stored.origin)
    longer = dataclasses.replace(config, iterations=2)
    with pytest.raises(ValueError, match=r"000002\.safetensors is not what it was.*put the old"):
        train(longer, resume=True)
    (data / "000002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"there is no .*000002\.safetensors"):
        train(longer, resume=True)


def test_the_data_of_another_policy_are_off_policy(online, tmp_path):
    """Ratios are taken to the policy that played, and no pass over the batch has been made yet."""
    later = offline(online, tmp_path / "run", iterations=1, actor_lr=0.0, critic_lr=0.0)
    later = dataclasses.replace(later, model=str(online / "checkpoints" / "000003"))
    first = trajectory_file.find(online)[0]
    train(dataclasses.replace(later, from_data=(str(first),)))
    (line,) = metrics(later.run)
    assert line["sampler_gap"] > 1e-2
    assert line["kl_k3"] > 1e-6


def test_how_far_the_data_are_from_the_policy_is_no_sign_of_collapse(online, tmp_path):
    colder = offline(online, tmp_path / "run", iterations=1, temperature=0.5)
    train(colder)
    (line,) = metrics(colder.run)
    assert line["kl_k3"] > 0.05
    assert RunFolder(colder.run).read("warnings.jsonl") == []


def test_importance_weights_take_the_place_of_ratios_to_the_sampler(online, tmp_path):
    """Decoupled: the ratio is to the weights before the update, the weight is for the sampler's."""
    later = offline(online, tmp_path / "run", iterations=1, actor_lr=0.0, critic_lr=0.0)
    first = str(trajectory_file.find(online)[0])
    model = str(online / "checkpoints" / "000003")
    train(dataclasses.replace(later, model=model, from_data=(first,), importance_cap=1.5))
    (line,) = metrics(later.run)
    assert line["kl_k3"] == pytest.approx(0.0, abs=1e-6)
    assert line["importance_weight"] != pytest.approx(1.0, abs=1e-4)
    with pytest.raises(ValueError, match=r"importance_cap=1\.5.*old_logprobs=recomputed"):
        dataclasses.replace(later, importance_cap=1.5, old_logprobs="sampler").check()


# --- which groups an iteration takes ---


@pytest.fixture(scope="module")
def policy() -> Policy:
    return small_policy(spread=2.0, critic="shared")


@pytest.fixture(scope="module")
def files(tmp_path_factory, policy) -> list[Path]:
    """Two files whose groups have the same ids: three groups of four, two of three."""
    folder = tmp_path_factory.mktemp("files")
    origin = Origin(vocabulary=vocabulary_of(policy.tokenizer))
    one = rewarded(play(policy, groups=3, members=4))
    two = rewarded(play(policy, groups=2, members=3, seed=1), 1)
    return [
        trajectory_file.write(folder / name, batch, origin)
        for name, batch in (("000001", one), ("000002", two))
    ]


def data_of(files: list[Path], groups: int, seed: int = 0) -> StoredData:
    return StoredData(files, TrainConfig(groups=groups, seed=seed))


def unnumbered(trajectories: list[Trajectory]) -> list[Trajectory]:
    return [dataclasses.replace(t, group=-1) for t in trajectories]


def as_groups(batch: list[Trajectory]) -> list[list[Trajectory]]:
    numbers = [t.group for t in batch]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(len(set(numbers))))
    return [unnumbered([t for t in batch if t.group == n]) for n in dict.fromkeys(numbers)]


def test_groups_stay_whole_and_those_of_two_files_apart(files):
    stored = [g for f in files for g in as_groups(read(f))]
    assert [len(g) for g in stored] == [4, 4, 4, 3, 3]
    assert as_groups(data_of(files, 8).batch(1)) == stored  # all there are, in their order


@pytest.mark.parametrize("a_time", [1, 2, 5])
def test_every_group_comes_once_before_any_comes_again(files, a_time):
    stored = [g for f in files for g in as_groups(read(f))]
    data = data_of(files, a_time)
    dealt = [stored.index(g) for i in range(1, 11) for g in as_groups(data.batch(i))]
    assert [dealt.count(n) for n in range(5)] == [2 * a_time] * 5
    if 5 % a_time == 0:  # else a handful holds the end of one pass and the beginning of the next
        passes = [dealt[k : k + 5] for k in range(0, len(dealt), 5)]
        assert all(sorted(one) == [0, 1, 2, 3, 4] for one in passes)
        assert a_time == 5 or passes[0] != passes[1]


def test_the_order_is_that_of_seed_and_iteration(files):
    ordered = [[t.seed for t in data_of(files, 2).batch(i)] for i in range(1, 6)]
    again = data_of(files, 2)
    assert [[t.seed for t in again.batch(i)] for i in (5, 4, 3, 2, 1)] == ordered[::-1]
    others = [[t.seed for t in data_of(files, 2, seed=1).batch(i)] for i in range(1, 6)]
    assert others != ordered


def test_a_file_that_is_named_twice_counts_once(files):
    assert len(data_of([*files, files[0]], 1)) == 5


# --- what can't be trained on ---


def opened(paths: list[Path]) -> StoredData:
    config = TrainConfig(from_data=tuple(map(str, paths)))
    return open_data(config, RunFolder("no/such/run"), resume=False)


def test_no_data_at_all(tmp_path, files):
    with pytest.raises(ValueError, match=r"there is no .*none"):
        opened([tmp_path / "none"])
    empty = trajectory_file.write(
        tmp_path / "e", [], Origin(vocabulary=read_stored(files[0]).origin.vocabulary)
    )
    with pytest.raises(ValueError, match=r"e\.safetensors are none at all"):
        opened([empty])


def test_data_that_lack_what_training_needs(tmp_path, files, policy):
    origin = read_stored(files[0]).origin
    batch = read(files[0])[:1]
    path = trajectory_file.write(tmp_path / "f", batch)
    what_chat_env_says = {k: batch[0].turns[0].info[k] for k in TURN_INFO}
    with pytest.raises(ValueError, match=r"f\.safetensors does not say which tokenizer"):
        opened([path])
    for change, words in (
        ({"info": {"actions": ()}}, "info lacks success, .*well_formed"),
        ({"info": what_chat_env_says}, "info lacks unclosed, "),
        ({"logprobs": ()}, r"reply tokens and 0 log-probabilities"),
    ):
        turns = tuple(dataclasses.replace(t, **change) for t in batch[0].turns)
        trajectory_file.write(path, [dataclasses.replace(batch[0], turns=turns)], origin)
        with pytest.raises(ValueError, match=rf"f\.safetensors, episode 0: .*{words}"):
            opened([path])


def test_tokenizers_are_told_apart(tmp_path, files, policy):
    origin = read_stored(files[0]).origin
    assert origin.vocabulary is not None
    data_of(files, 1).check(policy)
    for vocabulary, words in (
        (origin.vocabulary._replace(digest="0"), "the model's has as many, but others"),
        (origin.vocabulary._replace(size=7), "of 7 tokens, the model's has"),
    ):
        other = dataclasses.replace(origin, vocabulary=vocabulary, config={"run": "runs/a"})
        path = trajectory_file.write(tmp_path / "other", read(files[1]), other)
        with pytest.raises(ValueError, match=rf"{words}.*--model runs/a/checkpoints/000000"):
            data_of([path], 1).check(policy)
        with pytest.raises(ValueError, match=r"000001\..*other\..* different tokenizers"):
            data_of([files[0], path], 1)


def test_a_tokenizer_is_its_tokens(policy):
    vocabulary = vocabulary_of(policy.tokenizer)
    assert vocabulary == vocabulary_of(copy.deepcopy(policy.tokenizer))
    more = copy.deepcopy(policy.tokenizer)
    more.add_tokens(["<more>"])
    assert vocabulary_of(more).size == vocabulary.size + 1
    assert vocabulary_of(more).digest != vocabulary.digest


def test_tokens_and_lengths_that_the_model_does_not_take(tmp_path, files, policy):
    origin = read_stored(files[0]).origin
    (episode, *_) = read(files[0])
    for turn, words in (
        ({"reply_ids": (10**6,), "logprobs": (0.0,)}, "token 1000000, the model embeds"),
        ({"prompt_ids": (1,) * 2000}, "has .* tokens, the model takes 1024: .*--max-tokens"),
    ):
        turns = (dataclasses.replace(episode.turns[0], **turn),)
        odd = dataclasses.replace(episode, turns=turns)
        path = trajectory_file.write(tmp_path / "odd", [odd], origin)
        with pytest.raises(ValueError, match=words):
            data_of([path], 1).check(policy)


def test_what_does_not_fit_leaves_no_run_in_the_way(online, tmp_path):
    config = offline(online, tmp_path / "run", model="tiny", env="TextBandit-v0", train_args=())
    with pytest.raises(ValueError, match="was made with a tokenizer of"):
        train(dataclasses.replace(config, eval_args=(), user_template="{observation}"))
    assert not list((tmp_path / "run").glob("checkpoints/*"))


# --- the configuration ---


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"old_logprobs": "stored"}, "old_logprobs='stored' is not one of recomputed, sampler"),
        ({"save_rollouts": -1}, "save_rollouts=-1 must be at least 0"),
        (
            {"from_data": ("x",), "turn_reward": "world_model", "format": "world"},
            "turn_reward='world_model' .*stored turns keep",
        ),
        ({"from_data": ("x",), "length_penalty": 0.1}, r"length_penalty=0\.1 .*plays none"),
    ],
)
def test_settings_that_cannot_work(changes, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(**changes).check()


def test_a_config_with_data_goes_through_json(tmp_path):
    config = config_of(tmp_path / "run", from_data=("a", "b"))
    folder = RunFolder(config.run)
    folder.create(config)
    assert folder.config() == config
    assert config.behaviour == "sampler"
    folder.keep_data({"a": "1"})
    assert folder.data() == json.loads((tmp_path / "run" / "data.json").read_text()) == {"a": "1"}
