"""Files of trajectories: what goes in comes out, or nothing does."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from starpo_kit import play, small_policy

from starpo_plugin import trajectory_file
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.trajectory_file import Origin, Vocabulary, find, read, read_origin, read_stored

ROOT = Path(__file__).parent.parent

# --- arbitrary trajectories ---

HOSTILE = ["\ud800", "\ud83d\ude00", "\ude00\ud83d", "😀", "\u2028", "\x85", "\r\n", '"\\', "\x00"]
texts = st.lists(
    st.text(st.characters(exclude_categories=()), max_size=6) | st.sampled_from(HOSTILE), max_size=4
).map("".join)
floats = st.floats(allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=6,
)
ids = st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple)
turns = st.builds(
    Turn,
    prompt_ids=ids,
    reply_ids=ids,
    logprobs=st.lists(floats, max_size=5).map(tuple),
    observation=texts,
    reply=texts,
    reward=floats,
    info=st.dictionaries(texts, plain, max_size=4),
)
trajectories = st.builds(
    Trajectory,
    env_id=texts,
    seed=st.integers(),
    group=st.integers(-(2**63), 2**63 - 1),
    member=st.integers(0, 2**63 - 1),
    turns=st.lists(turns, max_size=3).map(tuple),
    success=st.booleans(),
    end=st.sampled_from(["terminated", "truncated", "out_of_tokens"]),
    system=texts,
)
origins = st.builds(
    Origin,
    iteration=st.integers(0),
    vocabulary=st.none() | st.builds(Vocabulary, st.integers(0), texts),
    env_kwargs=st.dictionaries(texts, plain, max_size=2),
    config=st.dictionaries(texts, plain, max_size=2),
)


def exactly(value: Any) -> str:
    """Tells 0.0 from -0.0, 1 from 1.0 and True, and a tuple from a list."""
    return repr(value)


@given(batch=st.lists(trajectories, max_size=4), origin=origins)
def test_any_trajectories_come_back_exactly(batch, origin, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "000001"
    trajectory_file.write(path, batch, origin)
    stored = read_stored(path)
    assert exactly(stored.trajectories) == exactly(batch)
    assert exactly(stored.origin) == exactly(origin)
    assert exactly(read_origin(path)) == exactly(origin)


def test_numbers_that_equal_nothing_come_back_too(tmp_path):
    turn = Turn((1,), (2, 3), (float("nan"), float("-inf")), "", "", float("nan"))
    batch = [Trajectory("E-v0", 1, 0, 0, (turn,), False, "truncated")]
    trajectory_file.write(tmp_path / "f", batch)
    assert exactly(read(tmp_path / "f")) == exactly(batch)


def test_rollouts_come_back_equal(tmp_path):
    policy = small_policy()
    played = play(policy)
    trajectory_file.write(tmp_path / "f", played)
    assert read(tmp_path / "f") == played


def test_a_field_that_is_new_is_stored_as_text():
    """Nothing that a trajectory may get one day is lost without a word."""
    numbers = {*trajectory_file._TURN_ARRAYS, *trajectory_file._EPISODE_ARRAYS}
    words = {*trajectory_file._TURN_TEXTS, *trajectory_file._EPISODE_TEXTS}
    every = {f.name for kind in (Turn, Trajectory) for f in dataclasses.fields(kind)}
    assert numbers | words == every
    assert not numbers & words


def test_numbers_of_numpy_are_numbers(tmp_path):
    turn = Turn((), (), (), "", "", 0.0, {"flag": np.bool_(True), "n": np.int64(3)})
    batch = [Trajectory("E-v0", np.int64(7), 0, 0, (turn,), np.bool_(True), "terminated")]  # pyright: ignore[reportArgumentType]
    trajectory_file.write(tmp_path / "f", batch)
    assert read(tmp_path / "f") == batch


def test_what_json_cannot_say_is_refused_before_anything_is_written(tmp_path):
    turn = Turn((), (), (), "", "", 0.0, {"facts": {1, 2}})
    batch = [Trajectory("E-v0", 0, 0, 0, (turn,), True, "terminated")]
    with pytest.raises(ValueError, match=r"JSON: \{1, 2\} is a set"):
        trajectory_file.write(tmp_path / "f", batch)
    assert list(tmp_path.iterdir()) == []


def test_the_same_trajectories_are_the_same_bytes(tmp_path):
    """In another process too, whatever the order of its hashes."""
    batch = [
        Trajectory("E-v0", 0, 0, 0, (Turn((1,), (2,), (-0.5,), "a", "b", 1.0),), True, "terminated")
    ]
    trajectory_file.write(tmp_path / "one", batch, Origin(config={"b": 1, "a": 2}))
    program = (
        "import sys; from starpo_plugin.trajectory_file import *;"
        "stored = read_stored(sys.argv[1]); write(sys.argv[2], stored.trajectories, stored.origin)"
    )
    for hashes in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / "one", tmp_path / "two"],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            check=True,
        )
        for suffix in (".safetensors", ".jsonl"):
            one, two = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
            assert one.read_bytes() == two.read_bytes()


# --- what is damaged ---


@pytest.fixture
def pair(tmp_path) -> Path:
    trajectory_file.write(tmp_path / "000004", play(small_policy(), groups=1, members=2))
    return tmp_path / "000004.safetensors"


@pytest.mark.parametrize("suffix", [".safetensors", ".jsonl"])
def test_a_single_bit_that_changes_is_seen(pair, suffix):
    path = pair.with_suffix(suffix)
    whole = path.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 150)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=re.escape(str(pair))):
            read(pair)
    path.write_bytes(whole)
    assert len(read(pair)) == 2


@pytest.mark.parametrize("suffix", [".safetensors", ".jsonl"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_half_a_file_is_damaged_and_says_what_to_do(pair, suffix, share):
    path = pair.with_suffix(suffix)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"000004\.safetensors is damaged .*put a copy"):
        read(pair)


def test_texts_of_other_numbers_are_damage(pair, tmp_path):
    trajectory_file.write(tmp_path / "other", read(pair)[:1])
    (tmp_path / "other.jsonl").replace(pair.with_suffix(".jsonl"))
    with pytest.raises(ValueError, match="not what was written"):
        read(pair)


def test_one_of_the_pair_alone(pair):
    pair.with_suffix(".jsonl").unlink()
    with pytest.raises(ValueError, match=r"000004\.jsonl is not there: put it back"):
        read(pair)
    with pytest.raises(ValueError, match=r"there is no .*000004\.jsonl"):
        read_origin(pair)
    pair.unlink()
    with pytest.raises(ValueError, match=r"there is no .*000004\.safetensors.*--save-rollouts"):
        read(pair)


def test_another_version_is_named(pair, monkeypatch):
    batch = read(pair)
    monkeypatch.setattr(trajectory_file, "VERSION", 2)
    trajectory_file.write(pair, batch)
    monkeypatch.undo()
    for reader in (read, read_origin):
        with pytest.raises(ValueError, match=r"000004\..* version 2 .* reads version 1: use"):
            reader(pair)


def test_files_of_others_are_told_apart(tmp_path):
    save_file({"weight": np.zeros(3)}, tmp_path / "model.safetensors")
    for name in ("model.jsonl", "notes.jsonl", "list.jsonl"):
        (tmp_path / name).write_text('{"format": "x"}\n' if name == "notes.jsonl" else "[]\n")
    with pytest.raises(ValueError, match=r"model\.safetensors is not a file of trajectories"):
        read(tmp_path / "model")
    for name in ("model", "notes", "list"):
        with pytest.raises(ValueError, match=rf"{name}\.jsonl is not a file of trajectories"):
            read_origin(tmp_path / name)


def test_where_files_are_looked_for(tmp_path, pair):
    assert find(pair) == find(tmp_path) == find(tmp_path / "000004") == [pair]
    run = tmp_path / "run"
    for name in ("000010", "000002"):
        trajectory_file.write(run / "rollouts" / name, [])
    (run / "rollouts" / ".new-000011.safetensors").write_bytes(b"half")
    assert [p.stem for p in find(run)] == ["000002", "000010"]
    with pytest.raises(ValueError, match="there is no"):
        find(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no trajectories.*--save-rollouts"):
        find(tmp_path / "empty")


# --- what breaks off ---


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="file-size limits are POSIX")
def test_a_full_disk_leaves_the_older_pair(pair):
    import resource

    before = read(pair)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(OSError, match=r"000004\.safetensors can't be written .*free space"):
            trajectory_file.write(pair, play(small_policy(1), groups=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(pair) == before
    assert sorted(p.name for p in pair.parent.iterdir()) == ["000004.jsonl", "000004.safetensors"]


KILLED = """
import os, signal, sys
from pathlib import Path
from starpo_plugin import trajectory_file
left = int(sys.argv[2])
def counted(change):
    def call(*args, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*args, **more)
    return call
for name in ("open", "unlink", "replace"):
    setattr(Path, name, counted(getattr(Path, name)))
trajectory_file.write(sys.argv[1], [])
"""


def test_a_kill_at_any_step_leaves_a_whole_pair_or_none(pair):
    """The process is killed before its nth change of a name: old, none, or new; never a mixture."""
    old = read(pair)
    found = []
    for steps in range(6):
        trajectory_file.write(pair, old)
        subprocess.run([sys.executable, "-c", KILLED, pair, str(steps)], check=False)
        there = pair.exists()
        found.append({len(old): "old", 0: "new"}[len(read(pair))] if there else "none")
    assert found == ["old", "old", "old", "none", "none", "new"]


# --- the document ---


def test_the_document_reads_a_file_without_this_package(pair, tmp_path):
    """Its code block runs where there is no starpo_plugin, and finds what ``read`` finds."""
    block = re.search(
        r"```python\n(.*?)```", (ROOT / "docs" / "data.md").read_text("utf-8"), re.DOTALL
    )
    assert block
    code = block[1].replace("runs/lake/rollouts/000012", str(pair.with_suffix("")))
    assert len(block[1].strip().splitlines()) <= 25
    assert "starpo_plugin" not in code
    script = tmp_path / "reader.py"
    script.write_text(code + "\nprint(json.dumps(sequences))\n")
    told = subprocess.run(
        [sys.executable, "-P", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *shown, last = told.stdout.splitlines()
    assert shown
    for (tokens, sampled, logprobs), trajectory in zip(json.loads(last), read(pair), strict=True):
        turns = trajectory.turns
        assert tokens == [i for t in turns for i in t.prompt_ids + t.reply_ids]
        assert sampled == [
            s for t in turns for s in [False] * len(t.prompt_ids) + [True] * len(t.reply_ids)
        ]
        assert [p for p, s in zip(logprobs, sampled, strict=True) if s] == [
            p for t in turns for p in t.logprobs
        ]


def test_the_document_names_every_array_with_its_dtype_and_shape(pair):
    told = (ROOT / "docs" / "data.md").read_text("utf-8")
    arrays = trajectory_file._arrays(read(pair))
    for name, array in arrays.items():
        assert re.search(rf"^\| `{name}` \| {array.dtype} \|", told, re.MULTILINE), name
    assert len(re.findall(r"^\| `\w+` \| (?:int|float|bool)", told, re.MULTILINE)) == len(arrays)
    first, *episodes = pair.with_suffix(".jsonl").read_text().splitlines()
    named = {key for line in (first, *episodes) for key in json.loads(line)}
    for key in named | set(json.loads(episodes[0])["turns"][0]):
        assert f"`{key}`" in told, key
