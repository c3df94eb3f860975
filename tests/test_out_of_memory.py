"""A run that gets no more memory ends with what to change, and can go on."""

import json
import sys

import pytest
import torch
from processes import run_python
from starpo_kit import small_policy

from starpo_plugin.checkpoint import checkpoints
from starpo_plugin.config import TrainConfig
from starpo_plugin.out_of_memory import OutOfMemory, is_shortage, memory_for

REMEDY = ("--micro-batch-tokens", "600", "--gradient-checkpointing")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is Linux's")
def test_a_run_short_of_memory_says_where_and_what_to_change_and_goes_on(tmp_path):
    program = f"{__file__.rpartition('/')[0]}/short_of_memory.py"
    # freed memory goes back at once, so that a limit means the same in each of the runs
    done = run_python(program, str(tmp_path), *REMEDY, timeout=600, MALLOC_MMAP_THRESHOLD_="65536")
    begun, update, rollout, evaluation, resumed = map(json.loads, done.stdout.splitlines())
    assert begun == [0, ""]
    for code, error in (update, rollout, evaluation):
        assert code == 1
        assert error.count("\n") == 1
        assert "tried to allocate" in error
        assert "estimated:" in error
    start = {k: tmp_path / k / "checkpoints" / "000000" for k in ("update", "rollout")}
    go_on = f"its last checkpoint is {start['rollout']}: go on from iteration 0 with: starpo train"
    assert "out of memory in the update (32 trajectories of up to" in update[1]
    tokens = int(update[1].split("trajectories of up to ")[1].split()[0]) * 32
    smaller = f"--micro-batch-tokens {tokens // 4} --gradient-checkpointing"
    assert f"{smaller} --lora-rank 32" in update[1]
    assert f"its last checkpoint is {start['update']}" in update[1]
    assert f"starpo train --resume {tmp_path}/update {smaller}\n" in update[1]
    assert "out of memory in the rollout (20 x 20 episodes of up to 300 tokens)" in rollout[1]
    assert f"{go_on} --resume {tmp_path}/rollout --slots 100\n" in rollout[1]
    assert "out of memory in the evaluation (400 episodes" in evaluation[1]
    assert f"--resume {tmp_path}/evaluation --slots 100\n" in evaluation[1]
    assert resumed == [0, ""]
    assert [n for n, _ in checkpoints(tmp_path / "update" / "checkpoints")] == [0, 1]


def test_a_real_allocation_failure_is_one():
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_shortage(failed.value)
    with pytest.raises(MemoryError) as python:
        bytearray(2**60)
    assert is_shortage(python.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OutOfMemory("out of memory", {})])
def test_other_errors_stay_what_they_are(error):
    assert not is_shortage(error)
    with (
        pytest.raises(type(error), match=str(error)),
        memory_for("update", small_policy(), TrainConfig(), "1 row"),
    ):
        raise error


def test_each_stage_names_its_own_options():
    policy, config = small_policy(), TrainConfig(gradient_checkpointing=True, lora_rank=4)
    wanted = {
        "update": "--micro-batch-tokens 4096",
        "rollout": "--slots 32",
        "evaluation": "--slots 32",
        "imitation": "--micro-batch-tokens 4096",
    }
    for stage, flags in wanted.items():
        with (
            pytest.raises(OutOfMemory, match=f"in the {stage} \\(all\\)") as told,
            memory_for(stage, policy, config, "all"),  # pyright: ignore[reportArgumentType]
        ):
            torch.empty(2**60)
        assert told.value.flags == flags


def test_a_micro_batch_is_made_smaller_than_the_batch_that_there_was():
    with (
        pytest.raises(OutOfMemory, match="--micro-batch-tokens 250 "),
        memory_for("update", small_policy(), TrainConfig(), "all", tokens=1000),
    ):
        torch.empty(2**60)


def test_what_a_run_can_go_on_with():
    error = OutOfMemory("", {"micro_batch_tokens": 512, "lora_rank": 8})
    assert (error.flags, error.resumable) == (
        "--micro-batch-tokens 512 --lora-rank 8",
        "--micro-batch-tokens 512",
    )
