"""What goes wrong on the way to a server, and what is said and kept then."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from completions_server import (
    CompletionsServer,
    completion,
    cut,
    dribble,
    drop,
    garbage,
    hang,
    status,
)
from test_server import LAKE, SEEDS, expected, no_settings_of_this_machine, path, play, walk

from starpo_plugin.chat_client import MAX_ANSWER, Endpoint, ServerError, seconds_to_wait
from starpo_plugin.episode_file import EpisodeFile, as_record, free_path, from_record
from starpo_plugin.server import settings

__all__ = ["expected", "no_settings_of_this_machine", "path"]  # fixtures


# --- what passes ---


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([status(500, "oops"), status(500, "oops")], id="500 twice"),
        pytest.param([status(429, "", Retry_After="0")], id="429"),
        pytest.param([status(503, "<html>"), status(502), status(408), status(504)], id="proxies"),
        pytest.param([drop, cut, drop], id="dropped connections"),
        pytest.param({3: status(500), 5: drop, 6: cut, 9: status(529)}, id="now and then"),
    ],
)
def test_what_passes_changes_no_episode(faults, path, expected):
    with CompletionsServer(walk, faults) as server:
        assert play(server, path) == expected
    turns = sum(len(episode.turns) for episode in expected)
    assert len(server.requests) == turns + len(faults)


@pytest.mark.parametrize("fault", [hang, dribble])
def test_an_answer_that_takes_too_long_is_asked_for_again(fault, path, expected):
    with CompletionsServer(walk, {2: fault}) as server:
        assert play(server, path, timeout=0.5) == expected


def test_a_server_is_not_asked_again_before_the_time_it_names(path):
    with CompletionsServer(walk, [status(429, Retry_After="0.3")]) as server:
        play(server, path, seeds=[100])
    first, second = (seen.time for seen in server.seen[:2])
    assert second - first >= 0.3


def test_waits_grow_and_are_spread(path):
    with CompletionsServer(walk, [status(500)] * 4) as server:
        play(server, path, seeds=[100], first_wait=0.08, longest_wait=0.16)
    times = [seen.time for seen in server.seen[:5]]
    waits = [after - before for before, after in pairwise(times)]
    for wait, longest in zip(waits, [0.08, 0.16, 0.16, 0.16], strict=True):
        assert longest / 2 <= wait
    assert len(set(waits[1:])) == 3


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("nan", 0),
        ("soon", 0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2026 07:28:30 -0000", 30),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0),
        ("Wed, 99 Oct 2026", 0),
        (f"Wed, 21 Oct 2026 07:28:30 +{10**20}", 0),
    ],
)
def test_retry_after(header, seconds):
    now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    assert seconds_to_wait(header, now) == seconds


# --- what doesn't ---


BUSY = {"error": {"message": "too many\n requests", "type": "rate"}}


@pytest.mark.parametrize(
    ("fault", "pieces", "requests"),
    [
        (status(500, "<h1>Oops</h1>"), ["3 times in a row", "status 500", "Oops", "log"], 3),
        (status(429, BUSY), ["status 429", "'too many requests'", "--concurrency"], 3),
        (status(429, BUSY, Retry_After="3600"), ["at once", "again in 3600 s"], 1),
        (hang, ["no answer within 0.2 s", "--timeout"], 3),
        (drop, ["3 times", "remote protocol error", "check that it runs"], 3),
        (status(401, {"detail": "no key"}), ["status 401", "'no key'", "--api-key-env"], 1),
        (status(404, {"error": {"message": "no such model"}}), ["no such model", "/v1"], 1),
        (status(400, {"message": "temperature"}), ["'temperature'", "--server-args"], 1),
        (status(400, {"error": "context length"}), ["first turn", "--max-reply-tokens"], 1),
        (status(301, Location="https://h/v2"), ["sends on to https://h/v2", "--server"], 1),
        (garbage("<html>Welcome</html>"), ["not JSON", "'<html>Welcome</html>'", "--server"], 1),
        (garbage(""), ["not JSON", "empty body"], 1),
        (garbage(b"\xff\xfe\x00"), ["not JSON"], 1),
        (garbage("[" * 100_000), ["not JSON"], 1),
        (garbage("[]"), ["no choices[0].message"], 1),
        (garbage({"choices": []}), ["no choices[0].message"], 1),
        (garbage({"choices": None}), ["no choices[0].message"], 1),
        (garbage({"choices": [{"text": "x"}]}), ["no choices[0].message"], 1),
        (garbage({"error": {"message": "overloaded"}}), ["no choices", "'overloaded'"], 1),
        (garbage(completion(None, None)), ["content is null, not text"], 1),
        (garbage(completion([{"type": "text"}])), ["content is a list, not text"], 1),
        (garbage(completion(7)), ["content is a int, not text"], 1),
        (garbage(b" " * (MAX_ANSWER + 1)), ["more than"], 1),
        (status(200, b"this is no gzip", Content_Encoding="gzip"), ["can't be decoded"], 1),
    ],
)
def test_an_error_names_the_server_and_what_to_do(fault, pieces, requests, path):
    timeout = 0.2 if fault is hang else 20
    with (
        CompletionsServer(walk, always=fault) as server,
        pytest.raises(ServerError) as caught,
    ):
        play(server, path, concurrency=1, retries=2, timeout=timeout)
    error = str(caught.value)
    assert len(server.requests) == requests
    assert "\n" not in error
    assert len(error) < 800
    for piece in (server.url, *pieces):
        assert piece in error


def test_nobody_there(path):
    with CompletionsServer(walk) as server:
        pass
    with pytest.raises(ServerError, match=f"server {server.url} failed 2 times .*connect"):
        play(server, path, retries=1)


def test_what_was_over_is_kept_and_the_rest_is_played_later(path, expected):
    with (
        CompletionsServer(walk, dict.fromkeys(range(15, 99), status(503))) as server,
        pytest.raises(ServerError),
    ):
        play(server, path, retries=1)
    kept = path.read_bytes()
    over = {json.loads(line)["seed"] for line in kept.splitlines()[1:]}
    assert 0 < len(over) < len(SEEDS)
    with CompletionsServer(walk) as server:
        assert play(server, path) == expected
    assert path.read_bytes().startswith(kept)
    turns = sum(len(e.turns) for e in expected if e.seed not in over)
    assert len(server.requests) == turns


# --- the file ---


@pytest.fixture
def full(path, expected) -> Path:
    """A file that has all of the episodes."""
    file = EpisodeFile(path, settings(LAKE, Endpoint("http://127.0.0.1:9", "small")))
    for episode in expected:
        file.add(episode)
    return path


def test_records_read_back_as_they_were(full, expected):
    for episode in expected:
        assert from_record(json.loads(json.dumps(as_record(episode)))) == episode
    assert play("http://127.0.0.1:9", full) == expected  # nothing is asked


def test_more_and_fewer_episodes_of_the_same_file(full, expected):
    assert play("http://127.0.0.1:9", full, seeds=SEEDS[3:5]) == expected[3:5]
    with CompletionsServer(walk) as server:
        assert play(server, full, seeds=range(99, 112))[1:] == expected
    assert len({str(r["messages"][1]) for r in server.requests}) == 1


def test_a_line_that_a_kill_cut_short_is_played_again(full, expected):
    whole = full.read_bytes()
    for lost in (1, 30):
        full.write_bytes(whole[:-lost])
        with CompletionsServer(walk) as server:
            assert play(server, full) == expected
        assert server.requests
        assert len(full.read_bytes().splitlines()) == len(SEEDS) + 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [b"Dear diary,", *lines], "no file of episodes"),
        (lambda lines: [b"{}", *lines[1:]], "no file of episodes"),
        (lambda lines: [lines[0].replace(b": 1,", b": 9,", 1), *lines[1:]], "version 9"),
        (lambda lines: [lines[0], b"{", *lines[1:]], "line 2 is not JSON"),
        (lambda lines: [*lines[:3], b"[]", *lines[3:]], "line 4 is not an episode"),
        (lambda lines: [lines[0], lines[1].replace(b'"end"', b'"fin"')], "line 2 .*'end'"),
        (lambda lines: [b"Dear diary"], "no file of episodes"),
    ],
)
def test_other_files_are_left_alone(damage, message, full):
    damaged = b"\n".join(damage(full.read_bytes().splitlines())) + b"\n"
    full.write_bytes(damaged)
    with pytest.raises(ValueError, match=message) as caught:
        play("http://127.0.0.1:9", full)
    assert str(full) in str(caught.value)
    assert full.read_bytes() == damaged


def test_episodes_of_other_settings_are_not_mixed(full):
    hotter = replace(LAKE, eval_temperature=1.0, max_turns=2)
    with pytest.raises(ValueError, match=r"max_turns=3 and not 2, eval_temperature=0.0 and not 1"):
        play("http://127.0.0.1:9", full, hotter)


@pytest.mark.parametrize("changes", [{"context_turns": 1}, {"curriculum": ("size=4",)}])
def test_all_that_changes_episodes_is_a_setting(full, changes):
    with pytest.raises(ValueError, match=f"episodes of other settings, {next(iter(changes))}="):
        play("http://127.0.0.1:9", full, replace(LAKE, **changes))


def test_a_free_name(tmp_path):
    path = tmp_path / "a.jsonl"
    for name in ("a.jsonl", "a-2.jsonl", "a-3.jsonl"):
        assert free_path(path).name == name
        free_path(path).touch()
