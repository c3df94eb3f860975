"""Every registered game and environment keeps the laws, and every law can fail."""

import subprocess
import sys
from typing import Any

import gymnasium as gym
import pytest
from broken_games import BROKEN_ENVS, BROKEN_GAMES, make_broken
from hypothesis import Phase, settings
from tiny_game import CORRIDOR_ID, GUESS_ID, Corridor

from text_envs import ENV_IDS, TextEnv
from text_envs.testing import (
    ENV_CHECKS,
    ENV_LAWS,
    GAME_LAWS,
    TEXT_ENV_CHECKS,
    TEXT_ENV_LAWS,
    check_game,
    check_text_env,
    fingerprint,
    fingerprints_elsewhere,
    hold,
)

OTHER_PROCESS = "same_episodes_in_another_process"  # one process for all ids, below
# id, parameters: every id as it is, and the parameters that change what is seen or how it is played
CASES: list[tuple[str, dict[str, Any]]] = [
    *((id, {}) for id in ENV_IDS),
    (CORRIDOR_ID, {}),
    (CORRIDOR_ID, {"slip": 0.3}),
    ("TextBandit-v0", {"pulls": 4, "arms": 5, "names": "test"}),
    ("TextBandit-v0", {"reverse": True}),
    ("TextSokoban-v0", {"observation": "coord"}),
    ("TextSokoban-v0", {"observation": "grid_coord", "boxes": 2}),
    ("TextFrozenLake-v0", {"success_rate": 1 / 3, "fixed_corners": True}),
    ("TextFrozenLake-v0", {"observation": "coord", "rows": 3, "cols": 7}),
    ("TextFrozenLake-v0", {"observation": "grid_coord", "symbols": "😀.#*+!"}),
    ("TextPairs-v0", {"rows": 2, "cols": 3, "symbols": "🍎🍌🍇🍒"}),
    ("TextBlicket-v0", {"objects": 3, "rule": "any", "tests": 2, "test_cost": 0.1}),
    ("TextBlicket-v0", {"objects": 5, "rule": "two", "noise": 0.2}),
    ("TextBlackjack-v0", {"natural": True, "totals": False}),
    ("TextBlackjack-v0", {"sab": True}),
    ("TextMastermind-v0", {"pegs": 5, "colors": 8, "guesses": 12}),
    ("TextMastermind-v0", {"repeats": False, "guesses": 3, "symbols": "AbcdEF"}),
    ("TextMaze-v0", {"view": "map", "braid": 1.0, "symbols": "█·X↑→↓←"}),
    ("TextMaze-v0", {"rows": 2, "cols": 8, "braid": 0.5, "move_cost": 0.01}),
    ("TextTowerOfHanoi-v0", {"disks": 4, "pegs": 4}),
    ("TextTowerOfHanoi-v0", {"random_start": False}),
    ("TextCountdown-v0", {"use_all": True, "tries": 3, "operations": "+-*"}),
    ("TextMath-v0", {"difficulty": 4, "tries": 1}),
    ("TextRubiksCube-v0", {"scramble": 12, "symbols": "😀12345"}),
    ("Text2048-v0", {"size": 3, "target": 64, "symbols": ("_", *"abcde", "won")}),
    ("TextSudoku-v0", {"size": 6, "empty": 14, "symbols": "_abcdeß"}),
    ("TextSudoku-v0", {"size": 9, "empty": 20}),
    ("TextMinesweeper-v0", {"rows": 3, "cols": 12, "mines": 5, "symbols": "?!_$ß"}),
]


@pytest.fixture
def first_failure():
    """Stop at the first failing example: here it is wanted, not to be understood."""
    settings.register_profile(
        "first failure", settings(), max_examples=200, phases=[Phase.generate]
    )
    before = settings.get_current_profile_name()
    settings.load_profile("first failure")
    yield
    settings.load_profile(before)


def name(case: Any) -> str:
    if callable(case):
        return case.__name__
    id, kwargs = case
    return "-".join([id.removesuffix("-v0"), *(f"{k}={v}" for k, v in kwargs.items())])


def make(case: tuple[str, dict[str, Any]]) -> gym.Env[Any, str]:
    return gym.make(case[0], **case[1])


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("law", GAME_LAWS, ids=name)
def test_game_keeps(law: Any, case: Any):
    game: Any = make(case).unwrapped
    hold(law, game.game)


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("law", ENV_LAWS + TEXT_ENV_LAWS, ids=name)
def test_environment_keeps(law: Any, case: Any):
    hold(law, make(case))


@pytest.mark.parametrize("id", [*ENV_IDS, CORRIDOR_ID])
@pytest.mark.parametrize("law", ENV_LAWS, ids=name)
def test_environment_with_pictures_keeps(law: Any, id: str):
    hold(law, gym.make(id, obs_mode="text+image", tile=8))


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize("check", ENV_CHECKS + TEXT_ENV_CHECKS, ids=name)
def test_environment_passes(check: Any, case: Any):
    if check.__name__ != OTHER_PROCESS:
        check(make(case))


@pytest.mark.parametrize("hash_seed", [1, 2])
def test_other_processes_play_the_same_episodes(hash_seed: int):
    specs = []
    for case in CASES:
        spec = make(case).spec
        assert spec is not None
        specs.append(spec.to_json())
    elsewhere = fingerprints_elsewhere(specs, hash_seed)
    differing = [
        name(case)
        for case, spec, theirs in zip(CASES, specs, elsewhere, strict=True)
        if fingerprint(spec) != theirs
    ]
    assert not differing


@pytest.mark.usefixtures("first_failure")
@pytest.mark.parametrize("law", GAME_LAWS, ids=name)
def test_game_can_break(law: Any):
    for game in BROKEN_GAMES[law.__name__]:
        with pytest.raises(Exception) as caught:  # noqa: PT011 (a crash is a breach as well)
            hold(law, game)
        assert any(law.__name__ in note for note in caught.value.__notes__)


@pytest.mark.usefixtures("first_failure")
@pytest.mark.parametrize("law", ENV_LAWS + TEXT_ENV_LAWS, ids=name)
def test_environment_can_break(law: Any):
    for env in make_broken(law.__name__):
        with pytest.raises(AssertionError):
            hold(law, env)


@pytest.mark.parametrize("check", ENV_CHECKS + TEXT_ENV_CHECKS, ids=name)
def test_environment_can_fail(check: Any):
    for env in make_broken(check.__name__):
        with pytest.raises((AssertionError, Warning)):
            check(env)


def test_nothing_but_laws_is_broken_on_purpose():
    assert set(BROKEN_GAMES) == {law.__name__ for law in GAME_LAWS}
    laws = (*ENV_LAWS, *TEXT_ENV_LAWS, *ENV_CHECKS, *TEXT_ENV_CHECKS)
    assert set(BROKEN_ENVS) == {law.__name__ for law in laws}


def test_a_foreign_game_passes_everything():
    check_game(Corridor(slip=0.3))
    check_text_env(CORRIDOR_ID)
    assert isinstance(gym.make(CORRIDOR_ID).unwrapped, TextEnv)


def test_a_foreign_environment_passes_everything():
    check_text_env(GUESS_ID)
    assert not isinstance(gym.make(GUESS_ID).unwrapped, TextEnv)
    with pytest.raises(TypeError, match="this law is about TextEnv"):
        hold(TEXT_ENV_LAWS[0], gym.make(GUESS_ID))


@pytest.mark.usefixtures("first_failure")
def test_a_breach_names_its_law():
    with pytest.raises(AssertionError) as caught:
        check_game(BROKEN_GAMES["facts_are_plain"][0])
    assert "Broken law: facts_are_plain" in "".join(caught.value.__notes__)


def test_hypothesis_is_asked_for():
    code = (
        "import sys; sys.modules['hypothesis'] = None; import text_envs; import text_envs.testing"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'text-envs[testing]'" in done.stderr
