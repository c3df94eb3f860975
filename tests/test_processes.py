"""Runs in two processes, started by accelerate's own launcher: their numbers are those of one.

Both ways of holding the weights are tested on CPUs, over gloo. accelerate shards on GPUs only; what
is read here is its launcher's flags, and what is run is torch's own FSDP2, the code that GPUs take.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from starpo_kit import parrot_spec, small_policy

from starpo_plugin.batch import collate
from starpo_plugin.config import TrainConfig, to_dict
from starpo_plugin.presets import preset
from starpo_plugin.processes import Processes
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.train import train
from starpo_plugin.trajectory import Trajectory, Turn

HERE = Path(__file__).parent
# 3 groups for 2 processes, mini-batches of 4, 4 and 1 rows, several micro-batches in the first two
SMALL: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "system_template": "",
    "user_template": "{observation}",
    "device": "cpu",
    "tiny_hidden": 16,
    "tiny_layers": 2,
    "groups": 3,
    "members": 3,
    "max_turns": 2,
    "max_actions": 4,
    "max_reply_tokens": 12,
    "max_tokens": 300,
    "warmup_updates": 2,
    "warmup_batch": 17,  # with fewer, Muon magnifies rounding
    "length_penalty": 0.05,  # or all would earn the same
    "actor_lr": 1e-3,
    "critic_lr": 1e-3,
    "kl_coef": 0.01,
    "mini_batch": 4,
    "micro_batch_tokens": 100,
    "eval_every": 2,
    "eval_episodes": 5,
    "save_every": 1,
    "save_rollouts": 2,
    "iterations": 2,
    "tracker": "none",
}
SETUPS: dict[str, tuple[bool, dict[str, Any]]] = {
    "replicated": (False, {}),
    "sharded": (True, {}),
    # no imitation: an adapter's first gradients are small beside what Muon makes of rounding
    "sharded_lora": (True, {"lora_rank": 2, "critic": "lora", "warmup_updates": 0}),
}
"""Whether the weights are sharded, and what the config changes."""


def _config(run: Path, **changes: Any) -> TrainConfig:
    return preset("starpo_ppo", run=str(run), **{**SMALL, **changes})


def _launch(*argv: str) -> subprocess.CompletedProcess[str]:
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
    command = [*launch, "--main_process_port", "0", *argv]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of this file, by two processes that are started once."""
    root = tmp_path_factory.mktemp("runs")
    runs = []
    for name, (sharded, changes) in SETUPS.items():
        whole = _config(root / name / "whole", **changes)
        halves = _config(root / name / "halves", **changes)
        runs += [
            (to_dict(whole), False, sharded),
            (to_dict(replace(halves, iterations=1)), False, sharded),
            (to_dict(halves), True, sharded),
        ]
    script = [str(HERE / "train_runs.py"), json.dumps(runs)]
    done = _launch("--use_fsdp", "--fsdp_version", "2", *script)
    assert done.returncode == 0, done.stderr[-5000:]
    return root


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs by one process."""
    root = tmp_path_factory.mktemp("alone")
    for name, (_, changes) in SETUPS.items():
        if name != "sharded":  # the run of "replicated"
            train(_config(root / name, **changes))
    return root


def _numbers(run: Path) -> list[dict[str, Any]]:
    folder = RunFolder(run)
    lines = [r for name in ("metrics", "evals") for r in folder.read(f"{name}.jsonl")]
    return [{k: v for k, v in r.items() if k not in ("seconds", "interval")} for r in lines]


def _weights(run: Path, iteration: int = 2) -> dict[str, torch.Tensor]:
    files = sorted((run / "checkpoints" / f"{iteration:06d}").glob("*.safetensors"))
    return {f"{f.stem}.{k}": t for f in files for k, t in load_file(f).items()}


def _optimizer(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / "000002" / "optimizer.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SETUPS))
def test_two_processes_give_the_numbers_of_one(trained, alone, name):
    one = alone / ("replicated" if name == "sharded" else name)
    two = trained / name / "whole"
    numbers = _numbers(one)
    assert len(numbers) == 4
    for ours, theirs in zip(numbers, _numbers(two), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-3, abs=1e-4)
    assert max(r.get("grad_norm", 0.0) for r in numbers) > 0.01
    start, ours, theirs = _weights(one, 0), _weights(one), _weights(two)
    assert ours.keys() == theirs.keys()
    moved = max(float((ours[k] - start[k]).abs().max()) for k in ours)
    # Adam divides by the gradient's size: where that is rounding error, so is the step
    apart = [float((ours[k] - theirs[k]).norm() / (1e-9 + ours[k].norm())) for k in ours]
    assert moved > 1e-3
    assert max(apart) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SETUPS))
def test_two_processes_that_stop_and_go_on_give_the_same_bits(trained, name):
    whole, halves = trained / name / "whole", trained / name / "halves"
    played = [r for r in _numbers(whole) if r["iteration"] != 1]
    assert [r for r in _numbers(halves) if r["iteration"] != 1] == played
    ours, theirs = _weights(whole), _weights(halves)
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    ours, theirs = _optimizer(whole)["state"], _optimizer(halves)["state"]
    assert all(torch.equal(ours[p][k], theirs[p][k]) for p in ours for k in ours[p])


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SETUPS))
def test_one_process_goes_on_from_what_two_have_saved(trained, name, tmp_path):
    changes = SETUPS[name][1]
    shutil.copytree(trained / name / "whole", tmp_path / "run")
    last = train(_config(tmp_path / "run", iterations=3, **changes), resume=True)
    assert last.name == "000003"
    first, second, third = (_optimizer_step(last.with_name(f"{n:06d}")) for n in (1, 2, 3))
    assert first < second < third


def _optimizer_step(path: Path) -> float:
    saved = torch.load(path / "optimizer.pt", weights_only=True)
    return float(saved["state"][0]["step"])


@pytest.mark.slow
def test_the_command_line_speaks_and_writes_once(tmp_path):
    run = tmp_path / "run"
    options = {"env": "TextBandit-v0", "run": run, "iterations": 1, "groups": 2, "members": 2}
    options |= {"max-turns": 1, "max-reply-tokens": 4, "eval-episodes": 2, "save-rollouts": 1}
    options |= {"tiny-hidden": 16, "tiny-layers": 1, "filter": "none", "device": "cpu"}
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    done = _launch("--multi_gpu", "-m", "starpo_plugin", "train", *given)
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stdout.count("by 2 processes") == 1
    assert done.stdout.count("report.html") == 1
    assert len(RunFolder(run).read("metrics.jsonl")) == 1
    assert len(RunFolder(run).read("evals.jsonl")) == 2
    assert len(list(run.glob("tensorboard/events*"))) == 1
    assert [p.suffix for p in sorted((run / "rollouts").iterdir())] == [".jsonl", ".safetensors"]


class _One(Processes):
    """One of several processes, without the others: what it would do, not what it gets."""

    def __init__(self, index: int, count: int, sharded: bool) -> None:
        self.index, self.count = index, count
        self._fsdp = object() if sharded else None

    def gather(self, own: list[Any]) -> list[Any]:
        return own


def _of_length(tokens: int) -> Trajectory:
    turn = Turn((1,) * tokens, (), (), "", "", 0.0)
    return Trajectory("", 0, 0, 0, (turn,), success=False, end="truncated")


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 2, 5, 16])
@pytest.mark.parametrize("sharded", [False, True])
def test_every_row_is_computed_once_and_no_process_waits_in_vain(count, rows, sharded):
    lengths = torch.randint(1, 50, (rows,), generator=torch.Generator().manual_seed(rows))
    batch = collate([_of_length(n) for n in lengths.tolist()], pad_id=0)
    shares = [_One(i, count, sharded).micro_batches(batch, 60) for i in range(count)]
    computed = [row for share in shares for picked, weight in share if weight for row in picked]
    assert sorted(int(row) for row in computed) == list(range(rows))
    assert all(len(share) > 0 for share in shares)
    if sharded:
        assert len({len(share) for share in shares}) == 1
    for picked, _ in (batch for share in shares for batch in share):
        assert len(picked) == 1 or len(picked) * int(lengths[picked].max()) <= 60


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [0, 1, 3, 8])
def test_parts_in_order_of_process_are_the_whole(count, size):
    parts = [_One(i, count, False).part(size) for i in range(count)]
    assert [i for part in parts for i in part] == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_episode_is_the_same_in_whichever_process_it_is_played(count):
    """With more processes than groups, some play none."""
    policy = small_policy(spread=4.0)
    spec = parrot_spec()

    def played(processes: Processes) -> list[Trajectory]:
        rollouts = Rollouts(
            policy, ChatTokens(policy.tokenizer), spec, Sampling(8, 200), processes=processes
        )
        return rollouts.run(range(3), 2, torch.Generator().manual_seed(5))

    shares = [t for i in range(count) for t in played(_One(i, count, False))]
    whole = played(Processes())
    assert [(t.group, t.member, t.seed) for t in shares] == [
        (t.group, t.member, t.seed) for t in whole
    ]
    replies = [[k.reply_ids for k in t.turns] for t in whole]
    assert [[k.reply_ids for k in t.turns] for t in shares] == replies
    assert len({str(r) for r in replies}) == len(replies)
