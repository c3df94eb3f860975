"""A stored episode played again: the facts and the picture of every state that its turns saw."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym

from starpo_plugin.episode import EpisodeSpec
from text_envs.chat import ChatEnv
from text_envs.png import encode


class Frame(NamedTuple):
    """A state between two turns."""

    facts: Mapping[str, Any] | None
    """``None`` where the environment has none."""
    picture: str | None
    """A PNG file as a data URL; ``None`` where there is no drawing it."""


@dataclass
class Replayer:
    """Plays episodes of one environment again.

    Args:
        spec: environment and limits.
        env_kwargs: over ``spec.env_kwargs``.
    """

    spec: EpisodeSpec
    env_kwargs: Mapping[str, Any]
    notes: dict[str, None] = field(default_factory=dict)
    """Why something can't be shown, each reason once, in order."""
    _env: ChatEnv | None = None

    def frames(self, episode: Mapping[str, Any]) -> list[Frame]:
        """States before each of an episode's turns, and after the last; none where it can't be
        played again, which ``notes`` then explains.

        Args:
            episode: as ``run_folder.episode_dict`` gives it.
        """
        try:
            return self._play(episode)
        except Exception as error:  # another project's environment may raise anything
            self.notes[f"An episode can't be played again: {type(error).__name__}: {error}"] = None
            return []

    def _play(self, episode: Mapping[str, Any]) -> list[Frame]:
        if self._env is None:
            self._env = self.spec.make(**self.env_kwargs)
        env = self._env
        options = {"noise_seed": episode["noise_seed"]}
        message, _ = env.reset(seed=episode["seed"], options=options)
        frames = []
        for turn in episode["turns"]:
            if message != turn["observation"]:
                self.notes[
                    "An episode can't be played again: the environment shows another state than"
                    " the policy saw."
                ] = None
                return []
            frames.append(self._frame(env))
            message, *_ = env.step(turn["reply"])
        return [*frames, self._frame(env)]

    def _frame(self, env: ChatEnv) -> Frame:
        game: Any = env.unwrapped
        facts = game.facts() if hasattr(game, "facts") else None
        return Frame(facts, self._picture(game) if hasattr(game, "picture") else None)

    def _picture(self, game: Any) -> str | None:
        try:
            file = encode(game.picture())
        except gym.error.DependencyNotInstalled as error:
            self.notes[f"There are no pictures: {error}."] = None
            return None
        return f"data:image/png;base64,{base64.b64encode(file).decode()}"
