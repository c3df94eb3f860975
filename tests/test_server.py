"""Evaluation over the network, against a real HTTP server on this machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from completions_server import (
    CompletionsServer,
    completion,
)

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
FAST = {"timeout": 5.0, "first_wait": 0.01}


def walk(request: dict) -> dict:
    """A player whose reply depends on the conversation alone."""
    moves = ["right || down", "down || right", "down"][len(request["messages"]) // 2 % 3]
    return completion(f"<answer>{moves}</answer>")


def says(text, **more):
    return lambda request: completion(text, **more)


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


@pytest.fixture(scope="module")
def small() -> Policy:
    """A model that has learned a little of the lake."""
    torch.set_num_threads(1)
    spec = LAKE.episodes()
    tokenizer = tiny_tokenizer(corpus(spec, 0, episodes=16), tags=("answer",))
    model = tiny_model(tokenizer, 0, TinyShape(hidden=32, layers=2, heads=2, context=2048))
    policy = Policy(model, tokenizer)
    imitate(policy, ChatTokens(tokenizer), spec, updates=30, batch_size=8, lr=3e-3, seed=5)
    return policy


def generated(policy: Policy):
    """Answer by transformers' own ``generate`` and chat template, none of the engine's code."""

    def answer(request: dict) -> dict:
        assert request["temperature"] == 0
        text = policy.tokenizer.apply_chat_template(
            request["messages"], tokenize=False, add_generation_prompt=True
        )
        prompt = policy.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        ids = policy.model.generate(
            **prompt, max_new_tokens=request["max_tokens"], do_sample=False
        )[0, prompt["input_ids"].shape[1] :].tolist()
        ended = ids[-1] == policy.tokenizer.eos_token_id
        said = policy.tokenizer.decode(ids[:-1] if ended else ids)
        tokens = prompt["input_ids"].shape[1] + len(ids)
        return completion(said, "stop" if ended else "length", tokens)

    return answer


def test_a_model_scores_over_the_network_what_it_scores_here(small, path):
    config = replace(LAKE, eval_episodes=len(SEEDS))
    here, played = Evaluator(small, ChatTokens(small.tokenizer), config, SEEDS[0]).run()
    small.eval()
    with CompletionsServer(generated(small)) as server:
        there = play(server, path, config, concurrency=3)
    assert score(there) == here
    assert 0 < here.successes < len(SEEDS)  # else equal scores would say little
    for one, other in zip(there, played, strict=True):
        assert [t.reply for t in one.turns] == [t.reply for t in other.turns]
        assert [t.observation for t in one.turns] == [t.observation for t in other.turns]
        assert (one.seed, one.end, one.system) == (other.seed, other.end, other.system)


# --- what is sent, what is kept ---


def test_a_request_holds_the_conversation_so_far(path):
    with CompletionsServer(walk) as server:
        (played,) = (
            play(server, path, seeds=[103], server_args=None)
            if False
            else play(server, path, seeds=[103])
        )
    assert len(server.requests) == len(played.turns) > 1
    for n, request in enumerate(server.requests):
        assert request["model"] == "small"
        assert (request["max_tokens"], request["temperature"]) == (16, 0.0)
        said = [("system", played.system)]
        for turn in played.turns[:n]:
            said += [("user", turn.observation), ("assistant", turn.reply)]
        said.append(("user", played.turns[n].observation))
        assert [(m["role"], m["content"]) for m in request["messages"]] == said
    assert len({request["seed"] for request in server.requests}) == len(server.requests)
    assert {seen.path for seen in server.seen} == {"/v1/chat/completions"}
    assert "Authorization" not in server.seen[0].headers
