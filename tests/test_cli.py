"""The terminal program: played through its standard input, in process and out of it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from text_envs.__main__ import main

LAKE = "TextFrozenLake-v0"


@pytest.fixture
def lake(tmp_path):
    path = tmp_path / "lakes.txt"
    path.write_text("SFG\n\nSFFG\n")
    return str(path)


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*argv, typed=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run


# --- list ---


def test_list_names_what_can_be_played(run):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith(LAKE)]
    assert "20 moves" in line
    assert "Cross a frozen lake to the goal" in line
    assert "TextBandit-v0" in out


# --- play ---


def test_a_person_plays_and_wins(run, lake):
    code, out, _ = run("play", LAKE, "--level", lake, "--seed", "0", typed="right\nRIGHT\n")
    assert code == 0
    assert "Cross the frozen lake" in out
    assert out.index("P_G") < out.index("_PG") < out.index("__√")
    assert "You reached the goal." in out
    assert out.endswith("You won: +1 in 2 moves.\n")


def test_the_seed_is_the_index_of_a_level(run, lake):
    assert "P__G" in run("play", LAKE, "--level", lake, "--seed", "1")[1]
    Path(lake).write_text("SFG\n\nSFFG\n", encoding="utf-8-sig")  # as Windows' editors write it
    assert "P__G" in run("play", LAKE, "--level", lake, "--seed", "1")[1]
    assert "P__G" in run("play", LAKE, "--set", f"levels={lake}", "--seed", "3")[1]


def test_questions_cost_nothing_and_refused_moves_do(run, lake):
    typed = "?\nhint\njump\n\n"
    code, out, _ = run("play", LAKE, "--level", lake, "--seed", "0", typed=typed)
    assert code == 0
    assert "Legal moves: left, down, right, up\n" in out
    assert "The oracle would play: right (its plan has 2 moves)" in out
    assert "Invalid move." in out
    assert out.endswith("You leave after 1 move with -0.1.\n")


@pytest.mark.parametrize("typed", ["", "\n", "   \n"])
def test_leaving_is_no_mistake(run, typed):
    code, out, err = run("play", LAKE, typed=typed)
    assert (code, err) == (0, "")
    assert out.endswith("You leave after 0 moves with +0.\n")


def test_an_interrupt_leaves_too(run, monkeypatch):
    def interrupt(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    code, out, _ = run("play", LAKE)
    assert code == 0
    assert "You leave after 0 moves" in out


def test_an_interrupt_of_any_command_is_no_traceback(run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("text_envs.__main__.baselines.measure_all", interrupt)
    code, _, err = run("baselines", LAKE)
    assert (code, err) == (130, "stopped\n")


def test_a_limit_ends_the_game(run, lake):
    argv = ("play", LAKE, "--level", lake, "--seed", "0", "--set", "max_episode_steps=2")
    out = run(*argv, typed="up\nup\nright\nright\n")[1]
    assert "Move 2 of 2: " in out
    assert out.endswith("No moves are left: +0 in 2 moves.\n")


def test_a_lost_game_is_over(run, tmp_path):
    (tmp_path / "lake").write_text("SHF\nFFG")
    out = run("play", LAKE, "--level", str(tmp_path / "lake"), typed="right\n")[1]
    assert "You fell into a hole." in out
    assert out.endswith("The game is over: +0 in 1 move.\n")


def test_without_a_seed_every_game_is_another_and_can_be_played_again(run):
    first, second = (run("play", LAKE)[1] for _ in range(2))
    assert first != second
    seed = first.splitlines()[0].rpartition(" ")[2]
    assert run("play", LAKE, "--seed", seed)[1] == first


# --- show ---


def test_show_prints_the_start_and_its_solution(run, lake):
    code, out, _ = run("show", LAKE, "--level", lake, "--seed", "0")
    assert code == 0
    assert "P_G\n\nOptimal moves: 2\nOracle's plan: right, right\n" in out


def test_settings_reach_the_environment(run, lake):
    argv = ["show", LAKE, "--level", lake, "--seed", "1"]
    for setting in (
        "observation=coord",
        "success_rate=1/3",
        'symbols="abcdef"',
        "fixed_corners=true",
    ):
        argv += ["--set", setting]
    out = run(*argv)[1]
    assert "Player: (0, 0)\nGoal: (0, 3)\nHoles: none" in out
    assert "probability 0.333" in out
    assert "Oracle's plan (if luck holds): " in out


def test_show_saves_a_picture(run, lake, tmp_path):
    pygame = pytest.importorskip("pygame")
    path = tmp_path / "lake.png"
    argv = (
        "show",
        LAKE,
        "--level",
        lake,
        "--seed",
        "0",
        "--picture",
        str(path),
        "--set",
        "tile=28",
    )
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert str(path) in out
    env = gym.make(LAKE, render_mode="rgb_array", tile=28, levels=lake)
    env.reset(seed=0)
    saved = pygame.surfarray.array3d(pygame.image.load(path)).swapaxes(0, 1)
    np.testing.assert_array_equal(saved, env.render())


# --- mistakes in the call ---


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["play", "TextFrozenLak-v0"],
            "unknown environment 'TextFrozenLak-v0'; did you mean TextFr",
        ),
        (["show", "zzz"], "unknown environment 'zzz' ('list' shows them all)"),
        (["show", "nowhere_at_all:Game-v0"], "No module named 'nowhere_at_all'"),
        (["play", "CartPole-v1"], "CartPole-v1 is not a text environment"),
        (["show", LAKE, "--set", "size=0"], "size=0 must be a whole number from 1 to 100\n"),
        (["show", LAKE, "--set", "depth=3"], "has no parameter 'depth'"),
        (["show", LAKE, "--set", "max_episode_steps=0"], "can't be made"),
        (["show", LAKE, "--set", "game=os"], "can't be made"),
        (["show", LAKE, "--set", "split=validation"], "split='validation' is not one of"),
        (["show", LAKE, "--level", "no/such/file"], "no/such/file can't be read as a text file"),
        (["show", LAKE, "--level", os.devnull], f"{os.devnull}: no level found"),
        (
            ["show", LAKE, "--picture", "no/such/folder/a.png"],
            "no/such/folder/a.png can't be written",
        ),
        (
            ["show", LAKE, "--set", "frozen=0.001", "--set", "fixed_corners=true"],
            "frozen=0.001 is too little",
        ),
    ],
)
def test_a_mistake_is_named_with_exit_code_2(run, argv, message):
    code, _, err = run(*argv, "--seed", "0")
    assert code == 2
    assert err.startswith("error: ")
    assert message in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["play"], "required: ID"),
        (["play", LAKE, "--seed", "-1"], "'-1' is not a whole number >= 0"),
        (["play", LAKE, "--seed", "x"], "'x' is not a whole number >= 0"),
        (["play", LAKE, "--set", "size"], "'size' is not of the form name=value"),
    ],
)
def test_a_malformed_call_is_argparses(capsys, argv, message):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert message in capsys.readouterr().err


def test_a_malformed_level_file_is_named(run, tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text("SFG\n\nSHG\n")
    assert run("play", LAKE, "--level", str(path))[2] == (
        f"error: {path}: level 2: has no way from S to G\n"
    )
    path.write_bytes(b"\xff\xfe")
    assert "can't be read as a text file" in run("play", LAKE, "--level", str(path))[2]


# --- as a program of its own ---


def test_it_runs_as_a_module_on_any_terminal(lake):
    done = subprocess.run(
        [sys.executable, "-m", "text_envs", "play", LAKE, "--level", lake, "--seed", "0"],
        input=b"\xff\xfe\nright\nright\n",
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"__?" in done.stdout  # the square-root sign, on a terminal that has none
    assert done.stdout.rstrip().endswith(b"You won: +0.9 in 3 moves.")


def test_a_mistake_ends_the_program_with_code_2():
    done = subprocess.run(
        [sys.executable, "-m", "text_envs", "show", "TextFrozenLake"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean TextFrozenLake-v0?" in done.stderr
    assert "Traceback" not in done.stderr
