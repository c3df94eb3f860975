"""Whole episodes of a policy in Gymnasium environments, as trajectories of sampled tokens."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import torch

from starpo_plugin.cache import keeps_slots
from starpo_plugin.context import next_prompt
from starpo_plugin.engine import Engine, make_engine
from starpo_plugin.episode import EpisodeSpec
from starpo_plugin.facts import frozen
from starpo_plugin.policy import Policy
from starpo_plugin.processes import Processes
from starpo_plugin.sampler import Sampled
from starpo_plugin.sections import is_unclosed, token_sections
from starpo_plugin.shaping import Shaping
from starpo_plugin.stepping import Pace, Stepper
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
    slots: int = 0
    """Episodes that are under way at once, at most; 0 for all. Bounds the memory of their keys and
    values: when one is over, the next begins.
    """
    env_threads: int = 16
    """Steps of slow environments (over 20 ms) that are under way while the model goes on. Replies
    then are read in an order that depends on the clock, which changes log-probabilities by rounding
    errors. 0 steps all in turn: the same bits each time.
    """
    cuda_graphs: bool = False
    """Whether tokens are drawn by replaying CUDA graphs, where the model is on a GPU."""


Stepped = tuple[Any, Any, bool, bool, dict[str, Any]]
"""What an environment's step gives."""


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
    noise: torch.Tensor
    """Float [turns, longest reply], uniform in [0, 1): what its tokens are drawn with."""
    prompt_ids: list[int] = field(default_factory=list)
    seen_ids: list[int] = field(default_factory=list)
    """All that the policy sees before its next reply."""
    turns: list[Turn] = field(default_factory=list)
    end: End | None = None
    success: bool = False
    next_ids: tuple[int, ...] = ()
    facts: Any = None
    """What is true now, where replies make claims about it."""
    sampled: Sampled | None = None
    reply: str = ""
    """Reply that the environment is answering, and its text."""


class Rollouts:
    """Plays groups of episodes; environments are made once and used again.

    Args:
        policy: the model.
        tokens: its chat template.
        spec: environment and limits, of groups that are given none.
        sampling: how replies are drawn.
        keep_cache: ``False`` reads every conversation anew on each turn: the slow reference. So are
            models that allow nothing else.
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
        tokens.check_opening(f"<{sections[0]}>")
        if sampling.cuda_graphs and processes is not None and processes.sharded:
            raise ValueError(
                "cuda_graphs=True needs weights that stay where they are, and sharded ones (FSDP)"
                " are put together for each rollout: leave cuda_graphs off, or shard nothing"
            )
        self._policy, self._tokens, self._spec = policy, tokens, spec
        self._sampling = sampling
        self._keep_cache = keep_cache
        self._slotted: bool | None = None
        self._columns = 0
        self._pace = Pace()
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
            generator: source of the sampler's noise (CPU).
            progress: called with (episodes over, episodes) of this process after each turn.
            on_turn: called with every turn of this process as soon as it was played.
            specs: what each group plays, where they differ; their replies have the same form.

        Returns:
            len(seeds) * members trajectories, in order of group, then member; in every process all
            of them.
        """
        # drawn for all beforehand: whose reply is sampled when, and by which process, must make no
        # difference
        shape = (len(seeds), members, self._spec.max_turns, self._sampling.max_reply_tokens)
        noise = torch.rand(shape, generator=generator)
        episodes = self._open(seeds, specs or [self._spec] * len(seeds), noise)
        with self._processes.whole(self._policy):
            self._play_all(episodes, progress, on_turn)
        return self._processes.gather([self._trajectory(e) for e in episodes])

    def _play_all(
        self,
        episodes: Sequence[_Episode],
        progress: Callable[[int, int], None] | None,
        on_turn: Callable[[Turn], None] | None,
    ) -> None:
        waiting = deque(n for n, e in enumerate(episodes) if e.end is None)
        slots = min(self._sampling.slots or len(episodes), len(episodes))
        engine = self._engine(slots)
        over, free = len(episodes) - len(waiting), slots
        with Stepper[Stepped](self._pace, self._sampling.env_threads) as stepper:
            while over < len(episodes):
                while free and waiting:
                    n = waiting.popleft()
                    self._ask(engine, n, episodes[n])
                    free -= 1
                for n, sampled in engine.step():
                    episode = episodes[n]
                    episode.sampled, episode.reply = sampled, self._tokens.decode(sampled.ids)
                    stepper.begin(n, partial(episode.env.step, episode.reply))
                stepped = stepper.done(block=not engine.busy)
                for n, answer in stepped:
                    self._play(episodes[n], answer)
                    if on_turn is not None:
                        on_turn(episodes[n].turns[-1])
                    if episodes[n].end is None:
                        self._ask(engine, n, episodes[n])
                        continue
                    engine.release(n)
                    over, free = over + 1, free + 1
                if stepped and progress is not None:
                    progress(over, len(episodes))
        self._columns = engine.columns  # about what the next episodes need

    def _engine(self, slots: int) -> Engine:
        if self._slotted is None:  # asked where the weights are whole
            self._slotted = self._keep_cache and keeps_slots(self._policy)
        return make_engine(
            self._policy,
            self._tokens.end_ids,
            self._tokens.pad_id,
            slots,
            self._sampling.max_reply_tokens,
            self._sampling.temperature,
            self._slotted,
            self._columns,
            self._sampling.cuda_graphs,
        )

    def _ask(self, engine: Engine, n: int, episode: _Episode) -> None:
        """Ask for the next reply of the episode with number ``n``."""
        limit = self._room(len(episode.seen_ids))
        engine.ask(n, episode.seen_ids, limit, episode.noise[len(episode.turns)])

    def _open(
        self, seeds: Sequence[int], specs: Sequence[EpisodeSpec], noise: torch.Tensor
    ) -> list[_Episode]:
        """Begin the episodes of this process's share of the groups."""
        episodes, taken = [], Counter[str]()
        pairs = product(self._processes.part(len(seeds)), range(noise.shape[1]))
        for group, member in pairs:
            seed, spec = int(seeds[group]), specs[group]
            env = self._env(spec, taken[spec.task])
            taken[spec.task] += 1
            message, info = env.reset(seed=seed, options={"noise_seed": member})
            episode = _Episode(
                env, spec, seed, group, member, info["system"], message, noise[group, member]
            )
            episode.facts = self._facts(env)
            self._prompt(episode)
            if self._room(len(episode.seen_ids)) == 0:
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

    def _play(self, episode: _Episode, answer: Stepped) -> None:
        """Add a turn, whose reply the environment has answered, and prepare the next prompt."""
        sampled, reply, protocol = episode.sampled, episode.reply, episode.spec.protocol
        assert sampled is not None
        message, reward, terminated, truncated, info = answer
        penalty = self._shaping.penalty(len(sampled.ids))
        before, episode.facts = episode.facts, self._facts(episode.env)
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
        self._prompt(episode)
        if truncated or self._room(len(episode.seen_ids)) == 0:
            episode.end = "truncated" if truncated else "out_of_tokens"
            if len(episode.seen_ids) < self._policy.context:
                episode.next_ids = tuple(episode.prompt_ids)

    def _prompt(self, episode: _Episode) -> None:
        """Prepare what comes before the episode's next reply."""
        window = self._spec.context_turns
        episode.prompt_ids = next_prompt(
            self._tokens, episode.system, episode.turns, episode.message, window
        )
        before = []
        if episode.turns and not window:
            before = [*episode.seen_ids, *episode.turns[-1].reply_ids]
        episode.seen_ids = before + episode.prompt_ids

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
