"""``History``: the last turns, shown again in front of the present observation."""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from text_envs.env import IMAGE_TOKEN, NO_IMAGE
from text_envs.game import PRINTABLE
from text_envs.spaces import TextSpace

_CUT = "..."
_LONGEST_REWARD = -1.23456e-300  # 13 characters: no number takes more in the format "g"


class _Turn(NamedTuple):
    observation: str
    action: str
    reward: float


class History(gym.Wrapper[Any, str, Any, str], RecordConstructorArgs):
    """Show the last ``k`` turns in front of the present observation.

    For games whose observation does not tell what happened before, and for models without a memory
    of their own. The first observation of an episode is left as it is.

    An action is shown in one line: other white space than blanks, and what is longer than
    ``max_action``, is cut, and characters outside the observation space become ``?``, so that no
    text that a model writes gets an observation out of its space or passes for one. Only the text
    of a past observation is shown: ``<image>`` stands for the present picture alone.

        >>> import gymnasium as gym
        >>> import text_envs
        >>> env = History(gym.make("TextBandit-v0"), k=1)
        >>> observation, info = env.reset(seed=0)
        >>> observation, *_ = env.step("nobody")
        >>> observation.split("Now:")[0].split("Move:")[1]
        ' nobody\\nReward: -0.1\\n\\n'

    Args:
        env: an environment whose observations are text, or a dict with ``text``.
        k: turns that are shown at most.
        rewards: show what each turn earned.
        max_action: characters of an action that are shown, at least 4.
    """

    def __init__(
        self, env: gym.Env[Any, str], k: int = 3, rewards: bool = True, max_action: int = 200
    ) -> None:
        RecordConstructorArgs.__init__(self, k=k, rewards=rewards, max_action=max_action)
        super().__init__(env)
        for name, value, least in (("k", k, 1), ("max_action", max_action, len(_CUT) + 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")
        if not isinstance(rewards, bool):
            raise ValueError(f"rewards={rewards!r} must be True or False")
        self.k, self.rewards, self.max_action = k, rewards, max_action
        self.observation_space = self._widened(env.observation_space)
        self._turns: deque[_Turn] = deque(maxlen=k)
        self._text = ""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode, with nothing to remember."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._turns.clear()
        self._text = _text(observation)
        return observation, info

    def step(self, action: str) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Make a move and remember it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        past = self._text.replace(IMAGE_TOKEN, NO_IMAGE)
        self._turns.append(_Turn(past, self._shown(action), float(reward)))
        self._text = _text(observation)
        shown = self._joined(self._turns, self._text)
        if not isinstance(observation, str):
            shown = {**observation, "text": shown}
        return shown, reward, terminated, truncated, info

    def _shown(self, action: str) -> str:
        words = " ".join(action.split())
        if len(words) > self.max_action:
            words = words[: self.max_action - len(_CUT)] + _CUT
        cleaned = "".join(c if c in self._characters else "?" for c in words)
        return cleaned.replace(IMAGE_TOKEN, NO_IMAGE)

    def _joined(self, turns: Iterable[_Turn], now: str) -> str:
        turns = list(turns)
        parts = []
        for ago, turn in zip(range(len(turns), 0, -1), turns, strict=True):
            reward = f"Reward: {turn.reward:g}\n" if self.rewards else ""
            when = f"{ago} turn{'s' if ago > 1 else ''} ago:"
            parts.append(f"{when}\n{turn.observation}\nMove: {turn.action}\n{reward}\n")
        return "".join(parts) + f"Now:\n{now}"

    def _widened(self, space: spaces.Space[Any]) -> spaces.Space[Any]:
        if isinstance(space, spaces.Dict) and "text" in space.spaces:
            return spaces.Dict({**space.spaces, "text": self._widened(space["text"])})
        if not isinstance(space, spaces.Text):
            raise TypeError(f"History needs observations that are text, {self.env} has {space}")
        self._characters = space.character_set | PRINTABLE
        text = "x" * space.max_length
        turn = _Turn(text, "x" * self.max_action, _LONGEST_REWARD)
        return TextSpace(len(self._joined([turn] * self.k, text)), self._characters)


def _text(observation: Any) -> str:
    return observation if isinstance(observation, str) else observation["text"]
