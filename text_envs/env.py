"""``TextEnv``: any ``Game`` as a Gymnasium environment."""

import inspect
from functools import cache
from hashlib import blake2b
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any, Literal, SupportsFloat, get_args

import gymnasium as gym
import numpy as np
from gymnasium import logger, spaces

from text_envs.game import PRINTABLE, Game
from text_envs.spaces import TextSpace

ObsMode = Literal["text", "image", "text+image"]
Split = Literal["train", "test"]
Observation = str | dict[str, Any]

IMAGE_TOKEN = "<image>"
NO_IMAGE = "[image]"
"""Stands for a placeholder that no picture belongs to; as long, so that a text keeps its length."""
INVALID = "Invalid move."
OVER = "The game is over."
MAX_ACTION = 1024
MAX_NOTE = 512
"""Longest note of a game, in characters."""
TEST_SHARE = 0.1
MAX_DRAWS = 10_000


class TextEnv(gym.Env[Any, str]):
    """A text game that obeys Gymnasium.

    Observation: ``str``; with ``obs_mode="image"`` or ``"text+image"`` a dict with ``text`` (which
    has one ``<image>`` placeholder) and ``image``, uint8 ``[H, W, 3]``.

    Action: ``str``, any string at all. What the game does not take for a move leaves the state
    alone, costs ``invalid_action_penalty`` and is said to be invalid in ``info`` and at the top of
    the next observation.

    ``info`` has the keys ``success``, ``action_is_valid``, ``action_is_effective`` (the move
    changed the state) and ``legal_actions`` (``None`` where they can't be listed), at reset also
    ``rules``, and what the game's own docstring adds.

    Args:
        game: a ``Game``, a ``Game`` class, or ``"module:Class"``; the last two are made with
            ``params``.
        obs_mode: ``"text"``, ``"image"`` or ``"text+image"``.
        split: ``"train"`` or ``"test"`` draws only levels of that split; ``None`` draws any. A
            level's split depends on a hash of the level alone, so the two are disjoint whatever the
            seeds.
        levels: path of a file with levels in the game's own text form; ``reset(seed=i)`` then
            starts level ``i`` (modulo their number), a reset without a seed draws one.
        invalid_action_penalty: reward of a text that is not a move, at most 0.
        render_mode: ``"ansi"``, ``"rgb_array"`` or ``"human"``.
        tile: pixels per board cell in pictures.
        **params: parameters of the game.

    ``reset`` options: ``level``, a text in the game's own form, starts from that level (with
    several, the seed is the index); ``noise_seed``, an int, keeps the seed's start but draws what
    happens afterwards from a stream of its own: a group of rollouts shares the start, not the luck.
    """

    metadata = {"render_modes": ["ansi", "rgb_array", "human"], "render_fps": 4}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        game: Game[Any] | type[Game[Any]] | str,
        *,
        obs_mode: ObsMode = "text",
        split: Split | None = None,
        levels: str | None = None,
        invalid_action_penalty: float = -0.1,
        render_mode: str | None = None,
        tile: int = 32,
        **params: Any,
    ) -> None:
        _check_choice("obs_mode", obs_mode, get_args(ObsMode))
        _check_choice("split", split, (None, *get_args(Split)))
        _check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        if not isinstance(tile, int) or tile < 4:
            raise ValueError(f"tile={tile!r} must be a whole number of at least 4 pixels")
        self.game = make_game(game, params)
        self.obs_mode: ObsMode = obs_mode
        self.split: Split | None = split
        self.invalid_action_penalty = checked_penalty(
            "invalid_action_penalty", invalid_action_penalty
        )
        self.render_mode = render_mode
        self.tile = tile
        self._levels = None if levels is None else self._read_levels(levels)
        self._state: Any = None
        self._done = False
        self._noise: np.random.Generator | None = None
        self._window: Any = None

        charset = self.game.charset | PRINTABLE
        self.action_space = TextSpace(MAX_ACTION, PRINTABLE)
        above = MAX_NOTE + len(f"\n{IMAGE_TOKEN}\n")  # what may stand above a game's own text
        text = TextSpace(self.game.max_text + above, charset)
        self.observation_space: spaces.Space[Any] = text
        if obs_mode != "text":
            start = self._levels[0] if self._levels else self.game.initial(np.random.default_rng(0))
            self._image_shape = self._draw(start).shape
            image = spaces.Box(0, 255, self._image_shape, np.uint8)
            self.observation_space = spaces.Dict({"text": text, "image": image})

    # --- Gymnasium ---

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode. Raises ``ValueError`` for an unknown option or a malformed level."""
        if seed is not None:
            super().reset(seed=seed)
        level, noise_seed = _checked_options(options) if options else (None, None)
        rng = self.np_random
        self._state = self._start(level, seed, rng)
        self._noise, self._done = rng, False  # only now: a refused level leaves all as it was
        if noise_seed is not None:
            self._noise = np.random.default_rng([int(rng.integers(2**63)), noise_seed])
        info = self._info(False, True, False)
        info["rules"] = self.game.rules
        info.update(self.game.start_info(self._state))
        if self.render_mode == "human":
            self.render()
        return self._observe(""), info

    def step(self, action: str) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Make a move. Raises ``gymnasium.error.InvalidAction`` for anything but a string."""
        if not isinstance(action, str):
            raise gym.error.InvalidAction(
                f"an action is a str, this is a {type(action).__name__}: {action!r:.100}"
            )
        state, noise = self._state, self._noise
        if noise is None:
            raise gym.error.ResetNeeded("step() before reset()")
        if self._done:
            logger.warn("step() after the game has ended does nothing; call reset().")
            return self._observe(OVER), 0.0, True, False, self._info(False, False, False)
        move = self.game.parse(state, action)
        if move is None:
            info = self._info(False, False, False)
            return self._observe(self._refusal()), self.invalid_action_penalty, False, False, info
        after, reward, done, success, note = self.game.play(state, move, noise)
        self._state, self._done = after, done
        info = self._info(success, True, after is not state and after != state)
        if self.render_mode == "human":
            self.render()
        return self._observe(note), reward, done, False, info

    def render(self) -> Any:
        """Return the text (``"ansi"``), a picture (``"rgb_array"``), or show a window
        (``"human"``).
        """
        if self.render_mode is None:
            raise ValueError(
                "render() needs a render_mode, given to gym.make:"
                f" {', '.join(self.metadata['render_modes'])}"
            )
        if self.render_mode == "ansi":
            return self.game.text(self.get_state())
        picture = self.picture()
        if self.render_mode == "rgb_array":
            return picture
        if self._window is None:
            self._window = _renderers().Window(fps=self.metadata["render_fps"])
        self._window.show(picture)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_window": None}  # a window belongs to its process

    # --- what trainers and wrappers may ask ---

    @property
    def rules(self) -> str:
        """What a player is told."""
        return self.game.rules

    def legal_actions(self) -> tuple[str, ...] | None:
        """Canonical moves in the present state; none once the game is over."""
        return () if self._done else self.game.legal(self.get_state())

    def sample_action(self, rng: np.random.Generator) -> str:
        """Draw a well-formed move, whatever it is worth; empty once the game is over."""
        return "" if self._done else self.game.sample(self.get_state(), rng) or ""

    def solve(self) -> list[str] | None:
        """Oracle's plan from the present state; ``None`` when there is none."""
        return None if self._done else self.game.solve(self.get_state())

    def facts(self) -> dict[str, Any]:
        """Present state as structured facts."""
        return self.game.facts(self.get_state())

    def picture(self) -> np.ndarray:
        """Draw the present state, in any render mode: uint8 ``[H, W, 3]``, of one shape for every
        state of this environment. A game without a drawer of its own has its text drawn.
        """
        return self._draw(self.get_state())

    def get_state(self) -> Any:
        """Return the present state, a frozen value. This and what stands on it raises
        ``gymnasium.error.ResetNeeded`` before there is one.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("there is no state before reset()")
        return self._state

    def set_state(self, state: Any) -> None:
        """Go on from ``state``, a value that ``get_state`` returned; the game is taken to be under
        way.
        """
        self._state, self._done = state, False
        if self._noise is None:
            self._noise = self.np_random

    # --- private ---

    def _info(self, success: bool, valid: bool, effective: bool) -> dict[str, Any]:
        game, state = self.game, self._state
        info = {
            "success": success,
            "action_is_valid": valid,
            "action_is_effective": effective,
            "legal_actions": () if self._done else game.legal(state),
        }
        extras = game.info(state)
        if extras:
            info.update(extras)
        return info

    def _refusal(self) -> str:
        legal = self.game.legal(self._state)
        if not legal:
            return INVALID
        listed = f"{INVALID} Legal moves: {', '.join(legal)}."
        return listed if len(listed) <= MAX_NOTE else INVALID

    def _observe(self, note: str) -> Observation:
        if self.obs_mode == "text":
            text = self.game.text(self._state)
            return f"{note}\n{text}" if note else text
        text = f"\n{self.game.text(self._state)}" if self.obs_mode == "text+image" else ""
        image = self._draw(self._state)
        if image.shape != self._image_shape:
            raise ValueError(
                f"this level's picture is {image.shape}, the observation space has"
                f" {self._image_shape}; make the environment with the level's own board size"
            )
        above = f"{note}\n" if note else ""
        # what was given or guessed may have the placeholder in it, which stands for the picture
        above, text = (part.replace(IMAGE_TOKEN, NO_IMAGE) for part in (above, text))
        return {"text": f"{above}{IMAGE_TOKEN}{text}", "image": image}

    def _draw(self, state: Any) -> np.ndarray:
        renderers = _renderers()
        if renderers.has_drawer(state):
            return renderers.draw(state, self.tile)
        return renderers.draw_text(self.game.text(state), self.tile, self.game.max_text)

    def _start(self, level: str | None, seed: int | None, rng: np.random.Generator) -> Any:
        states = self._levels if level is None else self._checked(self.game.levels(level))
        if states is not None:
            return states[(int(rng.random() * len(states)) if seed is None else seed) % len(states)]
        if self.split is None:
            return self.game.initial(rng)
        for _ in range(MAX_DRAWS):
            state = self.game.initial(rng)
            if split_of(self.game.level(state)) == self.split:
                return state
        raise ValueError(
            f"none of {MAX_DRAWS} levels drawn belongs to split={self.split!r}: these parameters"
            " allow too few different levels; allow more of them, or use split=None"
        )

    def _read_levels(self, path: str) -> list[Any]:
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"levels={path!r} can't be read as a text file: {error}") from error
        try:
            return self._checked(self.game.levels(text))
        except ValueError as error:
            raise ValueError(f"levels={path!r}: {error}") from error

    def _checked(self, states: list[Any]) -> list[Any]:
        if not states:
            raise ValueError("no level found in this text")
        for number, state in enumerate(states, 1):
            length = len(self.game.text(state))
            if length > self.game.max_text:
                raise ValueError(
                    f"level {number} is too large for this environment's observation space:"
                    f" its text has {length} characters, the space takes {self.game.max_text};"
                    " make the environment with a larger board"
                )
        if self.split is not None:
            states = [s for s in states if split_of(self.game.level(s)) == self.split]
            if not states:
                raise ValueError(f"none of these levels belongs to split={self.split!r}")
        return states


def split_of(level: str) -> Split:
    """Tell which split a level belongs to: one in ten is ``"test"``, by a hash of the level's text
    alone.
    """
    digest = blake2b(level.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "big") < TEST_SHARE * 2**64 else "train"


def make_game(game: Game[Any] | type[Game[Any]] | str, params: dict[str, Any]) -> Game[Any]:
    """Make a ``Game`` from what ``TextEnv`` takes. Raises ``TypeError`` for what is no game and for
    a parameter that it does not have, ``ValueError`` for a path that leads nowhere.
    """
    if isinstance(game, Game):
        if params:
            raise TypeError(
                f"parameters {sorted(params)} given with a ready-made game; set them on it"
            )
        return game
    factory = game_class(game) if isinstance(game, str) else game
    if not (isinstance(factory, type) and issubclass(factory, Game)):
        raise TypeError(f"game={game!r:.200} must be a Game, a subclass of it, or 'module:Class'")
    known = inspect.signature(factory).parameters
    unknown = sorted(set(params) - set(known))
    if unknown and all(p.kind is not p.VAR_KEYWORD for p in known.values()):
        own = inspect.signature(TextEnv).parameters
        names = [n for n in own if n not in ("game", "params")]
        raise TypeError(
            f"{factory.__name__} has no parameter {', '.join(map(repr, unknown))};"
            f" the game takes {', '.join(known) or 'none'},"
            f" every environment takes {', '.join(names)}"
        )
    return factory(**params)


def game_class(path: str) -> type[Game[Any]]:
    """Import a game's class from ``"module:Class"``. Raises ``ValueError`` for a path that leads
    nowhere.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"game={path!r} is not 'module:Class' of a game: {error}") from error


def checked_penalty(name: str, value: Any) -> float:
    """Give a penalty back as a float. Raises ``ValueError`` for one that is none."""
    if not isinstance(value, int | float | np.number) or not -inf < value <= 0:
        raise ValueError(
            f"{name}={value!r} must be a finite number of at most 0: it is added to the reward, and"
            " nothing should be earned by it"
        )
    return float(value)


def _checked_options(options: dict[str, Any]) -> tuple[str | None, int | None]:
    """Read the options of a reset: ``level`` and ``noise_seed``."""
    if unknown := sorted(set(options) - {"level", "noise_seed"}, key=str):
        raise ValueError(f"unknown reset options {unknown}; known: level, noise_seed")
    level, noise_seed = options.get("level"), options.get("noise_seed")
    if level is not None and not isinstance(level, str):
        raise ValueError(f"level={level!r:.200} must be text, in the game's own form")
    if noise_seed is None:
        return level, None
    if not isinstance(noise_seed, int | np.integer) or noise_seed < 0:
        raise ValueError(f"noise_seed={noise_seed!r} must be a whole number >= 0")
    return level, int(noise_seed)


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")


@cache
def _renderers() -> Any:
    """Load ``renderers``: the one lazy import, made when the first picture is asked for."""
    try:
        return import_module("renderers")
    except ImportError as error:
        raise gym.error.DependencyNotInstalled(
            "pictures need the render extra: pip install 'text-envs[render]'"
        ) from error
