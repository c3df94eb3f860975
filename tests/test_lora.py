"""LoRA: what is trained, what is saved, and that the reference and the critic share one model."""

import copy
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from starpo_kit import WORDS, play, rewarded, small_policy
from transformers import AutoModelForCausalLM

from starpo_plugin import checkpoint
from starpo_plugin.__main__ import main
from starpo_plugin.batch import Batch, collate
from starpo_plugin.config import TrainConfig
from starpo_plugin.lora import CRITIC, POLICY, LoraShape
from starpo_plugin.policy import CriticKind, Policy, load_model
from starpo_plugin.presets import preset
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.tiny import TinyShape, tiny_model, tiny_tokenizer
from starpo_plugin.train import train
from starpo_plugin.update import Learner

SHAPE = LoraShape(rank=4, alpha=8.0)
FAST = TrainConfig(actor_lr=1e-2, critic_lr=1e-2, mini_batch=64, max_tokens=400, lora_rank=4)
RUN: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "system_template": "",
    "user_template": "{observation}",
    "tiny_hidden": 32,
    "tiny_layers": 1,
    "groups": 4,
    "members": 4,
    "max_turns": 3,
    "max_reply_tokens": 16,
    "max_tokens": 400,
    "actor_lr": 1e-2,
    "critic_lr": 1e-3,
    "eval_every": 3,
    "eval_episodes": 8,
    "save_every": 2,
    "iterations": 6,
    "lora_rank": 4,
}


def _policy(critic: CriticKind = "none", shape: LoraShape | None = SHAPE, seed: int = 3) -> Policy:
    plain = small_policy(spread=2.0)
    return Policy(plain.model, plain.tokenizer, critic, shape, seed)


def _trained(critic: CriticKind = "none") -> Policy:
    """A policy whose adapters are no longer zero."""
    policy = _policy(critic)
    draws = torch.Generator().manual_seed(7)
    for name in (POLICY, CRITIC):
        for tensor in policy.adapters.tensors(name).values():  # pyright: ignore[reportOptionalMemberAccess]
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=draws))
    return policy


def _batch(policy: Policy) -> Batch:
    return collate(rewarded(play(policy, groups=4, members=3)), pad_id=0)


def _learner(policy: Policy, **changes: Any) -> Learner:
    config = dataclasses.replace(FAST, **changes).check()
    parameters = [*policy.actor_parameters(), *policy.critic_parameters()]
    return Learner(policy, None, config, torch.optim.SGD(parameters, lr=0.1))


def _weights(path: Path) -> dict[str, torch.Tensor]:
    critic = path / "critic.safetensors"
    more = load_file(critic) if critic.exists() else {}
    return {**load_file(path / "adapter_model.safetensors"), **more}


def test_an_untrained_adapter_changes_nothing():
    plain, adapted = small_policy(spread=2.0), _policy()
    batch = _batch(plain)
    with torch.no_grad():
        assert torch.equal(plain(batch).logprobs, adapted(batch).logprobs)


def test_by_hand_an_adapter_adds_its_product_to_the_weights():
    policy = _trained()
    by_hand = small_policy(spread=2.0)
    weights = by_hand.model.state_dict()
    a_and_b = policy.adapters.tensors(POLICY)  # pyright: ignore[reportOptionalMemberAccess]
    with torch.no_grad():
        for key in [k for k in a_and_b if ".lora_A." in k]:
            layer = key.replace(".lora_A.weight", ".weight")
            b = a_and_b[key.replace(".lora_A.", ".lora_B.")]
            weights[layer] += SHAPE.alpha / SHAPE.rank * b @ a_and_b[key]
    batch = _batch(by_hand)
    with torch.no_grad():
        assert torch.allclose(policy(batch).logprobs, by_hand(batch).logprobs, atol=1e-5)
        reference = small_policy(spread=2.0)(batch).logprobs
        assert not torch.allclose(policy(batch).logprobs, reference, atol=1e-2)
        assert torch.equal(policy.reference(batch).logprobs, reference)


def test_the_reference_is_the_model_before_training_and_takes_no_second_copy():
    policy = _policy()
    batch = _batch(policy)
    learner = _learner(policy, advantage="rloo", whiten=False, kl_coef=0.5)
    learner.reference = policy.reference
    first = learner.update(batch, torch.Generator().manual_seed(0))
    second = learner.update(batch, torch.Generator().manual_seed(0))
    assert first["kl_reference"] == 0
    assert second["kl_reference"] != 0
    with torch.no_grad():
        start = small_policy(spread=2.0)(batch).logprobs
        assert torch.equal(policy.reference(batch).logprobs, start)


@pytest.mark.parametrize("critic", ["none", "shared", "separate", "lora"])
def test_only_the_adapters_and_the_critic_learn(critic):
    policy = _policy(critic)
    advantage = "grpo" if critic == "none" else "gae"
    before = copy.deepcopy(policy.state_dict())
    learner = _learner(policy, advantage=advantage, critic="shared" if critic == "none" else critic)
    batch = _batch(policy)
    for _ in range(3):
        metrics = learner.update(batch, torch.Generator().manual_seed(0))
    changed = {k for k, v in policy.state_dict().items() if not torch.equal(before[k], v)}
    assert changed
    assert all("lora_" in k or k.startswith("critic_") for k in changed)
    assert any(f"lora_B.{POLICY}" in k for k in changed)
    assert any(f"lora_B.{CRITIC}" in k for k in changed) == (critic == "lora")
    assert any(k.startswith("critic_body") for k in changed) == (critic == "separate")
    assert ("critic_grad_norm" in metrics) == (critic != "none")


def test_the_value_loss_trains_the_critics_adapter_alone_and_the_policys_loss_the_policys():
    policy = _trained("lora")
    assert policy.critic_head is not None
    torch.nn.init.ones_(policy.critic_head.weight)
    batch = _batch(policy)

    def reached(name: str) -> set[str]:
        policy.zero_grad()
        getattr(policy(batch), name).sum().backward()
        return {
            adapter
            for adapter in (POLICY, CRITIC)
            for p in policy.adapters.parameters(adapter)  # pyright: ignore[reportOptionalMemberAccess]
            if p.grad is not None and bool(p.grad.any())
        }

    assert reached("values") == {CRITIC}
    assert reached("logprobs") == {POLICY}


def test_the_seed_decides_the_adapters_first_weights_and_the_global_generator_nothing():
    torch.manual_seed(1)
    a = _policy(seed=5)
    torch.manual_seed(2)
    drawn = torch.rand(3)
    torch.manual_seed(2)
    b, c = _policy(seed=5), _policy(seed=6)
    assert torch.equal(torch.rand(3), drawn)
    weights = [next(iter(p.actor_parameters())) for p in (a, b, c)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_targets_narrow_the_adapter_and_unknown_ones_are_named():
    policy = _policy(shape=LoraShape(4, 8.0, ("q_proj", "v_proj")))
    layers = {k.split(".lora_")[0].rpartition(".")[2] for k in policy.adapters.tensors(POLICY)}  # pyright: ignore[reportOptionalMemberAccess]
    assert layers == {"q_proj", "v_proj"}
    with pytest.raises(ValueError, match=r"qq_proj.*down_proj.*q_proj"):
        _policy(shape=LoraShape(4, 8.0, ("qq_proj",)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora_rank": -1}, "lora_rank=-1"),
        ({"lora_rank": 4, "lora_alpha": 0.0}, "lora_alpha=0.0"),
        ({"critic": "lora"}, "critic='lora' needs an adapter.*lora_rank"),
        ({"lora_targets": ("q_proj",)}, "lora_targets.*lora_rank"),
    ],
)
def test_contradictory_options_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes).check()


# --- checkpoints ---


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "starpo_ppo", "critic": "lora", "warmup_updates": 2},
        {"name": "starpo_grpo"},
        {"name": "starpo_s", "critic": "separate", "warmup_updates": 2},
    ],
    ids=lambda c: c["name"],
)
def test_a_run_that_stops_and_goes_on_is_the_run_that_did_not(tmp_path, changes):
    whole = preset(**{**RUN, **changes, "run": str(tmp_path / "whole")})
    halves = preset(**{**RUN, **changes, "run": str(tmp_path / "halves")})
    last = train(whole)
    train(dataclasses.replace(halves, iterations=2))
    # a run goes on wherever it was moved
    shutil.move(tmp_path / "halves", tmp_path / "moved")
    resumed = train(dataclasses.replace(halves, run=str(tmp_path / "moved")), resume=True)
    a, b = _weights(last), _weights(resumed)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    ends = [
        {k: v for k, v in RunFolder(path).read("metrics.jsonl")[-1].items() if k != "seconds"}
        for path in (tmp_path / "whole", tmp_path / "moved")
    ]
    assert ends[0] == ends[1]
    start = _weights(RunFolder(whole.run).checkpoints / "000000")
    assert any(not torch.equal(start[k], a[k]) for k in a)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory) -> Path:
    """A model in a folder, as a user has one."""
    folder = tmp_path_factory.mktemp("models") / "base"
    tokenizer = tiny_tokenizer([*WORDS, "P _ O G"], tags=("think", "answer"))
    tiny_model(tokenizer, 0, TinyShape(32, 1, context=512)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PeftModel asks transformers by an old name
def test_a_checkpoint_is_the_adapter_and_the_name_of_its_model(tmp_path, saved_model):
    config = preset("starpo_grpo", **{**RUN, "model": str(saved_model), "iterations": 1})
    last = train(dataclasses.replace(config, run=str(tmp_path / "run")))
    assert not (last / "model.safetensors").exists()
    assert not (last.parent / "base").exists()
    named = json.loads((last / "adapter_config.json").read_text())
    assert named["base_model_name_or_path"] == str(saved_model)
    assert named["target_modules"] == sorted(named["target_modules"])
    # what peft makes of it is what this trainer makes of it
    ours = load_model(str(last))[0]
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(saved_model), last)
    ids = torch.arange(40).unsqueeze(0)
    with torch.no_grad():
        assert torch.allclose(ours(ids).logits, theirs(ids).logits, atol=1e-5)
        plain = AutoModelForCausalLM.from_pretrained(saved_model)(ids).logits
        assert not torch.allclose(ours(ids).logits, plain, atol=1e-5)


def test_an_adapters_checkpoint_begins_another_run(tmp_path, saved_model):
    config = preset("starpo_grpo", **{**RUN, "model": str(saved_model), "iterations": 1})
    first = train(dataclasses.replace(config, run=str(tmp_path / "first")))
    config = dataclasses.replace(config, model=str(first))
    second = train(dataclasses.replace(config, run=str(tmp_path / "second")))
    # its base is the first run's result, which is whole nowhere else
    base = load_model(str(second.parent / "base"))[0]
    expected = load_model(str(first))[0]
    for a, b in zip(base.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)
    full = dataclasses.replace(config, lora_rank=0, run=str(tmp_path / "full"))
    assert (train(full) / "model.safetensors").exists()


def test_a_run_with_adapters_is_played_and_measured(tmp_path, capsys):
    config = preset("starpo_s", **{**RUN, "iterations": 1, "run": str(tmp_path / "run")})
    last = train(config)
    assert main(["play", config.run, "--device", "cpu"]) == 0
    assert "return" in capsys.readouterr().out
    assert main(["eval", str(last), "--episodes", "4", "--device", "cpu"]) == 0
    assert "oracle" in capsys.readouterr().out


def test_another_rank_than_the_saved_one_is_named(tmp_path):
    config = preset("starpo_grpo", **{**RUN, "iterations": 1, "run": str(tmp_path / "run")})
    train(config)
    other = dataclasses.replace(config, lora_rank=8, iterations=2)
    with pytest.raises(ValueError, match="another rank"):
        train(other, resume=True)
    assert [n for n, _ in checkpoint.checkpoints(RunFolder(config.run).checkpoints)] == [0, 1]
