"""Whole episodes of a policy in Gymnasium environments, as trajectories of sampled tokens."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from starpo_plugin.checkpoint import generator_for
from starpo_plugin.context import next_prompt
from starpo_plugin.engine import Engine, Sampled
from starpo_plugin.episode import EpisodeSpec
from starpo_plugin.facts import frozen
from starpo_plugin.policy import Policy
from starpo_plugin.processes import Processes
from starpo_plugin.sections import is_unclosed, token_sections
from starpo_plugin.shaping import Shaping
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import End, Trajectory, Turn
from text_envs.chat import ChatEnv

CLAIMS = {"observation", "prediction"}
"""Sections that say something of the state."""
TURN_INFO = ("success", "action_is_valid", "action_is_effective", "actions", "well_formed")


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn."""

    max_reply_tokens: int
    max_tokens: int
    """Longest sequence, prompts included; an episode that reaches it ends as ``out_of_tokens``."""
    temperature: float = 1.0


@dataclass
class _Episode:
    """A conversation under way."""

    env: ChatEnv
    spec: EpisodeSpec
    seed: int
    group: int
    member: int
    system: str
    message: str
    prompt_ids: list[int]
    noise: torch.Generator
    turns: list[Turn] = field(default_factory=list)
    end: End | None = None
    success: bool = False
    next_ids: tuple[int, ...] = ()
    facts: Any = None
    """What is true now, where replies make claims about it."""


class Rollouts:
    """Plays groups of episodes; environments are made once and used again.

    Args:
        policy: the model.
        tokens: its chat template.
        spec: environment and limits, of groups that are given none.
        sampling: how replies are drawn.
        keep_cache: see ``Engine``.
        shaping: what turns are rewarded with; the default is the environment's own reward.
        processes: among which the groups are shared out; the default is this one alone.
        **env_kwargs: over ``spec.env_kwargs`` (evaluation: another split).
    """

    def __init__(
        self,
        policy: Policy,
        tokens: ChatTokens,
        spec: EpisodeSpec,
        sampling: Sampling,
        keep_cache: bool = True,
        shaping: Shaping | None = None,
        processes: Processes | None = None,
        **env_kwargs: Any,
    ) -> None:
        sections = [spec.protocol.tag(s) for s in spec.protocol.sections]
        tokens.check_tags(tag for s in sections for tag in (f"<{s}>", f"</{s}>"))
        self._policy, self._tokens, self._spec = policy, tokens, spec
        self._sampling, self._keep_cache = sampling, keep_cache
        self._shaping = shaping or Shaping()
        self._processes = processes or Processes()
        self._env_kwargs = env_kwargs
        self._envs: dict[str, list[ChatEnv]] = {}
        self._claims = not CLAIMS.isdisjoint(spec.protocol.sections)

    def run(
        self,
        seeds: Sequence[int],
        members: int,
        generator: torch.Generator,
        progress: Callable[[int, int], None] | None = None,
        on_turn: Callable[[Turn], None] | None = None,
        specs: Sequence[EpisodeSpec] | None = None,
    ) -> list[Trajectory]:
        """Play ``members`` episodes from each seed's start; the members of one seed are a group.

        Args:
            seeds: environment seeds, one per group.
            members: rollouts per group: one start, each with its own luck.
            generator: source of the sampler's noise (CPU). Each episode has noise of its own, so
                that no other episode changes what it says.
            progress: called with (episodes over, episodes) of this process after each turn.
            on_turn: called with every turn of this process as soon as it was played.
            specs: what each group plays, where they differ; their replies have the same form.

        Returns:
            len(seeds) * members trajectories, in order of group, then member; in every process all
            of them.
        """
        luck = int(torch.randint(2**62, (), generator=generator))
        episodes = self._open(seeds, members, specs or [self._spec] * len(seeds), luck)
        with self._processes.whole(self._policy):
            self._play_all(episodes, members, progress, on_turn)
        return self._processes.gather([self._trajectory(e) for e in episodes])

    def _play_all(
        self,
        episodes: Sequence[_Episode],
        members: int,
        progress: Callable[[int, int], None] | None,
        on_turn: Callable[[Turn], None] | None,
    ) -> None:
        engine = Engine(self._policy, self._tokens.end_ids, self._tokens.pad_id, self._keep_cache)
        training = self._policy.training
        self._policy.eval()
        alive = [e for e in episodes if e.end is None]
        # members share their prompt, so a group is over before it begins or not at all
        engine.start([e.prompt_ids for e in alive[::members]], members)
        while alive:
            limits = [self._room(length) for length in engine.lengths]
            longest = self._sampling.max_reply_tokens
            noise = torch.stack([torch.rand(longest, generator=e.noise) for e in alive])
            replies = engine.reply(limits, noise, self._sampling.temperature)
            lengths = engine.lengths
            for episode, sampled, length in zip(alive, replies, lengths, strict=True):
                self._play(episode, sampled, length)
                if on_turn is not None:
                    on_turn(episode.turns[-1])
            rows = [r for r, e in enumerate(alive) if e.end is None]
            alive = [alive[r] for r in rows]
            prompts = [e.prompt_ids for e in alive]
            if not self._spec.context_turns:
                engine.keep(rows)
                engine.extend(prompts)
            elif alive:
                engine.start(prompts)
            if progress is not None:
                progress(len(episodes) - len(alive), len(episodes))
        self._policy.train(training)

    def _open(
        self, seeds: Sequence[int], members: int, specs: Sequence[EpisodeSpec], luck: int
    ) -> list[_Episode]:
        """Begin the episodes of this process's share of the groups."""
        episodes, taken = [], Counter[str]()
        pairs = [(g, m) for g in self._processes.part(len(seeds)) for m in range(members)]
        for group, member in pairs:
            seed, spec = int(seeds[group]), specs[group]
            env = self._env(spec, taken[spec.task])
            taken[spec.task] += 1
            message, info = env.reset(seed=seed, options={"noise_seed": member})
            noise = generator_for(luck, group, member)
            episode = _Episode(env, spec, seed, group, member, info["system"], message, [], noise)
            episode.facts = self._facts(env)
            episode.prompt_ids = self._prompt(episode)
            if self._room(len(episode.prompt_ids)) == 0:
                episode.end = "out_of_tokens"
            episodes.append(episode)
        return episodes

    def _env(self, spec: EpisodeSpec, number: int) -> ChatEnv:
        """Give the environment of that number for a spec: made once, used again."""
        made = self._envs.setdefault(spec.task, [])
        if number == len(made):
            made.append(spec.make(**self._env_kwargs))
        return made[number]

    def _facts(self, env: ChatEnv) -> Any:
        """Give what is true now, where replies claim something of it and the environment tells."""
        game: Any = env.unwrapped
        return frozen(game.facts()) if self._claims and hasattr(game, "facts") else None

    def _play(self, episode: _Episode, sampled: Sampled, length: int) -> None:
        """Take one reply to the environment and prepare the next prompt."""
        reply = self._tokens.decode(sampled.ids)
        protocol = episode.spec.protocol
        before = episode.facts
        message, reward, terminated, truncated, info = episode.env.step(reply)
        penalty = self._shaping.penalty(len(sampled.ids))
        episode.facts = self._facts(episode.env)
        told = {} if before is None else {"facts": before, "facts_after": episode.facts}
        episode.turns.append(
            Turn(
                prompt_ids=tuple(episode.prompt_ids),
                reply_ids=sampled.ids,
                logprobs=sampled.logprobs,
                observation=episode.message,
                reply=reply,
                reward=float(self._shaping.turn_reward(float(reward), reply, info)) - penalty,
                info={
                    **{k: info[k] for k in TURN_INFO},
                    "length_penalty": penalty,
                    "unclosed": is_unclosed(protocol, reply),
                    **told,
                },
                sections=token_sections(
                    self._tokens.spans(sampled.ids), protocol.parse(reply).spans
                ),
            )
        )
        episode.success |= bool(info["success"])
        episode.message = message
        if terminated:
            episode.end = "terminated"
            return
        episode.prompt_ids = self._prompt(episode)
        length = len(episode.prompt_ids) + (0 if self._spec.context_turns else length)
        if truncated or self._room(length) == 0:
            episode.end = "truncated" if truncated else "out_of_tokens"
            if length < self._policy.context:
                episode.next_ids = tuple(episode.prompt_ids)

    def _prompt(self, episode: _Episode) -> list[int]:
        return next_prompt(
            self._tokens, episode.system, episode.turns, episode.message, self._spec.context_turns
        )

    def _room(self, length: int) -> int:
        """Reply tokens that fit after ``length`` tokens."""
        most = min(self._sampling.max_tokens, self._policy.context)
        return max(0, min(self._sampling.max_reply_tokens, most - length))

    def _trajectory(self, episode: _Episode) -> Trajectory:
        assert episode.end is not None
        return Trajectory(
            env_id=episode.spec.env_id,
            seed=episode.seed,
            group=episode.group,
            member=episode.member,
            turns=tuple(episode.turns),
            success=episode.success,
            end=episode.end,
            system=episode.system,
            context_turns=self._spec.context_turns,
            next_ids=episode.next_ids,
            task=episode.spec.task,
        )
