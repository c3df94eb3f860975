"""Named choices of the configuration: a key of a literal dict, or ``module:function``.

With ``module:function`` a new estimator or reward is tried without a change here. The module is
imported as Python would (``starpo`` also looks in the folder it is called from), when the
configuration is checked. What each field's function takes and gives back (tensors are ``[B, T]``
unless said; the functions that have a name are the examples):

- ``advantage``: ``(batch, config) -> Estimate``, of ``advantages.AdvantageBatch`` and
  ``AdvantageConfig``, whose docstrings say what may be read. One that reads ``batch.values`` sets
  ``needs_critic = True`` on the function and returns ``returns`` and ``value_mask`` too.
- ``filter``: ``(scores, value) -> keep``, float ``[G]`` and ``filter_value`` to bool ``[G]``.
- ``loss``: ``(logp, logp_old, advantages, mask, *, clip_low, clip_high, dual_clip) ->
  (loss, stats)``, per token; ``stats`` is a dict of tensors whose means are reported.
- ``kl``: ``(logp, logp_ref, mask) -> kl``, per token, 0 off the mask.
- ``aggregation``: ``(per_token, mask, totals) -> loss``, the rows' share of the mini-batch's loss.
- ``turn_reward``: ``(reward, reply, info) -> reward``, of a turn: the environment's reward, the
  reply's text, what ``ChatEnv`` said (actions, sections, well_formed, the game's own). Called once
  a turn, in training only. One that must see an iteration's episodes together has a method
  ``over_batch``: ``(config) -> (played) -> (played, metrics)``, which is called after the rollout
  with trajectories and gives them back with other rewards (``world_model.WorldModelReward``).
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar, cast

T = TypeVar("T", bound=Callable[..., Any])


def choose(field: str, name: str, known: Mapping[str, T]) -> T:
    """Give the function that the field ``field`` names.

    Raises ``ValueError`` that lists the choices, or says what can't be imported and why.
    """
    if name in known:
        return known[name]
    module, colon, function = name.partition(":")
    if not (colon and module and function):
        raise ValueError(f"{field}={name!r} is not one of {', '.join(known)}, or module:function")
    try:
        found = getattr(import_module(module), function)
    except AttributeError as error:
        raise ValueError(f"{field}={name!r} can't be imported: {error}") from error
    except Exception as error:  # importing runs a stranger's code, which may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{field}={name!r} can't be imported ({reason})") from error
    if not callable(found):
        raise ValueError(
            f"{field}={name!r} is of type {type(found).__name__}, not a function;"
            " starpo_plugin/choices.py says what it takes"
        )
    return cast(T, found)
