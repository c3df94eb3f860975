"""Interrupted runs: that going on changes nothing, and what a full disk leaves behind; those that
are killed are in ``test_kill.py``.
"""

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from starpo_plugin import checkpoint
from starpo_plugin.checkpoint import CheckpointError, UnreadableCheckpoint, checkpoints
from starpo_plugin.config import TrainConfig
from starpo_plugin.presets import preset
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.train import train

SMALL: dict[str, Any] = {
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
    "warmup_updates": 4,
    "actor_lr": 1e-3,
    "critic_lr": 1e-3,
    "eval_every": 3,
    "eval_episodes": 8,
    "save_every": 2,
    "iterations": 6,
}


def _config(run: Path, name: str = "starpo_s", **changes: Any) -> TrainConfig:
    return preset(name, run=str(run), **{**SMALL, **changes})


def _numbers(run: Path) -> list[dict[str, Any]]:
    """All that a run wrote down but the clock."""
    folder = RunFolder(run)
    lines = [r for name in ("metrics", "evals", "samples") for r in folder.read(f"{name}.jsonl")]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in lines]


def _weights(path: Path) -> dict[str, torch.Tensor]:
    critic = path / "critic.safetensors"
    more = load_file(critic) if critic.exists() else {}
    return {**load_file(path / "model.safetensors"), **more}


TRICO: dict[str, Any] = {
    "advantage_sections": ("answer", "tags"),
    "loss_sections": ("think", "answer", "tags"),
    "bootstrap_truncated": True,
    "length_penalty": 0.01,
    "importance_cap": 2.0,
}


@pytest.mark.parametrize(
    ("name", "changes"),
    [("starpo_ppo", {}), ("starpo_grpo", {}), ("starpo_s", {}), ("trico", TRICO)],
)
def test_a_run_that_stops_and_goes_on_is_the_run_that_did_not(tmp_path, name, changes):
    whole = _config(tmp_path / "whole", name, **changes)
    halves = _config(tmp_path / "halves", name, **changes)
    last = train(whole)
    train(dataclasses.replace(halves, iterations=2))
    resumed = train(halves, resume=True)
    # the shorter run evaluates at its end, the longer one does not evaluate there
    assert [r for r in _numbers(tmp_path / "halves") if r["iteration"] != 2] == [
        r for r in _numbers(tmp_path / "whole") if r["iteration"] != 2
    ]
    figures = [RunFolder(run).token_files() for run in (whole.run, halves.run)]
    assert set(figures[0]) == {3, 6}
    assert all(figures[1][i].read_bytes() == p.read_bytes() for i, p in figures[0].items())
    a, b = _weights(last), _weights(resumed)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_lines_that_a_kill_cut_short_are_written_again(tmp_path):
    config = _config(tmp_path / "run", iterations=3)
    train(config)
    path = Path(config.run) / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-20])
    assert [r["iteration"] for r in RunFolder(config.run).read("metrics.jsonl")] == [1, 2]
    RunFolder(config.run).forget_after(1)
    assert [r["iteration"] for r in RunFolder(config.run).read("metrics.jsonl")] == [1]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="file-size limits are POSIX")
def test_a_full_disk_leaves_the_last_checkpoint_and_says_what_to_do(tmp_path):
    """A limit on file sizes fails a write as a full disk does, in the middle of a file."""
    import resource

    config = _config(tmp_path / "run", iterations=2, tiny_hidden=64)
    train(config)
    before = _weights(RunFolder(config.run).checkpoints / "000002")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"000004.*free space.*--resume.*000002"):
            train(dataclasses.replace(config, iterations=4), resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    names = sorted(os.listdir(RunFolder(config.run).checkpoints))
    assert names == ["000000", "000002"]
    after = _weights(RunFolder(config.run).checkpoints / "000002")
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert train(dataclasses.replace(config, iterations=4), resume=True).name == "000004"


def test_old_checkpoints_go_but_the_start_and_the_newest_stay(tmp_path):
    config = _config(tmp_path / "run", save_every=1, keep=2)
    train(config)
    kept = [n for n, _ in checkpoint.checkpoints(RunFolder(config.run).checkpoints)]
    assert kept == [0, 5, 6]


def test_another_version_is_refused(tmp_path):
    config = _config(tmp_path / "run", iterations=1)
    last = train(config)
    (last / "state.json").write_text('{"version": 99}')
    with pytest.raises(UnreadableCheckpoint, match="version 99"):
        train(dataclasses.replace(config, iterations=2), resume=True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> tuple[TrainConfig, Path]:
    """A run of one iteration, and its last checkpoint."""
    config = _config(tmp_path_factory.mktemp("begun") / "run", "starpo_ppo", iterations=1)
    return config, train(config)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\xff\xfegarbage" * 99, b"[1]"])
@pytest.mark.parametrize("name", ["state.json", "optimizer.pt", "model.safetensors", "critic"])
def test_a_damaged_checkpoint_is_named_and_the_run_goes_on_without_it(begun, name, content):
    config, last = begun
    (path,) = last.glob(f"{name}*")
    whole = path.read_bytes()
    path.write_bytes(content)
    before = last.with_name("000000")
    with pytest.raises(UnreadableCheckpoint, match=rf"{last} can't be read.*goes on from {before}"):
        train(dataclasses.replace(config, iterations=2), resume=True)
    path.write_bytes(whole)


def test_what_is_said_of_a_damaged_checkpoint_works(begun, tmp_path):
    config, last = begun
    last.rename(tmp_path / "elsewhere")
    train(config, resume=True)
    assert [n for n, _ in checkpoints(last.parent)] == [0, 1]


def test_a_run_that_is_being_trained_is_left_alone(tmp_path):
    config = _config(tmp_path / "run", iterations=1)
    folder = RunFolder(config.run)
    with folder.held():
        for resume in (False, True):
            with pytest.raises(ValueError, match=f"another process is training.*{folder.path}"):
                train(config, resume=resume)
        assert list(folder.path.iterdir()) == []
    train(config)


def test_the_config_of_a_model_is_not_written_over(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "qwen3"}')
    with pytest.raises(ValueError, match=r"config\.json that is no run's"):
        train(_config(tmp_path, iterations=1))
    assert path.read_text() == '{"model_type": "qwen3"}'


def test_filtered_out_batches_do_not_stop_evaluation_and_checkpoints(tmp_path):
    """No reply ends in time, every member of a group earns the same, drop_zero keeps nothing."""
    config = _config(
        tmp_path / "run", filter="drop_zero", max_reply_tokens=1, max_turns=1, warmup_updates=0
    )
    last = train(config)
    records = RunFolder(config.run).read("metrics.jsonl")
    assert {r["kept_groups"] for r in records} == {0.0}
    assert len(RunFolder(config.run).read("evals.jsonl")) == 3
    start = _weights(RunFolder(config.run).checkpoints / "000000")
    assert all(torch.equal(v, _weights(last)[k]) for k, v in start.items())


@pytest.mark.parametrize("max_tokens", [45, 20])  # room for a prompt or two, and for none
def test_a_context_that_is_always_full_ends_every_episode_and_the_run_goes_on(tmp_path, max_tokens):
    config = _config(tmp_path / "run", max_tokens=max_tokens, warmup_updates=0)
    train(config)
    records = RunFolder(config.run).read("metrics.jsonl")
    assert len(records) == config.iterations
    assert all(r["out_of_tokens"] > 0 for r in records)
