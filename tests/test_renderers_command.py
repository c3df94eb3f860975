"""``python -m renderers``: an episode into a file."""

import pytest
from processes import run_python

pytest.importorskip("pygame")
iio = pytest.importorskip("imageio.v3")
from renderers.__main__ import main  # noqa: E402 (after the skip)

SOKOBAN, LAKE, BANDIT = "TextSokoban-v0", "TextFrozenLake-v0", "TextBandit-v0"


def test_command_writes_each_kind_of_file(tmp_path, capsys):
    for name in ("e.mp4", "e.gif", "e.png"):
        path = tmp_path / name
        code = main([SOKOBAN, str(path), "--seed", "7", "--tile", "16", "--set", "size=7"])
        assert code == 0
        assert path.stat().st_size > 500
        assert "Success!" in capsys.readouterr().out
    options = ["--agent", "random", "--split", "test", "--set", "observation=coord", "--fps", "5"]
    assert main([SOKOBAN, str(tmp_path / "r.gif"), *options]) == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["TextSokban-v0", "e.mp4"], "Did you mean TextSokoban-v0"),
        (["zzz", "e.mp4"], "Known: TextBandit-v0"),
        (["nomodule:X-v0", "e.mp4"], "nomodule"),
        (["CartPole-v1", "e.mp4"], "tile"),
        ([SOKOBAN, "e.avi"], r"must end in .mp4 or .gif or .png"),
        ([SOKOBAN, "no/e.mp4"], "no directory no"),
        ([SOKOBAN, "e.mp4", "--set", "colour=3"], "no parameter 'colour'"),
        ([SOKOBAN, "e.mp4", "--set", "size=1"], "rows=1"),
        ([SOKOBAN, "e.mp4", "--tile", "1"], "tile=1"),
        ([SOKOBAN, "e.mp4", "--fps", "0"], "fps=0"),
    ],
)
def test_command_explains_what_is_wrong(tmp_path, monkeypatch, capsys, argv, said):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argv", [[SOKOBAN], [SOKOBAN, "e.mp4", "--seed", "-1"], [SOKOBAN, "e.mp4", "--set", "size"]]
)
def test_command_refuses_malformed_arguments(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2


def test_ctrl_c_is_no_traceback(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("renderers.__main__.write_frames", interrupt)
    assert main([LAKE, str(tmp_path / "e.gif")]) == 130
    assert capsys.readouterr().err == "python -m renderers: stopped\n"


def test_costs_that_cancel_out_are_zero(tmp_path, capsys, monkeypatch):
    def ends_near_zero(path, frames, fps):
        for frame in frames:
            object.__setattr__(frame, "total", 1.11e-16)
        return path

    monkeypatch.setattr("renderers.__main__.write_frames", ends_near_zero)
    assert main([LAKE, str(tmp_path / "e.gif")]) == 0
    assert "return 0." in capsys.readouterr().out


def test_without_the_extra_the_command_names_it(tmp_path):
    (tmp_path / "pygame.py").write_text("raise ImportError(\"No module named 'pygame'\")\n")
    said = run_python("-m", "renderers", LAKE, "e.gif", check=False, PYTHONPATH=str(tmp_path))
    assert said.returncode == 2
    assert "pip install 'text-envs[render]'" in said.stderr
    assert said.stderr.count("\n") == 1
    asked = run_python("-c", "import renderers", check=False, PYTHONPATH=str(tmp_path))
    assert "ImportError: pictures need the render extra" in asked.stderr


def test_command_runs_as_a_module(tmp_path):
    said = run_python("-m", "renderers", LAKE, str(tmp_path / "e.gif"), "--tile", "16")
    assert (said.returncode, said.stderr) == (0, "")
    assert run_python("-m", "renderers", "no-env", "e.gif", check=False).returncode == 2
