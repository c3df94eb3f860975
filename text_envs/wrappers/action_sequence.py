"""``ActionSequence``: several moves as one action."""

from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from text_envs.spaces import TextSpace


class ActionSequence(gym.Wrapper[Any, str, Any, str], RecordConstructorArgs):
    """Play ``"up || left"`` as one step.

    The moves are played in turn and their rewards summed, until the episode ends or a move is not
    valid: those after it were meant for a position that never came about, and are not played. A
    text without a move in it goes to the environment as it is, which refuses it at its usual price.
    No text raises.

    ``info`` is that of the last move that was played, with ``success`` and ``action_is_effective``
    true if they were true for any of them, and ``action_is_valid`` if it was for all and none was
    left out for being more than ``max_actions``. It adds ``actions``: the moves that were played,
    without the white space around them; none at reset.

        >>> import gymnasium as gym
        >>> import text_envs
        >>> env = ActionSequence(gym.make("TextFrozenLake-v0"))
        >>> observation, info = env.reset(seed=0, options={"level": "SFG"})
        >>> observation, reward, terminated, truncated, info = env.step("right || jump || right")
        >>> info["actions"], reward, info["action_is_valid"]
        (('right', 'jump'), -0.1, False)

    Args:
        env: an environment whose actions are text.
        separator: what stands between two moves. No move may have it in itself.
        max_actions: moves that are played at most from one text.
    """

    def __init__(self, env: gym.Env[Any, str], separator: str = "||", max_actions: int = 5) -> None:
        RecordConstructorArgs.__init__(self, separator=separator, max_actions=max_actions)
        super().__init__(env)
        if not isinstance(separator, str) or not separator.strip():
            raise ValueError(f"separator={separator!r} must be a text that is not blank")
        if not isinstance(max_actions, int) or max_actions < 1:
            raise ValueError(f"max_actions={max_actions!r} must be a whole number of at least 1")
        space = env.action_space
        if not isinstance(space, spaces.Text):
            raise TypeError(f"ActionSequence needs actions that are text, {env} has {space}")
        self.separator, self.max_actions = separator, max_actions
        self.action_space = TextSpace(
            max_actions * (space.max_length + len(separator)),
            space.character_set | frozenset(separator),
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode. Raises ``ValueError`` if a legal move has the separator in it."""
        observation, info = self.env.reset(seed=seed, options=options)
        for move in info.get("legal_actions") or ():
            if self.separator in move:
                raise ValueError(
                    f"separator={self.separator!r} is part of the move {move!r}: choose another"
                )
        return observation, {**info, "actions": ()}

    def step(self, action: str) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play the moves of ``action``. Raises ``gymnasium.error.InvalidAction`` for anything but a
        string.
        """
        if not isinstance(action, str):
            raise gym.error.InvalidAction(
                f"an action is a str, this is a {type(action).__name__}: {action!r:.100}"
            )
        moves = [move.strip() for move in action.split(self.separator)]
        moves = [move for move in moves if move] or [action]
        played: list[str] = []
        total, success, effective = 0.0, False, False
        over = valid = False
        observation, terminated, truncated, info = None, False, False, {}
        for move in moves[: self.max_actions]:
            observation, reward, terminated, truncated, info = self.env.step(move)
            played.append(move)
            total += float(reward)
            success |= bool(info.get("success", False))
            effective |= bool(info.get("action_is_effective", True))
            valid = bool(info.get("action_is_valid", True))
            over = bool(terminated or truncated)
            if over or not valid:
                break
        info = {
            **info,
            "success": success,
            "action_is_valid": valid and (over or len(moves) <= self.max_actions),
            "action_is_effective": effective,
            "actions": tuple(played),
        }
        return observation, total, bool(terminated), bool(truncated), info
