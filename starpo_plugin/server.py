"""Episodes of a model behind an OpenAI-compatible server: no weights here, and no token ids.

The conversation so far is sent for each turn, and the server's template makes tokens of it. The
environment, its limits and the levels are those of any other evaluation, so the scores compare.
Episodes are written to a file as they end: a server that fails loses none of them.
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from starpo_plugin.chat_client import ChatClient, ChatReply, ContextFull, Endpoint, ServerError
from starpo_plugin.config import TrainConfig, parse_args, to_dict
from starpo_plugin.episode_file import EpisodeFile, free_path
from starpo_plugin.options import ENVIRONMENT, Serving
from starpo_plugin.play import NOISE
from starpo_plugin.rollout import TURN_INFO
from starpo_plugin.trajectory import End, Trajectory, Turn
from text_envs.chat import ChatEnv

SETTINGS = (
    *(*ENVIRONMENT, "curriculum", "eval_args", "context_turns"),
    *("max_reply_tokens", "max_tokens", "eval_temperature"),
)
"""Fields of the config that these episodes depend on."""

FOLDER = Path("runs/server")
"""Of files of episodes that were given no name."""

Progress = Callable[[int, str], None]


def open_player(command: Serving, config: TrainConfig) -> tuple["ServerPlayer", EpisodeFile]:
    """Make what ``starpo eval --server`` plays with, and the file that it writes.

    Raises ``ValueError`` for options that can't work; nothing is sent yet.
    """
    key = os.environ.get(command.api_key_env, "").strip()
    if not key and command.api_key_env != Serving.api_key_env:
        raise ValueError(f"--api-key-env {command.api_key_env}: that variable is not set, or empty")
    if command.concurrency < 1:
        raise ValueError(f"concurrency={command.concurrency} must be at least 1")
    endpoint = Endpoint(
        command.server or "",
        command.server_model,
        key,
        command.timeout,
        command.retries,
        extra=parse_args(command.server_args),
    )
    env = config.episodes().make(**parse_args(config.eval_args))
    if not isinstance(env.observation_space, gym.spaces.Text):
        raise ValueError(f"env {config.env!r} shows pictures, and only text is sent to a server")
    env.close()
    name = re.sub(r"[^\w.-]+", "-", f"{endpoint.model}-{config.env}").strip("-.")[:100]
    path = free_path(FOLDER / f"{name}.jsonl") if command.out is None else Path(command.out)
    file = EpisodeFile(path, settings(config, endpoint), {"server": endpoint.server})
    rng = np.random.default_rng(config.seed)
    return ServerPlayer(endpoint, config, file, command.concurrency, rng), file


def settings(config: TrainConfig, endpoint: Endpoint) -> dict[str, Any]:
    """Give all that an episode of a seed depends on, besides chance. Where the server is doesn't
    count: the same model may be served from elsewhere tomorrow.
    """
    values = to_dict(config)
    chosen = {name: values[name] for name in SETTINGS}
    return {"model": endpoint.model, "server_args": dict(endpoint.extra), **chosen}


class ServerPlayer:
    """Plays episodes with the model at an endpoint, several at once.

    Args:
        endpoint: the model.
        config: its environment, ``eval_args``, limits and ``eval_temperature``.
        file: where episodes are kept; those that it has already are not played again.
        concurrency: episodes that are played at once, each with a request under way.
        rng: of the jitter of waits. Nothing that is played depends on it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        config: TrainConfig,
        file: EpisodeFile,
        concurrency: int,
        rng: np.random.Generator,
    ) -> None:
        self._endpoint, self._config, self._file = endpoint, config, file
        self._concurrency, self._rng = concurrency, rng

    def run(self, seeds: Sequence[int], progress: Progress | None = None) -> list[Trajectory]:
        """Play one episode for each seed that the file doesn't have yet.

        Args:
            seeds: of the environment.
            progress: called with (episodes over, a remark) after each, and before each wait.

        Returns:
            The episodes in the order of ``seeds``, those that were in the file among them.

        Raises:
            ServerError: the server is out, refuses a request or answers nonsense. What was over by
                then is in the file.
        """
        missing = [seed for seed in seeds if seed not in self._file.episodes]
        if missing:
            asyncio.run(self._play_all(missing, len(seeds), progress or (lambda done, note: None)))
        return [self._file.episodes[seed] for seed in seeds]

    async def _play_all(self, missing: Sequence[int], total: int, progress: Progress) -> None:
        workers = min(self._concurrency, len(missing))
        waiting, before = iter(missing), len(self._file.episodes) + len(missing) - total

        def tell(note: str = "") -> None:
            progress(len(self._file.episodes) - before, note)

        envs = [
            self._config.episodes().make(**parse_args(self._config.eval_args))
            for _ in range(workers)
        ]
        async with ChatClient(self._endpoint, self._rng, workers, tell) as client:
            tasks = [asyncio.create_task(self._work(client, env, waiting, tell)) for env in envs]
            try:
                await asyncio.gather(*tasks)
            finally:  # the first failure ends all: what is under way is played again another time
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for env in envs:
                    env.close()

    async def _work(
        self, client: ChatClient, env: ChatEnv, waiting: Iterator[int], tell: Callable[[], None]
    ) -> None:
        for seed in waiting:  # shared: each worker takes the next
            self._file.add(await self._play(client, env, seed))
            tell()

    async def _play(self, client: ChatClient, env: ChatEnv, seed: int) -> Trajectory:
        # in a thread: a slow environment is not to hold up the answers of the others
        message, info = await asyncio.to_thread(env.reset, seed=seed, options=NOISE)
        system, end = info["system"], None
        opening = [{"role": "system", "content": system}] if system else []
        messages: list[dict[str, str]] = []
        turns: list[Turn] = []
        while end is None:
            messages.append({"role": "user", "content": message})
            try:
                reply = await client.reply(opening + messages, **self._sampling(seed, len(turns)))
            except ContextFull as error:
                if not turns:
                    raise ServerError(
                        f"{error}: there is no room for the first turn; serve the model with a"
                        " longer context, or lower --max-reply-tokens"
                    ) from error
                end = "out_of_tokens"
                break
            messages.append({"role": "assistant", "content": reply.text})
            if window := self._config.context_turns:
                messages = messages[max(0, len(messages) - 2 * (window - 1)) :]
            after = await asyncio.to_thread(env.step, reply.text)
            turns.append(_turn(message, reply, float(after[1]), after[4]))
            message, end = after[0], self._end(reply, terminated=after[2], truncated=after[3])
        success = any(turn.info["success"] for turn in turns)
        return Trajectory(self._config.env, seed, 0, 0, tuple(turns), success, end, system)

    def _sampling(self, seed: int, turn: int) -> dict[str, Any]:
        """Fields of a request that say how its reply is drawn; the same draw for the same turn."""
        return {
            "max_tokens": self._config.max_reply_tokens,
            "temperature": self._config.eval_temperature,
            "seed": int(np.random.SeedSequence([seed, turn]).generate_state(1)[0] >> 1),
        }

    def _end(self, reply: ChatReply, terminated: bool, truncated: bool) -> End | None:
        if terminated or truncated:
            return "terminated" if terminated else "truncated"
        full = reply.tokens is not None and reply.tokens >= self._config.max_tokens
        return "out_of_tokens" if full else None


def _turn(observation: str, reply: ChatReply, reward: float, info: dict[str, Any]) -> Turn:
    said = {name: info[name] for name in TURN_INFO}
    said |= {"finish": reply.finish, "tokens": reply.tokens}
    if reply.reasoning:
        said["reasoning"] = reply.reasoning
    return Turn((), (), (), observation, reply.text, reward, said)
