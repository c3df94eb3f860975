"""Small policies and rollouts that the trainer's tests share."""

import dataclasses
import random

import gymnasium as gym
import torch

from starpo_plugin.policy import CriticKind, Policy
from starpo_plugin.rollout import EpisodeSpec, Rollouts, Sampling
from starpo_plugin.tiny import TinyShape, tiny_model, tiny_tokenizer
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory
from text_envs.chat import ChatProtocol

WORDS = ["up down left right", "left || right", "player boxes targets plan"]
SMALL = TinyShape(hidden=32, layers=2, heads=2, context=1024)


class Parrot(gym.Env):
    """Another project's text environment: no rules, no legal actions, no success."""

    def __init__(self, words: int = 3) -> None:
        self.words = words
        self.observation_space = gym.spaces.Text(400, min_length=0)
        self.action_space = gym.spaces.Text(400, min_length=0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.moves = 0
        self.word = "x" * int(self.np_random.integers(1, 2 + self.words))
        return self.word, {}

    def step(self, action):
        self.moves += 1
        return self.word + action[:5], float(self.moves % 3 == 0), False, False, {}


def register_parrot() -> str:
    if "Parrot-v0" not in gym.registry:
        gym.register("Parrot-v0", entry_point=Parrot)
    return "Parrot-v0"


def small_policy(seed: int = 0, critic: CriticKind = "none", spread: float = 1.0) -> Policy:
    """A random model; ``spread`` widens its logits, so that replies end at odd lengths."""
    tokenizer = tiny_tokenizer(WORDS, tags=("think", "answer"))
    model = tiny_model(tokenizer, seed, SMALL)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(spread)
        # a turn ends about every tenth token
        model.get_output_embeddings().weight[tokenizer.eos_token_id] *= 2
    return Policy(model, tokenizer, critic)


def parrot_spec(**changes) -> EpisodeSpec:
    protocol = ChatProtocol("answer", rules="Say a word.", user_template="{observation}")
    return EpisodeSpec(register_parrot(), protocol=protocol, **changes)


def rewarded(played: list[Trajectory], seed: int = 0) -> list[Trajectory]:
    """The same episodes with rewards drawn anew: random text earns nothing else than penalties."""
    rng = random.Random(seed)
    draws = (-0.1, 0.0, 0.0, 0.5, 1.0)
    return [
        dataclasses.replace(
            t,
            turns=tuple(dataclasses.replace(k, reward=rng.choice(draws)) for k in t.turns),
        )
        for t in played
    ]


def play(
    policy: Policy,
    spec: EpisodeSpec | None = None,
    groups: int = 3,
    members: int = 4,
    seed: int = 0,
    keep_cache: bool = True,
    reply: int = 12,
    tokens: int = 400,
    temperature: float = 1.0,
    slots: int = 0,
) -> list[Trajectory]:
    rollouts = Rollouts(
        policy,
        ChatTokens(policy.tokenizer),
        spec or parrot_spec(),
        Sampling(reply, tokens, temperature, slots),
        keep_cache,
    )
    return rollouts.run(range(groups), members, torch.Generator().manual_seed(seed))
