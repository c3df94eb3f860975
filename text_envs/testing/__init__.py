"""Laws that a text game and a text environment keep, for any project to hold its own to.

``check_game(game)`` takes a ``Game``, ``check_text_env("module:Id-v0")`` an environment; both run
every law on cases that hypothesis draws and raise ``AssertionError`` for the first that is broken,
with the smallest case found. ``pytest`` shows laws one by one::

    @pytest.mark.parametrize("law", GAME_LAWS, ids=lambda law: law.__name__)
    def test_law(law):
        hold(law, MyGame())
"""

try:
    import hypothesis  # noqa: F401 (imported to say clearly that it is not there)
except ImportError as error:
    raise ImportError(
        "text_envs.testing needs the testing extra: pip install 'text-envs[testing]'"
    ) from error

from collections.abc import Callable
from typing import Any

import gymnasium as gym
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from text_envs.env import TextEnv
from text_envs.game import Game
from text_envs.testing.env_laws import ENV_CHECKS, ENV_LAWS, TEXT_ENV_CHECKS, TEXT_ENV_LAWS
from text_envs.testing.game_laws import GAME_LAWS
from text_envs.testing.processes import fingerprint, fingerprints_elsewhere
from text_envs.testing.strategies import (
    HOSTILE,
    NEAR_MISSES,
    Episode,
    arbitrary_text,
    choices,
    episodes,
    resolve,
    states,
)

__all__ = [
    "ENV_CHECKS",
    "ENV_LAWS",
    "GAME_LAWS",
    "HOSTILE",
    "NEAR_MISSES",
    "TEXT_ENV_CHECKS",
    "TEXT_ENV_LAWS",
    "Episode",
    "arbitrary_text",
    "check_game",
    "check_text_env",
    "choices",
    "episodes",
    "fingerprint",
    "fingerprints_elsewhere",
    "hold",
    "resolve",
    "states",
]

# levels may take a while to make: slow is no fault here
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


def hold(law: Callable[[Any, st.DataObject], None], subject: Any) -> None:
    """Hold ``subject``, a game or an environment, to one law, on as many examples as the present
    hypothesis profile asks for. Raises what the law raises, with the law's name and text.
    """

    @settings(deadline=None, suppress_health_check=_SLOW)
    @given(data=st.data())
    def example(data: st.DataObject) -> None:
        law(subject, data)

    try:
        example()
    except Exception as error:
        error.add_note(f"Broken law: {law.__name__}: {law.__doc__}")
        raise


def check_game(game: Game[Any]) -> None:
    """Hold a game to every law of ``GAME_LAWS``. Raises ``AssertionError`` where one is broken."""
    for law in GAME_LAWS:
        hold(law, game)


def check_text_env(id: str, **kwargs: Any) -> None:
    """Hold ``gym.make(id, **kwargs)`` to every law there is for it; a ``TextEnv``'s game to the
    laws of games too. Raises ``AssertionError`` where one is broken.
    """
    env = gym.make(id, **kwargs)
    laws, checks = ENV_LAWS, ENV_CHECKS
    if isinstance(env.unwrapped, TextEnv):
        check_game(env.unwrapped.game)
        laws, checks = laws + TEXT_ENV_LAWS, checks + TEXT_ENV_CHECKS
    for law in laws:
        hold(law, env)
    for check in checks:
        check(env)
    env.close()
