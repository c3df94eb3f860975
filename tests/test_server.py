"""Evaluation over the network, against a real HTTP server on this machine."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from completions_server import CompletionsServer, completion, garbage, status

from starpo_plugin.__main__ import main
from starpo_plugin.chat_client import Endpoint
from starpo_plugin.config import TrainConfig
from starpo_plugin.episode_file import EpisodeFile
from starpo_plugin.evaluate import Evaluator, score
from starpo_plugin.policy import Policy
from starpo_plugin.server import ServerPlayer, settings
from starpo_plugin.tiny import TinyShape, tiny_model, tiny_tokenizer
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.warmup import corpus, imitate

LAKE = TrainConfig(
    env="TextFrozenLake-v0",
    env_args=("size=3",),
    eval_args=(),
    max_turns=3,
    max_actions=6,
    max_actions_per_turn=2,
    format="answer",
    max_reply_tokens=16,
    eval_temperature=0.0,
)
SEEDS = range(100, 112)
FAST = {"timeout": 20.0, "first_wait": 0.01}


def walk(request: dict) -> dict:
    """A player whose reply depends on the conversation alone."""
    moves = ["right || down", "down || right", "down"][len(request["messages"]) // 2 % 3]
    return completion(f"<answer>{moves}</answer>")


def play(
    server: CompletionsServer | str,
    path: Path,
    config: TrainConfig = LAKE,
    seeds=SEEDS,
    concurrency: int = 4,
    **patience,
) -> list[Trajectory]:
    """Play the seeds that the file lacks."""
    url = server if isinstance(server, str) else server.url
    endpoint = Endpoint(url, "small", **{**FAST, **patience})
    file = EpisodeFile(path, settings(config, endpoint))
    player = ServerPlayer(endpoint, config, file, concurrency, np.random.default_rng(0))
    return player.run(seeds)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for name in ("OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> list[Trajectory]:
    """What ``walk`` plays if nothing goes wrong."""
    with CompletionsServer(walk) as server:
        return play(server, tmp_path_factory.mktemp("plain") / "episodes.jsonl")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "episodes.jsonl"


# --- a real model ---


BOARD_ALONE = replace(LAKE, system_template="", user_template="{observation}")


@pytest.fixture(scope="module")
def small() -> Policy:
    """A model that has learned a little of the lake."""
    torch.set_num_threads(1)
    spec = BOARD_ALONE.episodes()
    tokenizer = tiny_tokenizer(corpus(spec, 0, episodes=16), tags=("answer",))
    model = tiny_model(tokenizer, 0, TinyShape(hidden=32, layers=1, heads=2, context=512))
    policy = Policy(model, tokenizer)
    imitate(policy, ChatTokens(tokenizer), spec, updates=60, batch_size=8, lr=5e-3, seed=5)
    policy.eval()
    return policy


def generated(policy: Policy):
    """Answer by transformers' own ``generate`` and chat template, none of the engine's code."""

    def answer(request: dict) -> dict:
        assert request["temperature"] == 0
        text = policy.tokenizer.apply_chat_template(
            request["messages"], tokenize=False, add_generation_prompt=True
        )
        prompt = policy.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        whole = policy.model.generate(
            **prompt, max_new_tokens=request["max_tokens"], do_sample=False
        )[0].tolist()
        ids = whole[prompt["input_ids"].shape[1] :]
        ended = ids[-1] == policy.tokenizer.eos_token_id
        said = policy.tokenizer.decode(ids[:-1] if ended else ids)
        return completion(said, "stop" if ended else "length", len(whole))

    return answer


def test_a_model_scores_over_the_network_what_it_scores_here(small, path):
    config = replace(BOARD_ALONE, eval_episodes=len(SEEDS))
    here, played = Evaluator(small, ChatTokens(small.tokenizer), config, SEEDS[0]).run()
    with CompletionsServer(generated(small)) as server:
        there = play(server, path, config, concurrency=3)
    assert score(there) == here
    assert 0 < here.successes < len(SEEDS)  # else equal scores would say little
    for one, other in zip(there, played, strict=True):
        assert [t.reply for t in one.turns] == [t.reply for t in other.turns]
        assert [t.observation for t in one.turns] == [t.observation for t in other.turns]
        assert (one.seed, one.end, one.system) == (other.seed, other.end, other.system)
        tokens = len(other) - (other.end != "truncated")
        assert one.turns[-1].info["tokens"] in (tokens, tokens + 1)


# --- what is sent ---


def test_a_request_holds_the_conversation_so_far(path):
    with CompletionsServer(walk) as server:
        (played,) = play(server, path, seeds=[103])
    assert len(server.requests) == len(played.turns) > 1
    for n, request in enumerate(server.requests):
        assert request["model"] == "small"
        assert (request["max_tokens"], request["temperature"]) == (16, 0.0)
        said = [("system", played.system)]
        for turn in played.turns[:n]:
            said += [("user", turn.observation), ("assistant", turn.reply)]
        said.append(("user", played.turns[n].observation))
        assert [(m["role"], m["content"]) for m in request["messages"]] == said
    assert {seen.path for seen in server.seen} == {"/v1/chat/completions"}
    assert "Authorization" not in server.seen[0].headers


def test_the_same_turn_is_drawn_with_the_same_seed(tmp_path):
    draws = []
    for name in ("one", "other"):
        with CompletionsServer(walk) as server:
            play(server, tmp_path / name)
        draws.append({str(r["messages"]): r["seed"] for r in server.requests})
    assert draws[0] == draws[1]
    assert len(set(draws[0].values())) == len(draws[0])


def test_no_system_template_no_system_message(path):
    with CompletionsServer(walk) as server:
        play(server, path, BOARD_ALONE, seeds=[100])
    assert server.requests[0]["messages"][0]["role"] == "user"


def test_fields_of_a_request_can_be_added_changed_and_left_out(path):
    extra = {"top_p": 0.9, "seed": None, "max_tokens": 7}
    with CompletionsServer(walk) as server:
        play(server, path, seeds=[100], extra=extra)
    assert server.requests[0].keys() == {"model", "messages", "temperature", "top_p", "max_tokens"}
    assert server.requests[0]["max_tokens"] == 7


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_an_address_may_end_in_what_documents_say(ending, path):
    with CompletionsServer(walk) as server:
        play(server.url.removesuffix("/v1") + ending, path, seeds=[100])


@pytest.mark.parametrize("concurrency", [1, 4, 30])
def test_as_many_at_once_as_allowed(concurrency, path, expected):
    most = min(concurrency, len(SEEDS))
    with CompletionsServer(walk) as server:
        server.wait_for = most  # the first answer waits for that many requests
        assert play(server, path, concurrency=concurrency) == expected
    assert server.most == most


# --- what is made of replies ---


def test_anything_that_a_model_writes_is_a_reply(path):
    said = ["", "\x00\x1b[31m", "\ud83d", "<answer>", "{" * 500, None, "\ud83d\ude00", "\u2028"]
    replies = iter(said * 50)

    def odd(request):
        return completion(next(replies))

    with CompletionsServer(odd) as server:
        played = play(server, path, concurrency=1)
    kept = {turn.reply for episode in played for turn in episode.turns}
    replaced = {"\ud83d": "\N{REPLACEMENT CHARACTER}", None: "", "\ud83d\ude00": "\U0001f600"}
    assert kept == {replaced.get(text, text) for text in said}
    assert play("http://127.0.0.1:9", path) == played  # all of it can be read again


def test_reasoning_is_kept_but_neither_played_nor_sent_back(path):
    def thinker(request):
        assert "secret" not in str(request["messages"])
        name = ["reasoning_content", "reasoning"][len(request["messages"]) // 2 % 2]
        return completion("<answer>right</answer>", **{name: "<answer>secret</answer>"})

    with CompletionsServer(thinker) as server:
        (played,) = play(server, path, seeds=[100])
    assert {turn.info["reasoning"] for turn in played.turns} == {"<answer>secret</answer>"}
    assert {turn.info["actions"] for turn in played.turns} == {("right",)}
    assert '"reasoning": "<answer>secret' in path.read_text()


def test_a_reply_that_is_all_reasoning_is_empty(path):
    with CompletionsServer(lambda r: completion(None, "length", reasoning="hm")) as server:
        (played,) = play(server, path, seeds=[100])
    assert [turn.reply for turn in played.turns] == [""] * LAKE.max_turns
    assert not played.turns[0].info["well_formed"]


def test_a_conversation_that_is_full_ends_its_episode(path):
    full = status(400, {"error": {"message": "This model's maximum context length is 99 tokens"}})
    with CompletionsServer(walk, {1: full}) as server:
        (played,) = play(server, path, seeds=[103])
    assert (played.end, len(played.turns)) == ("out_of_tokens", 1)


def test_max_tokens_are_counted_by_the_server(path):
    config = replace(LAKE, max_tokens=50)
    with CompletionsServer(lambda r: {**walk(r), "usage": {"total_tokens": 50}}) as server:
        (played,) = play(server, path, config, seeds=[103])
    assert (played.end, len(played.turns)) == ("out_of_tokens", 1)
    for usage in (None, {}, {"total_tokens": "many"}, {"total_tokens": True}):
        path.unlink()
        with CompletionsServer(lambda r, usage=usage: {**walk(r), "usage": usage}) as server:
            (played,) = play(server, path, config, seeds=[103])
        assert len(played.turns) > 1


# --- the command ---


GAME = ["--env", "TextFrozenLake-v0", "--env-args", "size=3", "--eval-args", "--max-turns", "3"]
GAME += ["--max-actions", "6", "--max-actions-per-turn", "2", "--format", "answer"]
GAME += ["--max-reply-tokens", "16", "--temperature", "0"]


def starpo_eval(server: CompletionsServer | str, *more: object) -> int:
    url = server if isinstance(server, str) else server.url
    argv = ["--server", url, "--server-model", "small", *GAME, "--seed", "100"]
    return main(["eval", *argv, "--episodes", str(len(SEEDS)), *map(str, more)])


def test_the_command_prints_the_score_between_its_yardsticks(capsys, path, expected):
    with CompletionsServer(walk) as server:
        assert starpo_eval(server, "--out", path) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if "%" in line]
    assert [row[0] for row in rows] == ["agent", "random", "small", "oracle"]
    assert f"{score(expected).success_rate:.1%}" in out
    assert f"episodes  {path}" in out
    first, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["settings"]["model"] == "small"
    assert first["server"] == server.url
    assert sorted(line["seed"] for line in lines) == list(SEEDS)
    assert set(lines[0]) == {"env", "seed", "noise_seed", "system", "success", "end", "turns"}
    assert set(lines[0]["turns"][0]) == {"observation", "reply", "reward", "info"}


def test_episodes_have_a_file_though_none_is_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with CompletionsServer(walk) as server:
        for name in ("small-TextFrozenLake-v0", "small-TextFrozenLake-v0-2"):
            assert starpo_eval(server) == 0
            assert f"runs/server/{name}.jsonl" in capsys.readouterr().out


def test_the_rest_is_played_after_the_server_died(capsys, path, expected):
    with CompletionsServer(walk) as server:
        server.dies_at = 14
        assert starpo_eval(server, "--out", path, "--retries", 0, "--concurrency", 3) == 1
    error = capsys.readouterr().err
    kept = len(path.read_text().splitlines()) - 1
    assert 0 < kept < len(SEEDS)
    for piece in (server.url, "check that it runs", f"{kept} episodes are in {path}", "--out"):
        assert piece in error
    with CompletionsServer(walk) as server:  # at another address
        assert starpo_eval(server, "--out", path) == 0
    over = {request["messages"][1]["content"] for request in server.requests}
    assert len(over) < len(SEEDS)
    assert play("http://127.0.0.1:9", path) == expected


@pytest.mark.usefixtures("obeys_ctrl_c")
def test_ctrl_c_loses_no_episode(capsys, path):
    def interrupt(handler):
        os.kill(os.getpid(), signal.SIGINT)
        handler.server.closing.wait(20)
        handler.close_connection = True

    with CompletionsServer(walk, {14: interrupt}) as server:
        assert starpo_eval(server, "--out", path, "--concurrency", 2) == 130
    kept = len(path.read_text().splitlines()) - 1
    assert kept > 0
    assert capsys.readouterr().err.startswith(f"starpo: stopped; {kept} episodes are in {path}")


def test_a_file_with_no_episode_is_not_left_behind(capsys, path):
    with CompletionsServer(walk, always=garbage("<html>Welcome!</html>")) as server:
        assert starpo_eval(server, "--out", path) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.rstrip().endswith("no episode was over yet")
    assert not path.exists()


@pytest.mark.parametrize("where", ["header", "echoed"])
def test_the_key_is_sent_and_shown_nowhere(where, capsys, path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", " sk-secret-0815\n")
    echo = status(401, {"error": {"message": "wrong key: sk-secret-0815"}})
    with CompletionsServer(walk, {20: echo if where == "echoed" else None}) as server:
        starpo_eval(server, "--out", path)
    assert server.seen[0].headers["Authorization"] == "Bearer sk-secret-0815"
    told = capsys.readouterr()
    assert "sk-secret" not in told.out + told.err + path.read_text()
    assert ("(the key)" in told.err) == (where == "echoed")
    assert "sk-secret" not in repr(Endpoint("http://x", "m", "sk-secret-0815"))


@pytest.mark.parametrize(
    ("argv", "pieces"),
    [
        (["eval", *GAME], ["CHECKPOINT_OR_RUN", "--server URL"]),
        (["eval", "--server-model", "m", "--retries", "2"], ["--server-model, --retries can't"]),
        (["--server-model", ""], ["--server-model NAME"]),
        (["--server", "localhost:8000"], ["'localhost:8000'", "http://HOST:PORT"]),
        (["--server", "http://"], ["'http://'"]),
        (["--server", "http://h:port/v1"], ["'http://h:port/v1'"]),
        (["--server", "ftp://h/v1"], ["'ftp://h/v1'"]),
        (["--server", "http://me:hush@h/v1"], ["--api-key-env"]),
        (["--concurrency", "0"], ["concurrency=0", "at least 1"]),
        (["--timeout", "0"], ["timeout=0.0", "above 0"]),
        (["--retries", "-1"], ["retries=-1", "at least 0"]),
        (["--server-args", "stream=True"], ["can't set stream"]),
        (["--server-args", "top_p"], ["'top_p'", "name=value"]),
        (["--server-args", "x={1}"], ["--server-args", "JSON"]),
        (["--api-key-env", "NO_SUCH_KEY"], ["NO_SUCH_KEY", "not set"]),
        (["--env", "TextSokobann-v0"], ["TextSokobann"]),
        (["--env-args", "size=3", "obs_mode='image'"], ["shows pictures"]),
    ],
)
def test_mistakes_are_named_before_anything_is_sent(argv, pieces, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with CompletionsServer(walk) as server:
        code = main(argv) if argv[0] == "eval" else starpo_eval(server, *argv)
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1
    assert "hush" not in error
    for piece in pieces:
        assert piece in error
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []
