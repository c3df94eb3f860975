"""Where metrics are shown besides the run's folder: TensorBoard, wandb, trackio, nothing."""

import json
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from processes import run_python

from starpo_plugin.config import TrainConfig
from starpo_plugin.presets import preset
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.train import train

SMALL: dict[str, Any] = {
    "env": "TextBandit-v0",
    "device": "cpu",
    "tiny_hidden": 16,
    "tiny_layers": 1,
    "groups": 2,
    "members": 2,
    "max_turns": 1,
    "max_reply_tokens": 4,
    "eval_episodes": 2,
    "iterations": 1,
    "save_rollouts": 0,
}


def _config(run: Path, tracker: str, **changes: Any) -> TrainConfig:
    return preset("starpo_ppo", run=str(run), tracker=tracker, **{**SMALL, **changes})


def test_tensorboard_has_the_numbers_of_the_run(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(_config(tmp_path / "run", "tensorboard"))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    (line,) = RunFolder(tmp_path / "run").read("metrics.jsonl")
    for name in ("success", "grad_norm", "entropy"):
        (shown,) = events.Scalars(name)
        assert (shown.step, shown.value) == (1, pytest.approx(line[name]))
    assert [e.step for e in events.Scalars("eval/success")] == [0, 1]


def test_none_shows_nothing(tmp_path):
    train(_config(tmp_path / "run", "none"))
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert len(RunFolder(tmp_path / "run").read("metrics.jsonl")) == 1


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is an extra: pip install wandb")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(_config(tmp_path / "run", "wandb"))
    (written,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    assert written.stat().st_size > 0
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is an extra: pip install trackio")
def test_trackio_offline(tmp_path):
    """Another run of the same name is another run; one that goes on is the same."""
    program = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from dataclasses import replace; from pathlib import Path\n"
        "from test_trackers import _config, train\n"
        "first, second = (_config(Path(p) / 'run', 'trackio') for p in sys.argv[1:])\n"
        "train(first); train(second); train(replace(second, iterations=3), resume=True)"
    )
    places = [str(tmp_path / name) for name in ("one", "two")]
    stored = tmp_path / "trackio"  # trackio reads where, once, when it is imported
    run_python("-c", program, *places, timeout=300, TRACKIO_DIR=str(stored), HF_HUB_OFFLINE="1")
    with closing(sqlite3.connect(stored / "starpo.db")) as database:
        lines = database.execute("SELECT run_id, run_name, step, metrics FROM metrics").fetchall()
    assert {name for _, name, _, _ in lines} == {"run"}
    shown: dict[str, dict[int, float]] = {}
    for number, _, step, metrics in lines:
        told = json.loads(metrics)
        if "grad_norm" in told:
            shown.setdefault(number, {})[step] = told["grad_norm"]
    written = [RunFolder(Path(p) / "run").read("metrics.jsonl") for p in places]
    assert list(shown.values()) == [{m["iteration"]: m["grad_norm"] for m in w} for w in written]
    assert [list(steps) for steps in shown.values()] == [[1], [1, 2, 3]]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_package_that_is_missing_is_told_before_the_run_begins(tmp_path, name):
    if find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(ValueError, match=rf"{name}.*not installed.*text-envs\[{name}\].*--tracker"):
        train(_config(tmp_path / "run", name))
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="tracker='mlflow' is not one of tensorboard, wandb"):
        _config(tmp_path / "run", "mlflow").check()
