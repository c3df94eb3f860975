"""Episodes as frames: one played live, or one played again from the replies that were saved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isclose
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from renderers.transcript import Frame
from text_envs.agents import Agent
from text_envs.chat import ChatEnv


def episode_frames(
    env: gym.Env[Any, str],
    agent: Agent,
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
) -> Iterator[Frame]:
    """Play one episode, yielding its start and every move of it.

    ``env`` must end its episodes by itself or by a limit, as those of ``gym.make`` do.
    """
    observation, info = env.reset(seed=seed, options=options)
    title = _title(env, seed)
    yield Frame(picture_of(env), title, "start", _text(observation))
    total, number, over = 0.0, 0, False
    while not over:
        move = agent.act(env, observation, info)
        observation, reward, terminated, truncated, info = env.step(move)
        number += 1
        total += float(reward)
        over = terminated or truncated
        yield Frame(
            picture_of(env),
            title,
            f"move {number}",
            _text(observation),
            moves=(move,),
            current=0,
            reward=float(reward),
            total=total,
            note=_note(info, terminated, truncated),
        )


def replay_frames(
    env: ChatEnv,
    replies: Sequence[str],
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    rewards: Sequence[float] | None = None,
) -> list[Frame]:
    """Play the replies of a saved episode again.

    Every turn gives a frame with what was thought and the moves that were written, then one for
    every move that was played.

    Args:
        env: the chat environment that the episode was played in; it is reset.
        replies: whole replies, as the model wrote them, one a turn.
        seed: that of the episode.
        options: reset options of the episode.
        rewards: those of the turns, where they are known, to check the replay against.

    Raises:
        TypeError: ``env`` is not a ``ChatEnv``.
        ValueError: the replay ends before the replies do, or its rewards are not ``rewards``: the
            episode is one of another seed or another environment.
    """
    if not isinstance(env, ChatEnv):
        raise TypeError(f"env must be a text_envs.ChatEnv, this is {env!r}")
    if rewards is not None and len(rewards) != len(replies):
        raise ValueError(f"{len(replies)} replies come with {len(rewards)} rewards")
    camera = _Camera(env.env)
    chat = ChatEnv(camera, env.protocol, env.max_turns, env.max_actions, env.format_penalty)
    chat.reset(seed=seed, options=options)
    title = _title(env, seed)
    frames = [Frame(camera.shot.picture, title, "start", camera.shot.text)]
    over = False
    for turn, reply in enumerate(replies, 1):
        if over:
            raise ValueError(
                f"the replay ends with turn {turn - 1}, but there are {len(replies)} replies:"
                " they belong to another seed or another environment"
            )
        start = Frame(
            camera.shot.picture,
            title,
            f"turn {turn} of {env.max_turns}",
            camera.shot.text,
            total=frames[-1].total,
        )
        reward, over, shown = _turn(chat, camera, reply, start)
        if rewards is not None and not isclose(reward, rewards[turn - 1], abs_tol=1e-5):
            raise ValueError(
                f"turn {turn} earns {reward:g} in the replay, {rewards[turn - 1]:g} in the saved"
                " episode, which belongs to another seed or another environment"
            )
        frames += shown
    return frames


def picture_of(env: gym.Env[Any, Any]) -> np.ndarray:
    """Draw what ``env`` shows now: by its own ``picture()``, or as ``rgb_array``.

    Raises ``ValueError`` for an environment that can do neither.
    """
    own = getattr(env.unwrapped, "picture", None)
    if own is not None:
        return own()
    if env.render_mode != "rgb_array":
        raise ValueError(f"{env} draws no pictures; make it with render_mode='rgb_array'")
    picture = env.render()
    assert isinstance(picture, np.ndarray)  # that is what this render mode means
    return picture


_OUT = "No moves left."


class _Shot(NamedTuple):
    """What there is to see after a move."""

    picture: np.ndarray
    text: str
    reward: float = 0.0
    note: str = ""


class _Camera(gym.Wrapper[Any, str, Any, str]):
    """Takes a picture at reset and after every move."""

    def __init__(self, env: gym.Env[Any, str]) -> None:
        super().__init__(env)
        self.shots: list[_Shot] = []

    @property
    def shot(self) -> _Shot:
        """The latest one."""
        return self.shots[-1]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = self.env.reset(seed=seed, options=options)
        self.shots = [_Shot(picture_of(self.env), _text(observation))]
        return observation, info

    def step(self, action: str) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        note = _note(info, terminated, truncated)
        picture = picture_of(self.env)
        self.shots.append(_Shot(picture, _text(observation), float(reward), note))
        return observation, reward, terminated, truncated, info


def _turn(
    chat: ChatEnv, camera: _Camera, reply: str, start: Frame
) -> tuple[float, bool, list[Frame]]:
    """Play one reply. Returns (reward of the turn, whether the episode is over, its frames)."""
    before = len(camera.shots)
    _, reward, terminated, truncated, info = chat.step(reply)
    shots = camera.shots[before:]
    penalty = reward - sum(shot.reward for shot in shots)
    thinking = replace(
        start,
        thought=_thought(info["sections"], reply),
        moves=chat.protocol.parse(reply).actions,
    )
    if not info["well_formed"]:
        note = "The reply is not in the form asked for."
        thinking = replace(thinking, reward=penalty, total=start.total + penalty, note=note)
    frames = [thinking]
    for place, shot in enumerate(shots):
        frames.append(
            replace(
                thinking,
                picture=shot.picture,
                observation=shot.text,
                current=place,
                reward=shot.reward,
                total=frames[-1].total + shot.reward,
                note=shot.note,
            )
        )
    last = frames[-1]
    if truncated and not terminated and _OUT not in last.note:
        frames[-1] = replace(last, note=f"{last.note} {_OUT}".strip())
    return reward, terminated or truncated, frames


def _note(info: Mapping[str, Any], terminated: bool, truncated: bool) -> str:
    notes = []
    if not info.get("action_is_valid", True):
        notes.append("Not a valid move.")
    elif not info.get("action_is_effective", True):
        notes.append("Nothing changes.")
    if info.get("success", False):
        notes.append("Success!")
    elif terminated:
        notes.append("The game is over.")
    elif truncated:
        notes.append(_OUT)
    return " ".join(notes)


def _thought(sections: Mapping[str, str], reply: str) -> str:
    """What a reply says before its answer; all of it where it has no section that could be read."""
    if not sections:
        return reply.strip()
    thoughts = {name: text.strip() for name, text in sections.items() if name != "answer"}
    if len(thoughts) == 1:
        return next(iter(thoughts.values()))
    return "\n".join(f"{name}: {text}" for name, text in thoughts.items())


def _text(observation: Any) -> str:
    text = observation["text"] if isinstance(observation, Mapping) else observation
    return text if isinstance(text, str) else ""


def _title(env: gym.Env[Any, Any], seed: int | None) -> str:
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    return name if seed is None else f"{name}, seed {seed}"
