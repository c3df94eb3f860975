"""``starpo show`` and ``starpo train --from-data``, as they are typed."""

import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from starpo_kit import play, rewarded, small_policy

from starpo_plugin import trajectory_file
from starpo_plugin.__main__ import main
from starpo_plugin.config import TrainConfig, to_dict
from starpo_plugin.show import show_episode, show_list
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.trajectory_file import Origin

LAKE = ["--env", "TextFrozenLake-v0", "--env-args", "size=3", "--train-args", "--eval-args"]
SHORT = ["--format", "answer", "--max-turns", "2", "--max-actions", "4", "--max-reply-tokens", "6"]
SMALL = ["--tiny-hidden", "32", "--tiny-layers", "1", "--eval-episodes", "2", "--device", "cpu"]
BATCH = ["--groups", "2", "--members", "2", "--save-rollouts", "1", "--iterations", "2"]


def starpo(*argv: object) -> int:
    torch.set_num_threads(1)
    return main([str(a) for a in argv])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a run"
    assert starpo("train", *LAKE, *SHORT, *SMALL, *BATCH, "--run", folder) == 0
    return folder


def episode(**changes) -> Trajectory:
    info = {"actions": ("right", "up"), "action_is_valid": True}
    reply = "<think>a wall ahead</think><answer>right || up</answer>"
    turn = Turn((1, 2), (3, 4, 5), (-1.0, -2.0, -3.0), "P_G", reply, 1.0, info)
    whole = Trajectory("Lake-v0", 77, 4, 1, (turn,), True, "terminated", "the rules")
    return dataclasses.replace(whole, **changes)


def told(show, *arguments) -> str:
    file = io.StringIO()
    show(Console(file=file, width=80, highlight=False), *arguments)
    return file.getvalue()


# --- show ---


def test_the_list_has_a_line_an_episode(tmp_path):
    played = rewarded(play(small_policy(), groups=2, members=3))
    path = trajectory_file.write(tmp_path / "000007", played, Origin(iteration=7))
    text = told(show_list, path)
    head, *rest = text.splitlines()
    assert head.startswith(f"{path}, iteration 7, Parrot-v0, 6 episodes, success ")
    rows = [line.split() for line in rest if re.match(r" *\d+ ", line)]
    assert len(rows) == 6
    for number, (row, t) in enumerate(zip(rows, played, strict=True)):
        wanted = [number, t.group, t.member, t.seed, "yes" if t.success else "no"]
        wanted += [f"{t.total_reward:+.2f}", len(t.turns), len(t), t.end]
        assert row == list(map(str, wanted))
    assert "--episode 0" in rest[-1]


def test_numbers_of_any_usual_length_fit_in_a_terminal(tmp_path):
    seed, turn = 2**31 - 1, dataclasses.replace(episode().turns[0], reward=100.0)
    wide = episode(seed=seed, end="out_of_tokens", turns=(turn,) * 10, group=123, member=123)
    path = trajectory_file.write(tmp_path / "f", [wide] * 120)
    text = told(show_list, path)
    assert "…" not in text
    assert text.count(str(seed)) == text.count("out_of_tokens") == text.count("+1000.00") == 120


def test_an_episode_whole(tmp_path):
    config = to_dict(TrainConfig(format="think"))
    path = trajectory_file.write(tmp_path / "f", [episode()], Origin(config=config))
    text = told(show_episode, path, 0)
    head, *lines = text.splitlines()
    assert head == f"{path}, episode 0: Lake-v0, seed 77, group 4, member 1"
    shown = [line for line in lines if "─" not in line]
    assert shown == [
        "the rules",
        "P_G",
        "think: a wall ahead",
        "answer: right || up",
        "played: right, up",
        "reward: +1.00",
        "success (terminated): return +1.00, 1 turns, 5 tokens",
    ]


def test_what_another_version_says_of_its_run_is_left_aside(tmp_path):
    config = {**to_dict(TrainConfig(format="answer")), "not_yet_known": 1}
    reply = Turn((), (), (), "P_G", "<answer>up</answer>", 0.0)  # and info that lacks everything
    odd = episode(turns=(reply,), system="", success=False)
    text = told(
        show_episode, trajectory_file.write(tmp_path / "f", [odd], Origin(config=config)), 0
    )
    assert "answer: up" in text
    assert "played: nothing" in text
    assert "no success (terminated)" in text


def test_what_a_model_wrote_cannot_move_the_cursor(tmp_path):
    turn = Turn(
        (), (), (), "\x1b]0;t\x07", "\x1b[31m[bold]no\x9b", 0.0, {"actions": ("[red]\x1b",)}
    )
    hostile = episode(env_id="\x1b[2J[red]", system="\x1b[2J", turns=(turn,))
    path = trajectory_file.write(tmp_path / "f", [hostile])
    text = told(show_list, path) + told(show_episode, path, 0)
    assert not set(text) & {"\x1b", "\x07", "\x9b"}
    assert "[bold]no" in text


def test_an_empty_file_is_shown(tmp_path):
    path = trajectory_file.write(tmp_path / "f", [])
    assert "0 episodes" in told(show_list, path)
    with pytest.raises(ValueError, match=r"has no episode 0; it has no episodes"):
        told(show_episode, path, 0)


def test_show_of_a_run_and_of_a_file(run, capsys):
    assert starpo("show", run) == 0
    last = capsys.readouterr().out
    assert "iteration 2, TextFrozenLake-v0, 4 episodes" in last
    assert starpo("show", run, "--iteration", 1) == 0
    assert "iteration 1, " in capsys.readouterr().out
    for name in ("000002", "000002.safetensors", "000002.jsonl"):
        assert starpo("show", run / "rollouts" / name) == 0
        assert capsys.readouterr().out == last
    assert starpo("show", run, "--episode", 3) == 0
    whole = capsys.readouterr().out
    for words in ("episode 3: TextFrozenLake-v0, seed", "turn 1", "reward: ", "tokens"):
        assert words in whole


def test_show_needs_no_torch(run):
    program = (
        "import sys; from starpo_plugin.__main__ import main; assert main(sys.argv[1:]) == 0;"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    for more in ([], ["--episode", "0"]):
        subprocess.run(
            [sys.executable, "-c", program, "show", run, *more], check=True, capture_output=True
        )


# --- what can't be shown or trained on ---


@pytest.fixture
def files(run, tmp_path) -> Path:
    """Files that can't be read, and one of a tokenizer that is not the model's."""
    stored = trajectory_file.read_stored(run / "rollouts" / "000001")
    trajectory_file.write(tmp_path / "whole", stored.trajectories, stored.origin)
    trajectory_file.write(tmp_path / "damaged", stored.trajectories, stored.origin)
    with (tmp_path / "damaged.jsonl").open("ab") as file:
        file.write(b"more\n")
    (tmp_path / "foreign.jsonl").write_text("{}\n")
    (tmp_path / "foreign.safetensors").write_bytes(b"no")
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "pieces"),
    [
        (["show", "none"], ["there is no none", "--save-rollouts"]),
        (["show", "."], [". holds no trajectories"]),
        (["show", "RUN", "--iteration", "9"], ["not stored iteration 9", "it has 1, 2"]),
        (["show", "RUN", "--episode", "4"], ["no episode 4", "0 to 3"]),
        (["show", "RUN", "--episode", "-1"], ["no episode -1"]),
        (["show", "FILES/whole", "--iteration", "1"], ["is one file", "--iteration 1"]),
        (["show", "FILES/damaged"], ["damaged.safetensors is damaged", "put a copy"]),
        (["show", "FILES/foreign"], ["foreign.safetensors is damaged"]),
        (["train", "--from-data", "none"], ["there is no none"]),
        (["train", "--from-data", "FILES/foreign"], ["foreign.jsonl is not a file of"]),
        (["train", "--from-data", "FILES/damaged"], ["damaged.safetensors is damaged"]),
        (["train", "--from-data", "FILES/whole", "none"], ["there is no none"]),
        (["train", "--save-rollouts", "-1"], ["save_rollouts=-1"]),
    ],
)
def test_mistakes_are_named_in_one_line(argv, pieces, run, files, capsys, tmp_path, monkeypatch):
    (empty := tmp_path / "empty").mkdir()
    monkeypatch.chdir(empty)
    places = {"RUN": str(run), "FILES": str(files)}
    command, *rest = argv
    rest = [re.sub("RUN|FILES", lambda found: places[found[0]], word) for word in rest]
    assert starpo(command, *rest) == 2
    error = capsys.readouterr().err
    assert error.startswith("starpo: ")
    assert error.count("\n") == 1
    for piece in pieces:
        assert piece in error
    assert list(empty.iterdir()) == []


# --- train --from-data ---


def test_the_defaults_are_what_the_data_were_made_with(run):
    from starpo_plugin.defaults import train_options

    config, resume = train_options(["--from-data", str(run), "--max-turns", "3"])
    assert not resume
    assert (config.env, config.env_args, config.train_args) == (
        "TextFrozenLake-v0",
        ("size=3",),
        (),
    )
    assert (config.format, config.max_actions, config.max_turns) == ("answer", 4, 3)
    assert config.filter == "top_k"  # of the preset
    assert config.run == TrainConfig().run
    other, _ = train_options(["--from-data", str(run), "--env", "TextSokoban-v0"])
    assert (other.env, other.env_args, other.format) == ("TextSokoban-v0", (), "answer")


def test_an_offline_run_from_the_command_line(run, tmp_path, capsys):
    folder = tmp_path / "off"
    argv = ["train", "--from-data", run, "--model", run / "checkpoints" / "000000"]
    argv += ["--groups", 2, "--eval-episodes", 2, "--run", folder]
    assert starpo(*argv, "--iterations", 1) == 0
    out = capsys.readouterr().out
    assert f"1 iterations of 2 groups stored in {run}" in out
    assert "success of the data" in out
    assert starpo("train", "--resume", folder, "--iterations", 3) == 0
    capsys.readouterr()
    assert starpo("train", "--resume", folder, "--from-data", "x", "--iterations", 3) == 2
    assert "--from-data can't be given with it" in capsys.readouterr().err
    assert len(json.loads((folder / "data.json").read_text())) == 2
    assert starpo("show", folder) == 2
    assert "holds no trajectories" in capsys.readouterr().err


def test_a_model_that_has_other_tokens_is_refused(run, tmp_path, capsys):
    argv = ["train", "--from-data", run, "--warmup-thought", "plan", "--format", "think"]
    assert starpo(*argv, "--run", tmp_path / "r") == 2
    error = capsys.readouterr().err
    assert "was made with a tokenizer of" in error
    assert f"--model {run}/checkpoints/000000" in error
