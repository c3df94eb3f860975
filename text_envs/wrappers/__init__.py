"""Environments made out of environments: ordinary ``gymnasium.Wrapper``s, and two environments
that hold several others.

They change what is played, not how a model is talked to: ``text_envs.ChatEnv`` goes around any of
them. ``docs/wrappers.md`` shows each at work.
"""

from text_envs.wrappers.action_sequence import ActionSequence
from text_envs.wrappers.curriculum import Curriculum
from text_envs.wrappers.history import History
from text_envs.wrappers.mixture import Mixture
from text_envs.wrappers.progress import Progress
from text_envs.wrappers.verbalize import Verbalize

__all__ = ["ActionSequence", "Curriculum", "History", "Mixture", "Progress", "Verbalize"]
