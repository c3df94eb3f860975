import _thread
import io
import json
import re
import signal
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from processes import run_python
from rich.console import Console

from starpo_plugin.__main__ import main
from starpo_plugin.config import TrainConfig, from_dict
from starpo_plugin.console import ConsoleWatcher
from starpo_plugin.defaults import train_options
from starpo_plugin.locate import locate
from starpo_plugin.play import Narrator, final_observation, play_yardstick
from starpo_plugin.trajectory import Turn
from text_envs.agents import Score

LAKE = ["--env", "TextFrozenLake-v0", "--env-args", "size=3", "--train-args", "--eval-args"]
SHORT = ["--format", "answer", "--max-turns", "2", "--max-actions", "4", "--max-reply-tokens", "6"]
SMALL = ["--tiny-hidden", "32", "--tiny-layers", "1", "--eval-episodes", "4"]
BATCH = ["--groups", "2", "--members", "2", "--eval-every", "2", "--save-every", "1"]
TINY = [*LAKE, *SHORT, *SMALL, *BATCH, "--device", "cpu"]


def starpo(*argv: object) -> int:
    torch.set_num_threads(1)
    return main([str(a) for a in argv])


def metrics(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run of three iterations."""
    folder = tmp_path_factory.mktemp("runs") / "a run"
    assert starpo("train", *TINY, "--iterations", 3, "--run", folder) == 0
    return folder


# --- what can't work ---


@pytest.mark.parametrize(
    ("argv", "pieces"),
    [
        (["trian"], ["'trian'", "did you mean 'train'"]),
        (["train", "--preset", "starpo_x"], ["'starpo_x'", "starpo_grpo", "mean 'starpo_s'"]),
        (["train", "--env", "TextFrozenLak-v0"], ["'TextFrozenLak-v0'", "TextFrozenLake"]),
        (["train", "--env", "no_such_package:X-v0"], ["no_such_package"]),
        (["train", "--env", "CartPole-v1"], ["CartPole-v1", "'split'"]),
        (["train", "--env-args", "siz=3"], ["'siz'", "size"]),
        (["train", "--env-args", "size"], ["'size'", "name=value"]),
        (["train", "--format", "poem"], ["'poem'", "think"]),
        (["train", "--filter", "top"], ["'top'", "top_k, top_p"]),
        (["train", "--members", "1"], ["members=1", "filter='top_k'"]),
        (["train", "--resume", "no/such/run"], ["no/such/run", "not a run folder"]),
        (["train", "--device", "tpu"], ["'tpu'", "cuda"]),
        (["eval", "./no/such/model"], ["./no/such/model", "no such folder"]),
        (["play"], ["CHECKPOINT_OR_RUN", "--agent oracle"]),
        (["play", "--agent", "oracle", "--video", "x.avi"], ["x.avi", ".mp4 or .gif"]),
        (["play", "--agent", "oracle", "--seed", "-1"], ["--seed -1", "at least 0"]),
        (["eval", "x", "--seed", "-5"], ["--seed -5", "at least 0"]),
        (["report", "no/such/run"], ["no/such/run", "not a run folder"]),
    ],
)
def test_mistakes_are_named_in_one_line(argv, pieces, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert starpo(*argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("starpo: ")
    for piece in pieces:
        assert piece in error
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_an_environment_that_takes_no_split_says_how_to_say_so(capsys):
    class Plain(gym.Env):
        observation_space = action_space = gym.spaces.Text(9)

    gym.register("PlainText-v0", Plain)
    try:
        assert starpo("train", "--env", "PlainText-v0") == 2
    finally:
        gym.registry.pop("PlainText-v0")
    assert "give empty --train-args and --eval-args" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "pieces"),
    [
        (["train", "--actorlr", "1"], ["--actorlr", "--actor-lr FLOAT"]),
        (["train", "--iterations", "many"], ["--iterations", "many"]),
        (["train", "--critic", "big"], ["'big'", "separate"]),
        (["eval"], ["CHECKPOINT_OR_RUN"]),
        (["warmup"], ["--out"]),
    ],
)
def test_options_that_are_not_options(argv, pieces, capsys):
    assert starpo(*argv) == 2
    error = capsys.readouterr().err
    for piece in pieces:
        assert piece in error
    assert "Traceback" not in error


def test_a_wrong_model_leaves_no_run_in_the_way(tmp_path, capsys):
    argv = ["train", *TINY, "--iterations", 1, "--run", tmp_path / "r"]
    assert starpo(*argv, "--model", tmp_path / "none") == 2
    assert "no such folder" in capsys.readouterr().err
    assert starpo(*argv) == 0


def test_a_traceback_is_there_for_who_asks(monkeypatch):
    monkeypatch.setenv("STARPO_TRACEBACK", "1")
    with pytest.raises(ValueError, match="not a run folder"):
        main(["report", "no/such/run"])


# --- train ---


def test_a_run_ends_with_its_table_and_where_things_are(tmp_path, capfd):
    argv = ["--preset", "starpo_grpo", *TINY, "--warmup-updates", 2, "--warmup-batch", 4]
    assert starpo("train", *argv, "--iterations", 2, "--run", tmp_path / "r") == 0
    out, err = capfd.readouterr()
    table = out[out.index("95 % interval") :]
    for agent in ("random", "after imitation", "after StarPO", "oracle"):
        row = next(line for line in table.splitlines() if agent in line)
        assert re.search(r"\d+\.\d%  +\d+\.\d% to \d+\.\d%  +4 ", row)
    for path in ("checkpoints/000002", "report.html"):
        assert f"{tmp_path}/r/{path}" in out
        assert (tmp_path / "r" / path).exists()
    assert err == ""  # no progress bars of others


def test_a_run_that_is_there_is_not_begun_again(run, capsys):
    assert starpo("train", *TINY, "--run", run) == 2
    assert f"--resume {run}" in capsys.readouterr().err


def test_a_run_is_not_a_model(run, tmp_path, capsys):
    assert starpo("train", *TINY, "--model", run, "--run", tmp_path / "r") == 2
    assert (
        f"is the folder of a run: give one of its checkpoints, as {run}" in capsys.readouterr().err
    )


def test_resume_refuses_other_settings_and_names_them(run, capsys):
    assert starpo("train", "--resume", run, "--actor-lr", 1, "--preset", "starpo_s") == 2
    error = capsys.readouterr().err
    assert "--preset, --actor-lr can't be given" in error
    assert starpo("train", "--resume", run, "--iterations", 2) == 2
    assert "--iterations 2 is less than the 3" in capsys.readouterr().err


def test_resume_takes_what_changes_no_result(run):
    argv = ["--micro-batch-tokens", "99", "--gradient-checkpointing", "--compile"]
    config, resumed = train_options(["--resume", str(run), *argv])
    assert resumed
    assert (config.micro_batch_tokens, config.gradient_checkpointing) == (99, True)


def test_a_run_that_is_over_says_so_when_it_is_to_go_on(run, capsys):
    assert starpo("train", "--resume", run) == 0
    assert "all 3 iterations of this run are done; a larger --iterations" in capsys.readouterr().out


def test_without_the_extra_the_command_names_it(tmp_path):
    (tmp_path / "tyro.py").write_text("raise ImportError(\"No module named 'tyro'\")\n")
    said = run_python("-m", "starpo_plugin", "train", check=False, PYTHONPATH=str(tmp_path))
    assert said.returncode == 2
    assert "pip install 'text-envs[starpo]'" in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_lengthened_run_equals_one_that_was_long_from_the_start(tmp_path, capsys):
    long, short = tmp_path / "long", tmp_path / "short"
    assert starpo("train", *TINY, "--iterations", 4, "--run", long) == 0
    assert starpo("train", *TINY, "--iterations", 2, "--run", short) == 0
    assert starpo("train", "--resume", short, "--iterations", 4) == 0
    assert "2 of them done" in capsys.readouterr().out
    assert metrics(short) == metrics(long)
    assert from_dict(json.loads((short / "config.json").read_text())).iterations == 4


@pytest.mark.usefixtures("obeys_ctrl_c")
def test_ctrl_c_says_how_to_go_on_and_that_works(tmp_path, capsys):
    folder = tmp_path / "r"

    def interrupt() -> None:
        while not any((folder / "checkpoints").glob("00000[2-9]")):
            time.sleep(0.005)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    assert starpo("train", *TINY, "--iterations", 20, "--run", folder) == 130
    thread.join()
    error = capsys.readouterr().err
    found = re.search(r"go on from iteration (\d+) with: (starpo train --resume .*)", error)
    assert found
    assert 2 <= int(found[1]) < 20
    again = found[2].split()[1:]
    assert starpo(*again) == 0
    assert [m["iteration"] for m in metrics(folder)] == list(range(1, 21))


def test_a_run_that_diverges_stops_with_a_way_out(tmp_path, capsys):
    argv = ["--actor-lr", "1e30", "--updates-per-batch", 4]
    argv += ["--max-bad-updates", 1, "--filter", "none", "--iterations", 5]
    assert starpo("train", *TINY, *argv, "--run", tmp_path / "r") == 1
    error = capsys.readouterr().err
    assert "not finite" in error
    assert f"--model {tmp_path}/r/checkpoints/000000 --actor-lr 3e+29 --run OTHER" in error


def test_a_checkpoint_that_cannot_be_written(tmp_path, capsys):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "checkpoints").write_text("in the way")
    assert starpo("train", *TINY, "--run", folder) == 1
    error = capsys.readouterr().err
    assert "can't be written" in error
    assert f"starpo train --resume {folder}" in error


# --- warmup, eval, play, report ---


def test_warmup_writes_a_model_that_train_and_eval_take(tmp_path, capsys):
    out = tmp_path / "model"
    argv = ["--out", out, *LAKE, *SHORT, *SMALL, "--warmup-updates", 2, "--warmup-batch", 4]
    assert starpo("warmup", *argv) == 0
    assert "after imitation" in capsys.readouterr().out
    assert starpo("warmup", *argv) == 2
    assert "already" in capsys.readouterr().err
    assert locate(str(out)).env_args == ("size=3",)
    assert starpo("eval", out, "--episodes", 3) == 0
    table = capsys.readouterr().out
    assert "TextFrozenLake-v0 size=3, 3 episodes" in table
    argv = ["--model", out, "--iterations", 1, "--run", tmp_path / "r"]
    assert starpo("train", *TINY, *argv) == 0
    assert "before training" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="file-size limits are POSIX")
def test_a_model_that_cannot_be_written_is_not_there_in_part(tmp_path, capsys):
    """On a full disk, as a limit on the size of files is one."""
    import resource

    argv = [*LAKE, *SHORT, *SMALL, "--warmup-updates", 1, "--warmup-batch", 4]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        code = starpo("warmup", "--out", tmp_path / "model", *argv)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    assert f"model {tmp_path}/model can't be written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_eval_stands_between_the_yardsticks(run, capsys):
    assert starpo("eval", run, "--episodes", 5, "--temperature", 0) == 0
    first = capsys.readouterr().out
    rows = [line.split()[0] for line in first.splitlines() if re.search(r"%  +5 ", line)]
    assert rows == ["random", "model", "oracle"]
    assert starpo("eval", run / "checkpoints" / "000003", "--episodes", 5, "--temperature", 0) == 0
    assert capsys.readouterr().out.splitlines()[-5:] == first.splitlines()[-5:]


def test_eval_on_another_environment_drops_the_old_arguments(run, capsys):
    assert starpo("eval", run, "--env", "TextBandit-v0", "--episodes", 3, "--seed", 5) == 0
    assert "TextBandit-v0, 3 episodes\n" in re.sub(" +\n", "\n", capsys.readouterr().out)


def test_play_tells_an_episode_the_same_way_twice(run, capsys):
    told = []
    for _ in range(2):
        assert starpo("play", run, "--seed", 7) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    for words in ("turn 1", "Turn 1 of 2. Moves left: 4.", "played: ", "reward: ", "seed 7"):
        assert words in told[0]


def test_the_oracle_can_be_watched(capsys):
    lake = ["--env", "TextFrozenLake-v0", "--env-args", "size=3", "--format", "answer"]
    assert starpo("play", "--agent", "oracle", *lake, "--seed", 3) == 0
    out = capsys.readouterr().out
    assert "success: return +1.00" in out
    assert "√" in out[out.index("end ─") :]  # the end is shown, not the last board but one


def test_an_episode_becomes_a_video(run, tmp_path, capsys):
    pytest.importorskip("pygame")
    pytest.importorskip("imageio")
    assert starpo("play", run, "--video", tmp_path / "e.gif") == 0
    assert (tmp_path / "e.gif").read_bytes()[:4] == b"GIF8"
    capsys.readouterr()
    assert starpo("play", run, "--video", tmp_path / "none" / "e.gif") == 2
    said = capsys.readouterr()
    assert "there is no folder" in said.err
    assert said.out == ""  # said before the episode, not after it


def test_a_video_without_the_extra(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "renderers.video", None)
    assert starpo("play", run, "--video", "e.gif") == 2
    assert "pip install 'text-envs[render]'" in capsys.readouterr().err


def test_report_by_command(run, tmp_path, capsys):
    assert starpo("report", run) == 0
    assert capsys.readouterr().out == f"{run}/report.html\n"
    assert starpo("report", run, "--out", tmp_path / "p.html") == 0
    assert (tmp_path / "p.html").read_text().startswith("<!doctype html>")


def test_locate_knows_runs_checkpoints_and_models(run, tmp_path):
    last = run / "checkpoints" / "000003"
    assert locate(str(run)).model == str(last)
    assert locate(str(last)).env == "TextFrozenLake-v0"
    assert locate(str(last)).model == str(last)
    assert locate("some/model") == TrainConfig(model="some/model")
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')  # of older tokenizers
    assert locate(str(tmp_path)) == TrainConfig(model=str(tmp_path))
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    with pytest.raises(ValueError, match="no checkpoint yet"):
        locate(str(tmp_path))


# --- console ---


def watched(terminal: bool, steps: int = 1000, done: int = 0) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120, highlight=False)
    with ConsoleWatcher(console) as watcher:
        watcher.stage("learning", steps, done)
        for step in range(done + 1, steps + 1):
            watcher.episodes(1, 2)
            watcher.step(step, f"loss {step}")
            watcher.episodes(2, 2)
        watcher.evaluated("end", Score(100, 57, 1.25, 8.0))
    return file.getvalue()


def test_a_log_gets_a_line_every_twentieth_and_every_evaluation():
    lines = watched(terminal=False).splitlines()
    assert lines[0] == "learning: 1000 steps"
    assert len([line for line in lines if line.startswith("learning ")]) == 20
    assert "1000/1000" in lines[-2]
    assert "loss 1000" in lines[-2]
    assert "success 57.0% (95 %: 47.2% to 66.3%), return 1.25, 100 episodes" in lines[-1]


def test_a_resumed_stage_counts_from_where_it_is():
    lines = watched(terminal=False, steps=100, done=90).splitlines()
    assert lines[0] == "learning: 100 steps, 90 of them done"
    assert [line.split()[1] for line in lines[1:-1]] == ["95/100", "100/100"]


def test_a_terminal_gets_a_bar():
    text = watched(terminal=True, steps=5)
    assert "━" in text
    assert "learning 5/5" in text
    assert "success 57.0%" in text


def test_what_a_model_writes_cannot_move_the_cursor():
    file = io.StringIO()
    config = TrainConfig(format="answer")
    info = {"actions": ("[red]\x1b[2J",), "action_is_valid": True}
    turn = Turn((), (), (), "board\x1b]0;title\x07", "\x1b[31m[bold]no\x9b", -0.1, info)
    Narrator(Console(file=file, width=100), config).turn(turn)
    assert not set(file.getvalue()) & {"\x1b", "\x07", "\x9b"}
    assert "[bold]no" in file.getvalue()


def test_yardsticks_play_as_many_moves_a_turn_as_the_budget_asks_for():
    config = TrainConfig(env="TextSokoban-v0", max_turns=5, max_actions=10)
    turns: list[Turn] = []
    played = play_yardstick(config, "random", 3, turns.append)
    assert list(played.turns) == turns
    assert [len(t.info["actions"]) for t in turns[:-1]] == [2] * (len(turns) - 1)
    assert final_observation(config, played)
