"""``Verbalize``: a text environment out of any environment whose actions can be named."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import logger, spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import RecordConstructorArgs

from text_envs.env import INVALID, MAX_ACTION, MAX_NOTE, OVER, checked_penalty
from text_envs.game import PRINTABLE
from text_envs.spaces import TextSpace

Describe = Callable[[Any], str]
Success = Callable[[Any, float, bool, bool, dict[str, Any]], bool]
Info = dict[str, Any]


class Verbalize(gym.Wrapper[str, str, Any, Any], RecordConstructorArgs):
    """Turn observations into text by ``describe``, and text into actions by their names.

    It behaves as ``TextEnv`` does. An action is any string at all: a name, in any case and with
    white space around it, is played; anything else does not reach the environment, costs
    ``invalid_action_penalty`` and is said to be invalid. ``env.unwrapped`` is the ``Verbalize``
    itself, with ``rules`` and ``legal_actions()``; what is inside is ``env.unwrapped.env``.

    ``info`` is the environment's own with ``success``, ``action_is_valid``,
    ``action_is_effective`` (the description changed, or the episode ended) and ``legal_actions``;
    at reset also ``rules``. Where the environment's ``info`` has an ``action_mask``, the legal
    actions are those that it allows. What else is named is played all the same, and judged by the
    environment, unless ``refuse_masked`` is set.

        >>> import gymnasium as gym
        >>> def describe(observation):
        ...     position, velocity, angle, spin = observation
        ...     return f"Cart at {position:.2f}, pole leans {angle:.3f}, falls at {spin:.2f}."
        >>> env = Verbalize(
        ...     gym.make("CartPole-v1"),
        ...     describe,
        ...     actions={"left": 0, "right": 1},
        ...     rules="Keep the pole upright.",
        ...     success=lambda observation, reward, terminated, truncated, info: truncated,
        ... )
        >>> observation, info = env.reset(seed=0)
        >>> observation
        'Cart at 0.01, pole leans -0.046, falls at -0.05.'
        >>> env.step("Left")[:2]
        ('Cart at 0.01, pole leans -0.047, falls at 0.23.', 1.0)
        >>> observation, reward, *_ = env.step("jump")
        >>> observation.split("\\n")[0], reward
        ('Invalid move. Legal moves: left, right.', -0.1)

    Args:
        env: any environment.
        describe: makes a text of an observation. This and ``success`` may also be written as
            ``"module:function"``, which is what an environment spec keeps as JSON. What is to be
            pickled takes functions of a module.
        actions: name -> action of ``env``; the names are different in lower case too.
        rules: what a player is told; the names of the actions are added.
        success: whether a step, by what it returned (observation, reward, terminated, truncated,
            info), reached the goal. Left out: ``info["success"]`` or ``info["is_success"]`` of the
            environment, else ``False``.
        invalid_action_penalty: reward of a text that is not an action, at most 0.
        max_text: characters of the longest description. A longer one raises ``ValueError``.
        charset: every character that a description may have; printable ASCII if left out. Another
            one raises ``ValueError``.
        refuse_masked: take an action that ``action_mask`` forbids for no action.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        describe: Describe | str,
        actions: Mapping[str, Any],
        rules: str = "",
        success: Success | str | None = None,
        invalid_action_penalty: float = -0.1,
        max_text: int = 1000,
        charset: str | None = None,
        refuse_masked: bool = False,
    ) -> None:
        RecordConstructorArgs.__init__(
            self,
            describe=describe,
            actions=actions,
            rules=rules,
            success=success,
            invalid_action_penalty=invalid_action_penalty,
            max_text=max_text,
            charset=charset,
            refuse_masked=refuse_masked,
        )
        super().__init__(env)
        if not isinstance(max_text, int) or max_text < 1:
            raise ValueError(f"max_text={max_text!r} must be a whole number of at least 1")
        if not isinstance(refuse_masked, bool):
            raise ValueError(f"refuse_masked={refuse_masked!r} must be True or False")
        self.actions = _checked_actions(actions, env.action_space)
        self._described = _function("describe", describe)
        self._succeeded = None if success is None else _function("success", success)
        self.rules = f"{rules}\nMoves: {', '.join(self.actions)}.".strip()
        self.invalid_action_penalty = checked_penalty(
            "invalid_action_penalty", invalid_action_penalty
        )
        self.max_text, self.refuse_masked = max_text, refuse_masked
        self._charset = PRINTABLE if charset is None else frozenset(charset)
        characters = PRINTABLE | frozenset("".join(self.actions))
        self.action_space = TextSpace(MAX_ACTION, characters)
        self.observation_space = TextSpace(max_text + MAX_NOTE + 1, self._charset | characters)
        self._text: str | None = None

    # --- Gymnasium ---

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[str, Info]:
        """Start an episode."""
        observation, self._inner = self.env.reset(seed=seed, options=options)
        self._ends = False, False
        self._text = self._describe(observation)
        self._legal = self._unmasked(self._inner)
        return self._text, {**self._info(False, True, False), "rules": self.rules}

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Make a move. Raises ``gymnasium.error.InvalidAction`` for anything but a string."""
        if not isinstance(action, str):
            raise gym.error.InvalidAction(
                f"an action is a str, this is a {type(action).__name__}: {action!r:.100}"
            )
        if self._text is None:
            raise gym.error.ResetNeeded("step() before reset()")
        if any(self._ends):
            logger.warn("step() after the game has ended does nothing; call reset().")
            return self._unmoved(OVER, 0.0)
        name = action.strip().lower()
        if name not in self.actions or (self.refuse_masked and name not in self._legal):
            return self._unmoved(self._refusal(self._legal), self.invalid_action_penalty)
        result = self.env.step(self.actions[name])
        observation, reward, terminated, truncated, self._inner = result
        before, self._text = self._text, self._describe(observation)
        self._ends = ends = bool(terminated), bool(truncated)
        self._legal = () if any(ends) else self._unmasked(self._inner)
        told = self._inner.get("success", self._inner.get("is_success", False))
        success = told if self._succeeded is None else self._succeeded(*result)
        info = self._info(bool(success), True, self._text != before or any(ends))
        return self._text, float(reward), *ends, info

    @property
    def unwrapped(self) -> "Verbalize":
        """The ``Verbalize`` itself: what is underneath has neither its spaces nor rules."""
        return self

    @property
    def spec(self) -> EnvSpec | None:
        """Spec of this environment; ``gym.make`` sets it where an id stands for this one."""
        return super().spec

    @spec.setter
    def spec(self, spec: EnvSpec) -> None:
        self._cached_spec = spec

    @property
    def _np_random(self) -> np.random.Generator | None:  # pyright: ignore[reportIncompatibleMethodOverride] (a Wrapper has none, an unwrapped environment has)
        return self.env.unwrapped._np_random

    # --- what trainers and wrappers may ask ---

    def legal_actions(self) -> tuple[str, ...]:
        """Names of the actions that are allowed now; none once the episode is over."""
        if self._text is None:
            raise gym.error.ResetNeeded("there is no state before reset()")
        return self._legal

    # --- private ---

    def _info(self, success: bool, valid: bool, effective: bool) -> Info:
        return {
            **self._inner,
            "success": success,
            "action_is_valid": valid,
            "action_is_effective": effective,
            "legal_actions": self._legal,
        }

    def _unmoved(self, note: str, reward: float) -> tuple[str, float, bool, bool, Info]:
        self._inner = deepcopy(self._inner)  # the caller owns what the last step returned
        terminated, truncated = self._ends
        info = self._info(False, False, False)
        return f"{note}\n{self._text}", reward, terminated, truncated, info

    def _refusal(self, legal: tuple[str, ...]) -> str:
        listed = f"{INVALID} Legal moves: {', '.join(legal)}." if legal else INVALID
        return listed if len(listed) <= MAX_NOTE else INVALID

    def _unmasked(self, info: Info) -> tuple[str, ...]:
        mask, space = info.get("action_mask"), self.env.action_space
        if mask is None or not isinstance(space, spaces.Discrete):
            return tuple(self.actions)
        return tuple(name for name, action in self.actions.items() if mask[action - space.start])

    def _describe(self, observation: Any) -> str:
        text = self._described(observation)
        if not isinstance(text, str):
            raise ValueError(f"describe must return a str, it returned {text!r:.200}")
        if len(text) > self.max_text:
            raise ValueError(
                f"describe returned {len(text)} characters, max_text={self.max_text} allows fewer:"
                f" raise it, or say less: {text!r:.200}"
            )
        if not self._charset.issuperset(text):
            strange = "".join(sorted(set(text) - self._charset))
            raise ValueError(f"describe returned {strange!r:.200}: name every character in charset")
        return text


def _checked_actions(actions: Any, space: spaces.Space[Any]) -> dict[str, Any]:
    if not isinstance(actions, Mapping) or not actions:
        raise ValueError(f"actions={actions!r:.200} must be a dict: name -> action, at least one")
    named: dict[str, Any] = {}
    for name, action in actions.items():
        if not isinstance(name, str) or not name or name != name.strip().lower():
            raise ValueError(
                f"actions: the name {name!r} must be a text in lower case, without white space"
                " around it: what is written is read that way"
            )
        if not space.contains(action):
            raise ValueError(f"actions: {name!r} stands for {action!r}, which is not in {space}")
        named[name] = action
    return named


def _function(name: str, value: Any) -> Callable[..., Any]:
    if isinstance(value, str):
        module, _, attribute = value.partition(":")
        try:
            value = getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"{name}={value!r} is not 'module:function': {error}") from error
    if not callable(value):
        raise ValueError(f"{name}={value!r} must be a function, or 'module:function'")
    return value
