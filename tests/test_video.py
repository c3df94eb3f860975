import gc
import sys
import warnings
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import run_python

from text_envs import ChatEnv, ChatProtocol
from text_envs.agents import OracleAgent, RandomAgent

pytest.importorskip("pygame")
iio = pytest.importorskip("imageio.v3")
from renderers.episodes import episode_frames, replay_frames  # noqa: E402
from renderers.transcript import PANEL_WIDTH, Frame, compose, contact_sheet  # noqa: E402
from renderers.video import record, record_turns, write_frames, write_video  # noqa: E402

SOKOBAN, LAKE, BANDIT = "TextSokoban-v0", "TextFrozenLake-v0", "TextBandit-v0"


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Grey pictures, each lighter than the one before."""
    return [np.full((height, width, 3), 20 + 12 * k, np.uint8) for k in range(count)]


BOARD = pictures(3)[2]


@contextmanager
def reading():
    """Imageio's reader of mp4 leaves pipes to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def read(path: Any) -> np.ndarray:
    with reading():
        return iio.imread(path)


# --- compose ---

texts = st.text(st.sampled_from("ab W_√\n🙂") | st.characters(), max_size=400)
frames = st.builds(
    Frame,
    picture=st.just(BOARD),
    title=texts,
    heading=texts,
    observation=texts,
    thought=texts | st.just("word " * 5000),
    moves=st.lists(texts, max_size=30).map(tuple),
    current=st.integers(-1, 29),
    reward=st.none() | st.floats(),
    total=st.floats(),
    note=texts,
)


@given(frames)
def test_nothing_is_written_outside_the_panel(frame):
    picture, empty = compose(frame), compose(Frame(BOARD))
    assert picture.dtype == np.uint8
    assert picture.shape == empty.shape
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    left = picture.shape[1] - PANEL_WIDTH
    assert np.array_equal(picture[:, : left + 10], empty[:, : left + 10])
    assert np.array_equal(picture[:, -12:], empty[:, -12:])
    assert np.array_equal(picture[:12], empty[:12])
    assert np.array_equal(picture[-8:], empty[-8:])


def test_every_part_of_a_frame_is_seen():
    full = {
        "picture": BOARD,
        "title": "title",
        "heading": "turn 1",
        "observation": "#_P",
        "thought": "push",
        "moves": ("up", "down"),
        "current": 0,
        "reward": 1.0,
        "total": 2.0,
        "note": "done",
    }
    changed = {
        "picture": BOARD + 9,
        "title": "another",
        "heading": "turn 2",
        "observation": "#P_",
        "thought": "pull",
        "moves": ("up", "left"),
        "current": 1,
        "reward": -1.0,
        "total": 3.0,
        "note": "",
    }
    seen = {compose(Frame(**{**full, name: value})).tobytes() for name, value in changed.items()}
    assert len(seen | {compose(Frame(**full)).tobytes()}) == len(full) + 1


def test_a_long_list_of_moves_shows_the_one_just_made():
    moves = tuple(f"move number {k}" for k in range(30))
    seen = {compose(Frame(BOARD, moves=moves, current=k)).tobytes() for k in range(30)}
    assert len(seen) == 30


def test_contact_sheet_holds_every_board():
    sheet = contact_sheet([Frame(p) for p in pictures(5)])
    for level in range(20, 80, 12):
        assert (sheet == level).all(axis=2).sum() >= 48 * 64


# --- files ---


@pytest.mark.parametrize(("suffix", "held"), [("mp4", 3), ("MP4", 3), ("gif", 0)])
def test_video_reads_back(tmp_path, suffix, held):
    shown = pictures(6)
    path = write_video(tmp_path / f"v.{suffix}", iter(shown), fps=2, hold=1.5)
    assert path == tmp_path / f"v.{suffix}"
    back = read(path)
    assert back.shape == (6 + held, 48, 64, 3)
    for number, picture in enumerate(back):
        assert np.abs(picture.astype(int) - shown[min(number, 5)]).mean() < 4
    assert list(tmp_path.iterdir()) == [path]


def test_mp4_speed_and_gif_speed(tmp_path):
    write_video(tmp_path / "v.mp4", pictures(4), fps=4, hold=0)
    with reading():
        assert iio.immeta(tmp_path / "v.mp4", plugin="FFMPEG")["fps"] == 4
    write_video(tmp_path / "v.gif", pictures(4), fps=4, hold=0)
    assert iio.immeta(tmp_path / "v.gif")["duration"] == 250


def test_odd_sides_get_a_copy_of_their_edge(tmp_path):
    write_video(tmp_path / "v.mp4", pictures(2, 47, 63), hold=0)
    back = read(tmp_path / "v.mp4")
    assert back.shape == (2, 48, 64, 3)
    assert np.abs(back[0].astype(int) - 20).max() < 6


@pytest.mark.parametrize(
    ("name", "shown", "options", "error", "said"),
    [
        ("v.avi", pictures(1), {}, ValueError, r"must end in \.mp4 or \.gif"),
        ("v", pictures(1), {}, ValueError, r"must end in \.mp4 or \.gif"),
        ("v.mp4", [], {}, ValueError, "no pictures"),
        ("v.mp4", pictures(1), {"fps": 0}, ValueError, "fps=0 must be above 0"),
        ("v.gif", pictures(1), {"fps": 60}, ValueError, "at most 50"),
        ("v.mp4", pictures(1), {"fps": float("nan")}, ValueError, "fps=nan"),
        ("v.mp4", pictures(1), {"hold": -1}, ValueError, "hold=-1"),
        ("v.mp4", pictures(1) + pictures(1, 32), {}, ValueError, "picture 1 is"),
        ("v.gif", [pictures(1)[0] / 2], {}, ValueError, "picture 0 must be uint8"),
        ("no/v.mp4", pictures(1), {}, FileNotFoundError, "no directory"),
        ("no/v.gif", pictures(1), {}, FileNotFoundError, "no directory"),
        ("folder.mp4", pictures(1), {}, IsADirectoryError, "is a directory"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, shown, options, error, said):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(error, match=said):
        write_video(tmp_path / name, shown, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.mp4"]


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_failure_on_the_way_leaves_the_old_file(tmp_path, suffix):
    def broken():
        yield from pictures(3)
        raise KeyError("the game broke")

    path = tmp_path / f"v.{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        write_video(path, broken())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_video(path, pictures(2))
    assert path.read_bytes() != b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to stand for a full disk")
@pytest.mark.parametrize("suffix", ["mp4", "gif", "png"])
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, suffix):
    code = f"""
import resource, numpy as np
from renderers.transcript import Frame
from renderers.video import write_frames
rng = np.random.default_rng(0)
noise = [Frame(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(6)]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    write_frames({str(tmp_path / f"v.{suffix}")!r}, noise)
except OSError as error:
    print(error)
"""
    said = run_python("-c", code)
    assert f"can't write v.{suffix}" in said.stdout
    assert list(tmp_path.iterdir()) == []


# --- episodes ---


@pytest.mark.parametrize("env_id", [SOKOBAN, LAKE, BANDIT])
def test_episode_frames_are_the_episode(env_id):
    env: Any = gym.make(env_id)
    shown = list(episode_frames(env, OracleAgent(), seed=3))
    env.reset(seed=3)
    assert np.array_equal(shown[0].picture, env.unwrapped.picture())
    total = 0.0
    for frame in shown[1:]:
        reward = env.step(frame.moves[0])[1]
        total += reward
        assert np.array_equal(frame.picture, env.unwrapped.picture())
        assert frame.reward == reward
        assert frame.total == pytest.approx(total)
    assert shown[-1].note == "Success!"


def test_record_writes_a_frame_a_move(tmp_path):
    env = gym.make(SOKOBAN)
    moves = len(list(episode_frames(env, OracleAgent(), seed=7))) - 1
    for name in ("e.gif", "e.mp4"):
        record(env, OracleAgent(), tmp_path / name, seed=7, hold=0)
        assert len(read(tmp_path / name)) == moves + 1
    record(env, OracleAgent(), tmp_path / "e.png", seed=7)
    assert read(tmp_path / "e.png").ndim == 3


def test_an_environment_without_pictures_is_refused(tmp_path):
    env: Any = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match="render_mode='rgb_array'"):
        record(env, RandomAgent(0), tmp_path / "e.mp4")


# --- replay ---

THINK = ChatProtocol()
replies = st.lists(
    st.lists(st.sampled_from(["up", "down", "left", "right", "jump", ""]), max_size=7)
    .map(" || ".join)
    .map(lambda answer: THINK.write({"think": "hm", "answer": answer}))
    | st.sampled_from(["no tags", "<answer>up</answer>", "<think>x</think>", ""]),
    min_size=1,
    max_size=5,
)


@given(replies, st.integers(0, 50))
def test_replay_is_the_episode_move_by_move(written, seed):
    env: Any = ChatEnv(gym.make(SOKOBAN, tile=4), THINK, max_turns=5, max_actions=10)
    env.reset(seed=seed)
    rewards, played, states = [], [], []
    for reply in written:
        _, reward, terminated, truncated, info = env.step(reply)
        rewards.append(reward)
        played.append(info["actions"])
        states.append(env.unwrapped.picture())
        if terminated or truncated:
            break
    written = written[: len(rewards)]

    shown = replay_frames(env, written, seed=seed, rewards=rewards)
    assert shown[-1].total == pytest.approx(sum(rewards))
    assert len(shown) == 1 + sum(1 + len(moves) for moves in played)
    place = 0
    for moves, state in zip(played, states, strict=True):
        thinking = shown[place + 1]
        assert thinking.current == -1
        assert np.array_equal(thinking.picture, shown[place].picture)
        made = shown[place + 2 : place + 2 + len(moves)]
        assert tuple(frame.moves[frame.current] for frame in made) == moves
        place += 1 + len(moves)
        assert np.array_equal(shown[place].picture, state)


def test_replay_shows_thoughts_moves_penalties_and_the_end():
    env = ChatEnv(gym.make(LAKE, fixed_corners=True, size=2, frozen=1.0), THINK)
    written = [
        "<think>Down!</think><answer>jump || down</answer>",
        "right",
        "<answer>right</answer>",
    ]
    shown = replay_frames(env, written, seed=0)
    assert [frame.thought for frame in shown] == ["", *["Down!"] * 3, "right", "", ""]
    assert [frame.current for frame in shown] == [-1, -1, 0, 1, -1, -1, 0]
    assert shown[1].moves == ("jump", "down")
    assert shown[2].note == "Not a valid move."
    assert [frame.reward for frame in shown[4:]] == pytest.approx([-0.1, -0.1, 1.0])
    assert "form" in shown[4].note
    assert shown[-1].note == "Success!"
    assert shown[-1].total == pytest.approx(0.7)


def test_replay_names_every_thinking_section():
    protocol = ChatProtocol(format="world")
    env = ChatEnv(gym.make(SOKOBAN), protocol)
    parts = {"observation": "a", "think": "b", "prediction": "c", "answer": "up"}
    shown = replay_frames(env, [protocol.write(parts)], seed=0)
    assert shown[1].thought == "observation: a\nthink: b\nprediction: c"


def test_replay_says_when_turns_run_out():
    env = ChatEnv(gym.make(SOKOBAN), THINK, max_turns=1)
    assert replay_frames(env, ["nothing"], seed=0)[-1].note.endswith("No moves left.")


def test_replay_of_another_episode_is_refused(tmp_path):
    env = ChatEnv(gym.make(SOKOBAN), THINK, max_turns=2)
    up = THINK.write({"think": "", "answer": "up"})
    with pytest.raises(ValueError, match="ends with turn 2, but there are 3 replies"):
        record_turns(env, [up] * 3, tmp_path / "r.mp4", seed=1)
    with pytest.raises(ValueError, match=r"turn 1 earns -0\.1 in the replay, 5 in the saved"):
        record_turns(env, [up], tmp_path / "r.mp4", seed=1, rewards=[5.0])
    with pytest.raises(ValueError, match="1 replies come with 2 rewards"):
        record_turns(env, [up], tmp_path / "r.mp4", seed=1, rewards=[0.0, 0.0])
    with pytest.raises(TypeError, match=r"must be a text_envs\.ChatEnv"):
        record_turns(env.env, [up], tmp_path / "r.mp4", seed=1)  # pyright: ignore[reportArgumentType]
    assert list(tmp_path.iterdir()) == []


def test_replay_of_a_slippery_lake_needs_its_noise_seed():
    env = ChatEnv(gym.make(LAKE, size=8, frozen=1.0, success_rate=1 / 3), THINK)
    reply = THINK.write({"think": "", "answer": "down || right || down || right || up"})
    ends = {
        replay_frames(env, [reply], seed=0, options={"noise_seed": k})[-1].picture.tobytes()
        for k in (1, 2, 1, 2)
    }
    assert len(ends) == 2


def test_record_turns_writes_a_frame_a_thought_and_a_move(tmp_path):
    env = ChatEnv(gym.make(SOKOBAN), THINK)
    reply = THINK.write({"think": "I try everything.", "answer": "up || down || left"})
    record_turns(env, [reply, reply], tmp_path / "r.mp4", seed=1, hold=0)
    assert len(read(tmp_path / "r.mp4")) == 1 + 2 * 4


# --- Gymnasium's own recorder ---


@pytest.mark.parametrize("env_id", [LAKE, BANDIT])
def test_gymnasiums_recorder_works(tmp_path, env_id):
    pytest.importorskip("moviepy")
    env: Any = gym.make(env_id, render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(tmp_path / "videos"), disable_logger=True)
    observation, info = env.reset(seed=0)
    over, agent, moves = False, OracleAgent(), 0
    while not over:
        action = agent.act(env, observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        over, moves = terminated or truncated, moves + 1
    env.close()
    (path,) = (tmp_path / "videos").glob("*.mp4")
    assert len(read(path)) == moves + 1


def test_frames_of_a_sheet_need_no_transcript(tmp_path):
    path = write_frames(tmp_path / "s.png", [Frame(p) for p in pictures(3)])
    assert np.array_equal(read(path), contact_sheet([Frame(p) for p in pictures(3)]))
