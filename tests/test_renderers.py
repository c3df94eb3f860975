import hashlib
import os
import threading
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import run_python
from tiny_game import CORRIDOR_ID, CorridorState

import text_envs
from text_envs.games.bandit import BanditState, Pay
from text_envs.games.blackjack import BlackjackState
from text_envs.games.frozen_lake import FrozenLakeState
from text_envs.games.mastermind import COLORS, Guess, MastermindState
from text_envs.games.sokoban import SokobanState

pygame = pytest.importorskip("pygame")
renderers = pytest.importorskip("renderers")
from renderers import glyphs  # noqa: E402 (after the skip)

SIZES = (16, 28, 32, 64)
SOKOBAN = b"#_OX*PS"
PAYS = (Pay(0.1, 1.0), Pay(1.0, 0.25))
ARMS = ("librarian", "lion tamer")


def sokoban(*rows: bytes) -> SokobanState:
    return SokobanState(b"\n".join(rows), len(rows[0]) + 1)


def lake(player: int) -> FrozenLakeState:
    return FrozenLakeState(b"_O_\n__G", 4, player)


STATES = {
    "sokoban": (sokoban(b"######", b"#P_XO#", b"#S_*_#", b"######"), (4, 6)),
    "lake": (lake(4), (2, 3)),
    "bandit": (BanditState(ARMS, PAYS, 2, (("librarian", 0.1),)), (6, 8)),
    "blackjack": (BlackjackState(bytes([0, 37, 51]), bytes([20, 40])), (7, 8)),
    "mastermind": (
        MastermindState(COLORS[:6], bytes([1, 2, 3]), 7, (Guess(bytes([3, 2, 0]), 1, 1),)),
        (10, 8),
    ),
}


# --- what draw returns ---


@pytest.mark.parametrize("tile", SIZES)
@pytest.mark.parametrize("name", STATES)
def test_picture_is_a_plain_array_of_whole_tiles(name, tile):
    state, (rows, columns) = STATES[name]
    picture = renderers.draw(state, tile)
    assert picture.shape == (rows * tile, columns * tile, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.flags.writeable
    assert picture.std() > 10


@pytest.mark.parametrize("state", [state for state, _ in STATES.values()] + ["text", (1, 2)])
def test_picture_belongs_to_the_caller(state):
    first = renderers.draw(state)
    kept = first.copy()
    first[:] = 7
    assert np.array_equal(renderers.draw(state), kept)


def digest_of_pictures() -> str:
    digest = hashlib.sha256()
    for state, _ in STATES.values():
        for tile in (16, 32):
            digest.update(renderers.draw(state, tile).tobytes())
    digest.update(renderers.draw_text("some text √", 32, 400).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("seed", ["0", "1"])
def test_every_process_draws_the_same(seed):
    code = "import test_renderers as t; print(t.digest_of_pictures())"
    said = run_python("-c", code, PYTHONHASHSEED=seed)
    assert said.stdout.strip() == digest_of_pictures()


def test_threads_draw_the_same():
    from renderers import bandit, blackjack, frozen_lake, mastermind
    from renderers import sokoban as sokoban_drawer

    expected, drawn = digest_of_pictures(), []
    for cached in (
        sokoban_drawer._atlas, frozen_lake._atlas, bandit._machine, bandit._cabinet, bandit._chip,
        blackjack._card, blackjack._table, mastermind._board, mastermind._cell, mastermind._answer,
        glyphs.glyph, glyphs.cell_glyph,
    ):  # fmt: skip
        cached.cache_clear()
    threads = [
        threading.Thread(target=lambda: drawn.append(digest_of_pictures())) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [expected] * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_draws_even_if_another_thread_was_drawing():
    code = """
import os, threading
import test_renderers as t
from renderers import glyphs
held, done = threading.Event(), threading.Event()
def hold():
    with glyphs._lock:
        held.set(); done.wait()
threading.Thread(target=hold).start(); held.wait()
import warnings; warnings.simplefilter("ignore")  # newer Pythons warn of fork beside threads
child = os.fork()
if child == 0:
    t.digest_of_pictures()
    os._exit(0)
code = os.waitpid(child, 0)[1]
done.set(); print(code)
"""
    assert run_python("-c", code).stdout.strip() == "0"


def test_importing_and_drawing_leave_pygame_and_the_terminal_alone():
    code = """
import os; before = dict(os.environ)
import renderers
from renderers import draw
import test_renderers as t; t.digest_of_pictures()
import pygame
assert not pygame.display.get_init()
changed = {k for k in os.environ if os.environ[k] != before.get(k)}
assert changed <= {"PYGAME_HIDE_SUPPORT_PROMPT"}, changed
"""
    said = run_python("-c", code)
    assert (said.stdout, said.stderr) == ("", "")


def test_drawing_is_fast_enough_not_to_matter():
    state = sokoban(b"######", b"#P_XO#", b"#S_*_#", b"#____#", b"#____#", b"######")
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(200):
            renderers.draw(state)
        best = max(best, 200 / (time.perf_counter() - start))
    assert best > 4_000  # measured: 60,000; blits read back from pygame reach 6,000


# --- what can be told apart ---


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("tile", SIZES)
def test_sokoban_cells_differ(tile):
    row = renderers.draw(sokoban(SOKOBAN), tile)
    cells = np.split(row, len(SOKOBAN), axis=1)
    for i, cell in enumerate(cells):
        for other in cells[:i]:
            assert difference(cell, other) > 8


@pytest.mark.parametrize("tile", SIZES)
def test_lake_cells_differ_with_and_without_player(tile):
    board = b"\n".join([b"_", b"O", b"G"])
    cells = []
    for place, player in enumerate((2, 4, 0)):  # elsewhere, then on the cell itself
        for at in (player, 2 * place):
            picture = renderers.draw(FrozenLakeState(board, 2, at), tile)
            cells.append(picture[place * tile : (place + 1) * tile])
    for i, cell in enumerate(cells):
        for other in cells[:i]:
            assert difference(cell, other) > 8


boards = st.integers(1, 5).flatmap(
    lambda columns: st.lists(
        st.lists(st.sampled_from(list(SOKOBAN)), min_size=columns, max_size=columns).map(bytes),
        min_size=1,
        max_size=5,
    )
)


@given(boards, boards)
def test_different_boards_have_different_pictures(first, second):
    a, b = (renderers.draw(sokoban(*rows), 16) for rows in (first, second))
    assert (first == second) == np.array_equal(a, b)


@given(boards, st.data())
def test_a_cell_changes_nothing_outside_itself_and_the_shadow_below(rows, data):
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, len(rows[0]) - 1))
    changed = list(rows)
    line = bytearray(rows[row])
    line[column] = data.draw(st.sampled_from(list(SOKOBAN)))
    changed[row] = bytes(line)
    a, b = (renderers.draw(sokoban(*r), 16) for r in (rows, changed))
    a[row * 16 : row * 16 + 32, column * 16 : column * 16 + 16] = 0
    b[row * 16 : row * 16 + 32, column * 16 : column * 16 + 16] = 0
    assert np.array_equal(a, b)


def test_walls_throw_a_shadow_on_the_cell_below():
    picture = renderers.draw(sokoban(b"#_", b"__"), 32)
    assert picture[32:40, :32].mean() < picture[32:40, 32:].mean() - 10


def test_unknown_cell_is_refused():
    with pytest.raises(ValueError, match=r"board b'#\?#' has a cell"):
        renderers.draw(sokoban(b"#?#"))


# --- bandit ---


@given(st.permutations([Pay(0.1, 1.0), Pay(1.0, 0.25), Pay(5.0, 0.01)]))
def test_how_an_arm_pays_is_not_in_the_picture(pays):
    history = (("a", 0.0), ("b", 1.0))
    arms = ("a", "b", "c")
    shown = renderers.draw(BanditState(arms, (Pay(0.1, 1.0),) * 3, 4, history), 16)
    assert np.array_equal(renderers.draw(BanditState(arms, tuple(pays), 4, history), 16), shown)


def test_what_the_player_knows_is_in_the_picture():
    a, b = ARMS
    known = [
        BanditState((a, b), PAYS, 3),
        BanditState((b, a), PAYS, 3),
        BanditState((a, "pirate"), PAYS, 3),
        BanditState((a, b), PAYS, 4),
        BanditState((a, b), PAYS, 2, ((a, 0.1),)),
        BanditState((a, b), PAYS, 2, ((b, 0.1),)),
        BanditState((a, b), PAYS, 2, ((a, 0.0),)),
        BanditState((a, b), PAYS, 2, ((a, -0.5),)),
        BanditState((a, b), PAYS, 1, ((a, 0.1), (b, 0.0))),
        BanditState((a, b), PAYS, 1, ((b, 0.0), (a, 0.1))),
    ]
    pictures = {renderers.draw(state).tobytes() for state in known}
    assert len(pictures) == len(known)


@pytest.mark.parametrize(("arms", "pulls"), [(2, 1), (2, 20), (5, 7), (20, 1000)])
def test_bandit_picture_keeps_its_shape_and_changes_with_every_pull(arms, pulls):
    names = tuple(f"arm {chr(97 + i)} of many more" for i in range(arms))
    history, seen, shapes = [], set(), set()
    for k in range(pulls + 1):
        state = BanditState(names, PAYS[:1] * arms, pulls - k, tuple(history))
        picture = renderers.draw(state, 16)
        shapes.add(picture.shape)
        seen.add(picture.tobytes())
        history.append((names[k % arms], float(k % 3)))
    assert len(shapes) == 1
    assert len(seen) == pulls + 1


def test_the_latest_pulls_are_shown_and_the_oldest_make_room():
    def after(changed: int) -> np.ndarray:
        history = [(ARMS[0], 0.0)] * 100
        history[changed] = (ARMS[0], 1.0)
        return renderers.draw(BanditState(ARMS, PAYS, 5, tuple(history)))

    assert np.array_equal(after(0), after(60))
    assert not np.array_equal(after(0), after(90))
    assert not np.array_equal(after(98), after(90))


# --- text ---


class Fields(NamedTuple):
    name: str
    board: bytes


@dataclass(frozen=True)
class Record:
    name: str
    number: int


def test_a_state_without_a_drawer_shows_its_fields():
    states = [Fields("x", b"ab\ncd"), Fields("y", b"ab\ncd"), Record("x", 1), Record("x", 2), None]
    pictures = {renderers.draw(state).tobytes() for state in states}
    assert len(pictures) == len(states)
    assert not any(map(renderers.has_drawer, states))
    assert all(renderers.has_drawer(state) for state, _ in STATES.values())
    assert not renderers.has_drawer(CorridorState(3, 0))
    assert np.array_equal(
        renderers.draw(Fields("x", b"ab\ncd")),
        renderers.draw_text("Fields\nname: x\nboard:\nab\ncd"),
    )


@given(st.text(st.characters(), max_size=300), st.integers(1, 2000), st.sampled_from(SIZES))
def test_any_text_is_drawn_on_a_panel_of_one_shape(text, capacity, tile):
    picture = renderers.draw_text(text, tile, capacity)
    assert picture.shape == renderers.draw_text("", tile, capacity).shape
    assert picture.shape[0] % tile == picture.shape[1] % tile == 0
    assert renderers.draw_text(text, tile).dtype == np.uint8
    frame = tile // 4
    assert np.array_equal(picture[:, -frame:], renderers.draw_text("", tile, capacity)[:, -frame:])
    assert np.array_equal(picture[-frame:], renderers.draw_text("", tile, capacity)[-frame:])


def test_text_that_does_not_fit_is_smaller_then_cut_off():
    words = "many words here " * 400
    short, long, longer = (renderers.draw_text(words[:n], 32, 200) for n in (60, 300, 6000))
    assert short.shape == long.shape == longer.shape
    assert np.array_equal(renderers.draw_text(words[:3000], 32, 200), longer)


@pytest.mark.parametrize("symbol", "√XOP#_*é…→│█")
def test_symbols_are_visible(symbol):
    mask = glyphs.cell_glyph(glyphs.printable(symbol), 9, 16)
    assert mask.max() > 100


def test_what_the_font_lacks_is_a_box_or_a_plain_stand_in():
    box = glyphs.glyph("\ufffd", 16)
    assert box.max() > 100
    for character in "\x00\x07\ud800\u200b":
        assert glyphs.printable(character) == "\ufffd"
    assert glyphs.printable("┌─┐→\t.") == "+-+>    ."


texts = st.text(st.sampled_from("ab W_√…\n") | st.characters(codec="utf-8"), max_size=120)


@given(texts, st.integers(30, 200), st.sampled_from((11, 16)))
def test_wrapped_lines_fit_and_lose_nothing(text, width, height):
    lines = glyphs.wrap(text, width, height, 10_000)
    assert all(glyphs.width_of(line, height) <= width for line in lines)
    assert all(glyphs.line_mask(line, height).shape[1] <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(glyphs.printable(text).split())


@given(texts, st.integers(1, 12), st.integers(1, 4))
def test_cut_off_text_ends_in_an_ellipsis(text, columns, most):
    whole = glyphs.wrap_cells(text, columns, 10_000)
    lines = glyphs.wrap_cells(text, columns, most)
    assert len(lines) == min(most, len(whole))
    assert all(len(line) <= columns for line in lines)
    if len(whole) > most:
        assert lines[-1].endswith("…")
        assert lines[:-1] == whole[: most - 1]
    else:
        assert lines == whole


# --- environments ---


@pytest.mark.parametrize("env_id", text_envs.ENV_IDS)
def test_environment_has_one_picture_shape(env_id):
    env = gym.make(env_id, obs_mode="text+image", render_mode="rgb_array")
    space: Any = env.observation_space
    for seed in range(3):
        observation, info = env.reset(seed=seed)
        over = False
        while not over:
            assert space.contains(observation)
            assert np.array_equal(env.render(), observation["image"])
            legal = info["legal_actions"]
            observation, _, terminated, truncated, info = env.step(legal[0] if legal else "?")
            over = terminated or truncated


def test_game_without_a_drawer_has_its_text_drawn():
    env = gym.make(CORRIDOR_ID, obs_mode="image")
    observation, _ = env.reset(seed=1)
    inner: Any = env.unwrapped
    expected = renderers.draw_text(inner.game.text(inner.get_state()), 32, inner.game.max_text)
    assert np.array_equal(observation["image"], expected)
    assert np.array_equal(inner.picture(), expected)
    after = env.step("right")[0]["image"]
    assert after.shape == expected.shape
    assert not np.array_equal(after, expected)
