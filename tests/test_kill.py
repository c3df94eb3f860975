"""Runs that SIGKILL ends, as ``kill -9`` or a power cut would: going on with ``--resume`` gives the
bits of the run that nothing ended, in every file that it writes.

Both runs have the same name, in folders of their own, so that no file of theirs may differ at all.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
import torch

from starpo_plugin.__main__ import main
from starpo_plugin.checkpoint import checkpoints
from starpo_plugin.config import to_dict
from starpo_plugin.presets import preset

ROOT = Path(__file__).parent.parent
OPTIONS: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "device": "cpu",
    "system-template": "",
    "user-template": "{observation}",
    "tiny-hidden": 32,
    "tiny-layers": 1,
    "groups": 4,
    "members": 3,
    "max-turns": 3,
    "max-reply-tokens": 16,
    "max-tokens": 400,
    "warmup-updates": 4,
    "length-penalty": 0.05,  # or all would earn the same
    "actor-lr": 1e-3,
    "critic-lr": 1e-3,
    "env-threads": 0,  # how long a step takes must make no difference
    "eval-every": 3,
    "eval-episodes": 4,
    "save-every": 2,
    "save-rollouts": 3,
    "iterations": 6,
    "tracker": "none",
}
TRICO: dict[str, Any] = {"advantage-sections": ("answer", "tags"), "bootstrap-truncated": ()}
RUNS: dict[str, dict[str, Any]] = {
    "starpo_s": {"preset": "starpo_s"},
    "starpo_ppo": {"preset": "starpo_ppo"},
    "starpo_grpo": {"preset": "starpo_grpo"},
    "trico": {"preset": "trico", **TRICO},
    "lora": {"preset": "starpo_ppo", "lora-rank": 4, "critic": "lora"},
}
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
APART = ("report.html",)
"""Files that tell how long things took."""
UNLIKE = {
    "config.json": ("run",),
    "metrics.jsonl": ("seconds",),
    "tokenizer_config.json": ("is_local", "local_files_only"),  # of those that were loaded
    "adapter_config.json": ("base_model_name_or_path",),
}
"""What differs in other folders and at other times: file -> fields."""


# --- commands ---


def _argv(**options: Any) -> list[str]:
    given = {"run": "run", **OPTIONS, **options}
    words = {k: v if isinstance(v, tuple) else (v,) for k, v in given.items()}
    return ["train", *(str(w) for name, value in words.items() for w in (f"--{name}", *value))]


def _here(folder: Path, *argv: str) -> Path:
    """Run a command in this process and in a folder; the run that it made or went on with."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(argv) == 0
    return folder / "run"


class Forks:
    """Runs commands in processes of their own, forked from one that has all loaded: that takes
    seconds.
    """

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], env=ENVIRON, stdin=pipe, stdout=pipe, text=True
        )

    def begin(self, folder: Path, *argv: str) -> psutil.Process:
        print(json.dumps([str(folder), argv]), file=self._pipe("stdin"), flush=True)
        return psutil.Process(int(self._pipe("stdout").readline()))

    def exit_code(self) -> int:
        """Wait for the end of the last one."""
        return int(self._pipe("stdout").readline())

    def close(self) -> None:
        self._pipe("stdin").close()
        self._pipe("stdout").close()
        self._server.wait()

    def _pipe(self, name: str) -> IO[str]:
        return getattr(self._server, name)


SERVER = """
import json, os, sys, torch
torch.set_num_threads(1)
import starpo_plugin.report, starpo_plugin.train
from starpo_plugin.__main__ import main
answers, sys.stdout = sys.stdout, open(os.devnull, "w")
for line in sys.stdin:
    folder, argv = json.loads(line)
    if not (process := os.fork()):
        os.chdir(folder)
        os._exit(main(argv))
    print(process, file=answers, flush=True)
    _, status = os.waitpid(process, 0)
    print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
"""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    opened = Forks()
    yield opened
    opened.close()


def _wait(reached: Callable[[], object]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 300
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.001)


def _over(run: Path) -> int:
    """Iterations that are written down."""
    path = run / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def _saved(run: Path) -> list[int]:
    return [number for number, _ in checkpoints(run / "checkpoints")]


# --- what runs have written ---


def _assert_same(ours: Path, theirs: Path) -> None:
    """The same files with the same content, but for what the clock says."""
    names = _files(ours)
    assert names == _files(theirs)
    for name in names:
        one, other = ours / name, theirs / name
        read = _fields if one.name in UNLIKE else Path.read_bytes
        read = _optimizer if one.name == "optimizer.pt" else read
        assert read(one) == read(other), name


def _files(run: Path) -> list[str]:
    found = (str(p.relative_to(run)) for p in run.rglob("*") if p.is_file())
    return sorted(name for name in found if name not in APART)


def _fields(path: Path) -> list[dict[str, Any]]:
    """Lines of JSON, or one value, without ``UNLIKE``; peft writes names in an order by chance."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    return [
        {
            name: sorted(value, key=str) if isinstance(value, list) else value
            for name, value in json.loads(line).items()
            if name not in UNLIKE[path.name]
        }
        for line in lines
    ]


def _optimizer(path: Path) -> dict[str, Any]:
    """What an optimiser has saved, as plain numbers: its bits, not how they were packed."""
    return _plain(torch.load(path, weights_only=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, torch.Tensor) else value


def _trained(run: Path) -> bool:
    """Whether there is anything that could differ: updates that moved weights."""
    last = run / "checkpoints" / f"{OPTIONS['iterations']:06d}" / "optimizer.pt"
    moments = torch.load(last, weights_only=True)["state"].values()
    return any(bool(m["exp_avg"].any()) for m in moments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The runs that nothing ends, each made when it is first asked for."""
    root = tmp_path_factory.mktemp("whole")

    def made(name: str) -> Path:
        if not (root / name).exists():
            _here(root / name, *_argv(**RUNS[name]))
        return root / name / "run"

    return made


# --- tests ---


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n != "starpo_s" else []) for n in RUNS]
)
def test_kill_in_the_middle_and_go_on(tmp_path, forks, whole, name):
    run = tmp_path / "run"
    process = forks.begin(tmp_path, *_argv(**RUNS[name]))
    # after the first checkpoint of the loop, wherever the process then is
    _wait(lambda: _over(run) >= 3)
    process.kill()
    assert forks.exit_code() == -signal.SIGKILL
    assert _saved(run)[:2] == [0, 2]
    _here(tmp_path, "train", "--resume", "run")
    _assert_same(run, whole(name))
    assert _trained(run)


def test_kill_before_there_is_a_checkpoint_and_begin_again(tmp_path, forks, whole):
    run = tmp_path / "run"
    process = forks.begin(tmp_path, *_argv(**RUNS["starpo_s"]))
    _wait((run / "config.json").exists)
    process.kill()
    assert forks.exit_code() == -signal.SIGKILL
    assert _saved(run) == []
    _here(tmp_path, "train", "--resume", "run")
    _assert_same(run, whole("starpo_s"))


def test_kill_while_a_checkpoint_is_written(tmp_path, forks, whole):
    """The process is stopped whenever it seems to write one, until it is caught at it."""
    run = tmp_path / "run"

    def writing() -> list[Path]:
        return [p for p in run.glob("checkpoints/.new-*") if p.name > ".new-000000"]

    process = forks.begin(tmp_path, *_argv(**RUNS["starpo_s"]))
    caught: list[Path] = []
    while not caught:
        process.resume()
        _wait(writing)
        process.suspend()
        _wait(lambda: process.status() == psutil.STATUS_STOPPED)
        caught = writing()
    process.kill()
    assert forks.exit_code() == -signal.SIGKILL
    before = _saved(run)
    assert writing() == caught
    assert f".new-{before[-1]:06d}" < caught[0].name
    _here(tmp_path, "train", "--resume", "run")
    _assert_same(run, whole("starpo_s"))


@pytest.mark.slow
def test_kill_one_of_two_processes_and_go_on(tmp_path):
    """The other one and their launcher then end by themselves."""
    changes = {"device": "cpu", "save_rollouts": 0}  # rollouts name the folder of their run
    options = {name.replace("-", "_"): value for name, value in OPTIONS.items()}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    configs = [
        preset("starpo_ppo", **{**options, **changes, "run": str(r)}) for r in (whole, killed)
    ]
    runs = json.dumps([(to_dict(config), False, False) for config in configs])
    with subprocess.Popen(
        [*LAUNCH, str(ROOT / "tests" / "train_runs.py"), runs], env=ENVIRON
    ) as launcher:
        _wait(lambda: _over(killed) >= 3)
        workers = psutil.Process(launcher.pid).children()
        (second,) = [w for w in workers if w.environ().get("RANK") == "1"]
        second.kill()
        assert launcher.wait(timeout=120) != 0
    assert _over(killed) < OPTIONS["iterations"]
    again = [*LAUNCH, "-m", "starpo_plugin", "train", "--resume", str(killed)]
    subprocess.run(again, env=ENVIRON, check=True, timeout=300)
    _assert_same(killed, whole)
