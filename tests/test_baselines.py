"""The yardsticks: measured as ``evaluate`` would, and written where they belong."""

import json
import sys
from importlib import import_module
from pathlib import Path
from statistics import fmean

import gymnasium as gym
import pytest

from text_envs import ENV_IDS, baselines
from text_envs.__main__ import main
from text_envs.agents import OracleAgent, RandomAgent, evaluate, play_episode
from text_envs.baselines import Effort, Task, find_table, measure, measure_all, rewritten, task_of

LAKE = "TextFrozenLake-v0"
FEW = Effort(episodes=30)

GAME = '''
from text_envs.games.frozen_lake import FrozenLake


class Other:
    pass


class Pond(FrozenLake):
    """A lake.

    Success in % (95 % interval) over 10,000 episodes, by the moves allowed:

    =====================  =====  =======  ======
    parameters             moves  random   oracle
    =====================  =====  =======  ======
    default                20     1.0 (x)  y
    size=3                 5
    success_rate=1/3, symbols='.-+*#~'  7  ?  ?
    =====================  =====  =======  ======
    """  # here

    after = "=== ==="
'''


@pytest.fixture
def pond(tmp_path, monkeypatch):
    """Write a module that holds a game with a table: the game's path, and the file's."""

    def pond(text: str) -> tuple[str, Path]:
        path = tmp_path / "pond_game.py"
        path.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "pond_game", raising=False)
        import_module("pond_game")
        return "pond_game:Pond", path

    yield pond
    sys.modules.pop("pond_game", None)


# --- measuring ---


@pytest.mark.parametrize("player", ["random", "oracle"])
def test_it_plays_what_evaluate_plays(player):
    agent = {"random": RandomAgent(0), "oracle": OracleAgent()}[player]
    score = evaluate(gym.make(LAKE), agent, episodes=30, seed=3)
    found = measure(task_of(LAKE), player, Effort(episodes=30, seed=3))
    assert (found.episodes, found.successes) == (30, score.successes)
    assert found.mean_return == pytest.approx(score.mean_return)
    assert found.mean_length == pytest.approx(score.mean_length)


def test_the_interval_of_the_return():
    env, agent = gym.make("TextSokoban-v0"), RandomAgent(0)
    returns = [play_episode(env, agent, seed).total_reward for seed in range(30)]
    mean = fmean(returns)
    variance = sum((r - mean) ** 2 for r in returns) / 29
    found = measure(task_of("TextSokoban-v0"), "random", FEW)
    assert found.return_error == pytest.approx(1.959964 * (variance / 30) ** 0.5)
    assert found.returned == (
        f"{mean:.3f} ({mean - found.return_error:.3f} to {mean + found.return_error:.3f})"
    )
    assert found.spot == (pytest.approx(found.spot[0]), pytest.approx(sum(returns[:10])))


def test_parameters_and_limits_are_those_of_the_id():
    assert task_of("TextSokobanLarge-v0").params == {"size": 8, "boxes": 2, "max_solution": 20}
    assert measure(Task(task_of(LAKE).game, {}, 1), "random", FEW).mean_length == 1


def test_a_budget_ends_it_at_a_round_number():
    assert measure(task_of(LAKE), "random", Effort(1234, 0, 0.0)).episodes == 10
    assert list(baselines._round_numbers(200)) == [10, 20, 50, 100, 200]
    assert list(baselines._round_numbers(1234)) == [10, 20, 50, 100, 200, 500, 1000, 1234]
    assert list(baselines._round_numbers(7)) == [7]


def test_numbers_are_the_same_whatever_the_jobs(capsys):
    tasks = [task_of(LAKE), task_of("TextBandit-v0"), task_of(LAKE)]
    alone, together = (measure_all(tasks, FEW, jobs) for jobs in (1, 2))
    assert alone == together
    assert len(alone) == 4
    assert "[4/4] Bandit(), 20 moves: oracle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0"),
        (0.00004, "0"),
        (0.0004, "0.04"),
        (0.001, "0.1"),
        (0.505, "50.5"),
        (0.9989, "99.9"),
        (0.99943, "99.94"),
        (0.99998, "100"),
        (1, "100"),
    ],
)
def test_percentages(rate, text):
    assert baselines.percent(rate) == text


# --- the table of a docstring ---


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_every_game_ends_its_manual_with_yardsticks(env_id):
    task = task_of(env_id)
    table = find_table(task.game)
    assert task.key in [row.key for _, row in table.rows], "a row with the id's own parameters"
    assert table.rows[0][0] == "default"
    below = table.path.read_text(encoding="utf-8").splitlines()[table.stop]
    assert below.strip() == '"""', "the table is the docstring's end"


def test_a_table_is_read_and_only_its_numbers_rewritten(pond):
    game, path = pond(GAME)
    table = find_table(game)
    assert [task.params for _, task in table.rows] == [
        {},
        {"size": 3},
        {"success_rate": 1 / 3, "symbols": ".-+*#~"},
    ]
    assert [task.moves for _, task in table.rows] == [20, 5, 7]
    measured = measure_all([task for _, task in table.rows], FEW, 1)
    content = rewritten([table], measured)[path]
    before, after = GAME.splitlines(), content.splitlines()
    assert after[: table.start] == before[: table.start]
    assert after[table.stop :] == before[table.stop :]
    random = measured[table.rows[1][1].key, "random"]
    cells = [cell.strip() for cell in after[table.start + 4].split("  ") if cell.strip()]
    assert cells == ["size=3", "5", f"{random.success}, n=30", "100 (88.6 to 100), n=30"]
    path.write_text(content, encoding="utf-8")
    assert rewritten([find_table(game)], measured)[path] == content


def test_a_file_may_change_while_its_rows_are_measured(pond):
    game, path = pond(GAME)
    table = find_table(game)
    measured = measure_all([task for _, task in table.rows], FEW, 1)
    path.write_text(f"# more\n{GAME.replace('size=3', 'size=3 ')}".replace("A lake", "The lake"))
    content = rewritten([table], measured)[path]
    assert content.startswith("# more\n")
    assert "The lake." in content
    assert content.count("=3  ") == content.count("=== ===") == 1
    path.write_text(GAME.replace("size=3", "size=4"))
    with pytest.raises(ValueError, match=r"pond_game\.py: 'size=4' came in while"):
        rewritten([table], measured)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Success in %", "Failure in %", "Pond has no table below"),
        ("oracle\n", "oracles\n", "pond_game.py:15: the columns must be"),
        ("size=3", "size", r"pond_game.py:18: this row .*: 'size' is neither 'default' nor"),
        ("size=3", "sise=3", "pond_game.py:18: this row .* no parameter 'sise'"),
        ("size=3", "size=x", "pond_game.py:18: this row can't be read"),
        ("size=3", "size=0", "pond_game.py:18: this row can't be read: size=0 must be"),
        ("size=3", "size=(", "pond_game.py:18: this row can't be read"),
        ("5\n", "five\n", "pond_game.py:18: this row can't be read"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(pond, old, new, message):
    game, _ = pond(GAME.replace(old, new))
    with pytest.raises(ValueError, match=message):
        find_table(game)


# --- the command ---


def test_the_command_prints_and_saves(capsys, tmp_path):
    path = tmp_path / "found.json"
    assert main(["baselines", LAKE, "--episodes", "20", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"{LAKE}  20     oracle  20        100 (83.9 to 100)" in out
    found = json.loads(path.read_text())
    assert list(found) == [LAKE]
    oracle = baselines.players(found[LAKE])["oracle"]
    assert oracle.success == "100 (83.9 to 100)"
    assert (found[LAKE]["moves"], found[LAKE]["parameters"]) == (20, {})


def test_what_is_written_keeps_the_others(capsys, tmp_path, monkeypatch, pond):
    game, source = pond(GAME)
    path = tmp_path / "baselines.json"
    path.write_text(json.dumps({"TextGone-v0": 1, "TextBandit-v0": 2}))
    monkeypatch.setattr(baselines, "FILE", path)
    monkeypatch.setattr(baselines, "task_of", lambda env_id: Task(game, {}, 20))
    assert main(["baselines", LAKE, "--episodes", "20", "--write"]) == 0
    content = json.loads(path.read_text())
    assert list(content) == ["TextBandit-v0", LAKE]
    assert content["TextBandit-v0"] == 2
    assert "100 (83.9 to 100), n=20" in source.read_text(encoding="utf-8")
    assert f"Written: {source}\nWritten: {path}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["TextFrozenLak-v0"], "unknown environment 'TextFrozenLak-v0'; did you mean TextFrozenL"),
        ([LAKE, "--episodes", "2", "--json", "no/such/file"], "no/such/file can't be written"),
    ],
)
def test_a_mistake_is_named_with_exit_code_2(capsys, argv, message):
    assert main(["baselines", *argv]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named_before_anything_is_measured(capsys):
    assert main(["baselines", LAKE, "--episodes", "2", "--json", "no/such/file"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: no/such/file can't be written: there is no such directory\n"


def test_an_unreadable_table_is_named_before_anything_is_measured(capsys, monkeypatch, pond):
    game, _ = pond(GAME.replace("1/3", "1/"))
    monkeypatch.setattr(baselines, "task_of", lambda env_id: Task(game, {}, 20))
    assert main(["baselines", LAKE, "--write"]) == 2
    assert "pond_game.py:19: this row can't be read" in capsys.readouterr().err
