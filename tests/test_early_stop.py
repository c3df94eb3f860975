"""Runs that come apart: what is written down, and that an early stop leaves a usable checkpoint."""

import contextlib
import dataclasses
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from starpo_plugin.__main__ import main
from starpo_plugin.checkpoint import checkpoints
from starpo_plugin.config import TrainConfig, to_dict
from starpo_plugin.diagnostics import METRICS
from starpo_plugin.locate import locate
from starpo_plugin.play import load_player
from starpo_plugin.presets import preset
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.train import train

# a learning rate that no policy survives: entropy goes within a few updates
ABSURD: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "env_args": ("size=3",),
    "system_template": "",
    "user_template": "{observation}",
    "tiny_hidden": 32,
    "tiny_layers": 1,
    "groups": 4,
    "members": 4,
    "max_turns": 2,
    "max_reply_tokens": 40,
    "max_tokens": 300,
    "warmup_updates": 40,
    "warmup_batch": 16,
    "warmup_lr": 1e-2,
    "actor_lr": 0.03,
    "critic_lr": 1e-3,
    "entropy_coef": 0.0,
    "eval_every": 100,
    "eval_episodes": 4,
    "save_every": 8,
    "iterations": 40,
    "early_stop": True,
    "mi_every": 1,
    "mi_samples": 4,
    "device": "cpu",
}


def config(run: Path, **changes: Any) -> TrainConfig:
    return preset("starpo_grpo", run=str(run), **{**ABSURD, "kl_coef": 0.0, **changes})


def numbers(run: Path) -> list[dict[str, Any]]:
    folder = RunFolder(run)
    names = ("metrics", "evals", "warnings")
    lines = [r for name in names for r in folder.read(f"{name}.jsonl")]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in lines]


def flags(made: TrainConfig) -> list[str]:
    """A config as a command line."""
    found, plain = [], to_dict(preset("starpo_grpo"))
    for name, value in to_dict(made).items():
        if value == plain[name]:
            continue
        flag = "--" + name.replace("_", "-")
        if value is True:
            found.append(flag)
        else:
            values = value if isinstance(value, tuple | list) else [value]
            found += [flag, *(str(v) for v in values)]
    return ["train", "--preset", "starpo_grpo", *found]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> tuple[Path, int, str, str]:
    """A run that stops itself: its folder, exit code, and what it said."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("runs") / "run"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(flags(config(run)))
    return run, code, out.getvalue(), err.getvalue()


def test_a_run_that_stops_itself_says_so(stopped):
    run, code, out, err = stopped
    assert code == 3
    warnings = RunFolder(run).read("warnings.jsonl")
    assert warnings[-1]["stopped"]
    signals = [w["signal"] for w in warnings if w["stopped"]]
    assert RunFolder(run).stopped_for() == signals
    for signal in signals:
        assert signal in err
    assert f"--model {run}/checkpoints/" in err
    assert f"warning, iteration {warnings[-1]['iteration']}: {warnings[-1]['text']}" in out
    assert f"try: {warnings[-1]['remedy']}" in out
    assert "stopping early" in out


def test_it_is_evaluated_and_saved_before_it_stops(stopped):
    run, *_ = stopped
    folder = RunFolder(run)
    last = folder.read("metrics.jsonl")[-1]["iteration"]
    assert 10 < last < ABSURD["iterations"]
    assert folder.read("evals.jsonl")[-1]["iteration"] == last
    saved = folder.checkpoints / f"{last:06d}"
    policy, _ = load_player(dataclasses.replace(locate(str(saved)), model=str(saved)))
    assert all(torch.isfinite(p).all() for p in policy.parameters())


def test_warnings_are_in_the_report_and_on_its_curves(stopped):
    run, *_ = stopped
    page = (run / "report.html").read_text()
    warnings = RunFolder(run).read("warnings.jsonl")
    assert "Signs of collapse" in page
    assert "stopped here" in page
    assert "stopped early" in page
    assert page.count('class="mark" x1=') >= 2 * len(warnings)  # on success, and on its own
    for key in ("mi_per_token", "loss"):
        assert METRICS[key].about in page.replace("&#39;", "'")


def test_every_number_of_a_run_is_explained(stopped):
    run, *_ = stopped
    lines = RunFolder(run).read("metrics.jsonl")
    written = {k for line in lines for k in line} - {"iteration", "seconds"}
    assert written <= METRICS.keys()
    measured = [line for line in lines if "mi" in line]
    assert measured[0]["iteration"] == 1  # later on there are no thoughts left
    assert all("mutual_information" in line["seconds"] for line in measured)


def test_a_resumed_run_warns_and_stops_as_if_it_had_never_been_killed(stopped, tmp_path):
    run, *_ = stopped
    halves = config(tmp_path / "halves")
    train(dataclasses.replace(halves, iterations=8))
    last = train(halves, resume=True)
    assert last.name == f"{RunFolder(run).read('metrics.jsonl')[-1]['iteration']:06d}"
    assert [r for r in numbers(tmp_path / "halves") if r["iteration"] != 8] == [
        r for r in numbers(run) if r["iteration"] != 8
    ]


def copied(run: Path, to: Path, last: int) -> RunFolder:
    """The run as a kill after iteration ``last``'s checkpoint leaves it."""
    shutil.copytree(run, to)
    folder = RunFolder(to)
    for iteration, path in checkpoints(folder.checkpoints):
        if iteration > last:
            shutil.rmtree(path)
    return folder


def test_one_that_goes_on_after_its_stop_is_not_stopped_for_the_same_again(stopped, tmp_path):
    run, *_ = stopped
    done = RunFolder(run).read("metrics.jsonl")[-1]["iteration"]
    folder = copied(run, tmp_path / "copy", done)
    longer = config(folder.path, iterations=done + 1)
    assert train(longer, resume=True).name == f"{done + 1:06d}"
    assert folder.stopped_for() == []
    assert folder.read("warnings.jsonl") == RunFolder(run).read("warnings.jsonl")


@pytest.mark.parametrize("monitor", [True, False])
def test_without_early_stop_nothing_stops_and_watching_changes_nothing(stopped, tmp_path, monitor):
    run, *_ = stopped
    done = RunFolder(run).read("metrics.jsonl")[-1]["iteration"]
    folder = copied(run, tmp_path / "copy", 8)
    watched = config(
        folder.path, iterations=done + 1, early_stop=False, monitor=monitor, mi_every=0
    )
    assert train(watched, resume=True).name == f"{done + 1:06d}"
    warnings = folder.read("warnings.jsonl")
    assert bool(warnings) is monitor
    assert not any(w["stopped"] for w in warnings)
    a, b = (
        [
            {k: v for k, v in r.items() if k != "seconds" and k[:2] != "mi"}
            for r in f.read("metrics.jsonl")
        ]
        for f in (folder, RunFolder(run))
    )
    assert a[:done] == b


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"early_stop": True, "monitor": False}, "early_stop=True .* monitor=True"),
        ({"mi_every": -1}, "mi_every=-1 must be at least 0"),
        ({"mi_every": 5, "mi_samples": 1}, "mi_samples=1 must be at least 2"),
        ({"mi_every": 5, "format": "answer"}, "mi_every=5 .* format='answer' .* mi_every=0"),
        ({"mi_every": 5, "groups": 1}, "groups=1: use at least 2"),
    ],
)
def test_what_can_not_work_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        preset("starpo_grpo", **changes).check()
