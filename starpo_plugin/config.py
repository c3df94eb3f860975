"""All that a run can be told, in one frozen dataclass; presets are functions.

A field's docstring is its help text. ``check`` refuses what can't work, before anything is loaded.
Importing this file loads no torch (a matter of seconds), so that ``starpo --help`` answers at once.
"""

import ast
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from starpo_plugin.choices import choose
from starpo_plugin.episode import EpisodeSpec
from text_envs.chat import ChatProtocol


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    # --- run ---
    run: str = "runs/latest"
    """Folder of the run: config, metrics, checkpoints, report."""
    seed: int = 0
    """Of weights made from scratch, levels and sampling."""
    iterations: int = 200
    """Rollout-and-update rounds."""
    save_every: int = 20
    """Iterations between checkpoints; the last iteration always saves one."""
    keep: int = 3
    """Checkpoints kept; older ones are deleted."""
    device: str = "auto"
    """auto (a CUDA GPU if there is one), cpu, or cuda."""
    precision: Literal["no", "bf16"] = "no"
    """bf16 multiplies in bfloat16 in the update, and holds in it what is not trained: the model
    under an adapter, and the reference. Trained weights stay in float32.
    """
    tracker: Literal["tensorboard", "wandb", "trackio", "none"] = "tensorboard"
    """Where metrics are shown besides the run's own folder. wandb and trackio are extras."""

    # --- data ---
    save_rollouts: int = 20
    """Iterations between rollouts that are stored whole in the run's folder rollouts/, and the last
    iteration's; 0 stores none.
    """
    save_tokens: int = 4
    """Episodes of the batch whose figures are stored token by token at every evaluation, for the
    report: mask, advantage, value, entropy, log-probabilities; 0 stores none.
    """
    from_data: tuple[str, ...] = ()
    """Train on stored trajectories instead of playing: files, folders of files, or runs. An
    iteration takes the next groups of them. Their environment and limits become the defaults.
    """

    # --- environment ---
    env: str = "TextSokoban-v0"
    """Gymnasium id; 'package:Id-v0' imports the package first. Observations and actions must be
    text.
    """
    env_args: tuple[str, ...] = ()
    """Arguments of the environment, each as name=value: --env-args size=6 boxes=1."""
    envs: tuple[str, ...] = ()
    """Further environments of the same run, each with its arguments in one text:
    --envs "TextFrozenLake-v0 size=5" TextMaze-v0. env_args are those of env alone.
    """
    env_groups: tuple[int, ...] = ()
    """How many of an iteration's groups each environment gets, env first; as even as can be unless
    given.
    """
    curriculum: tuple[str, ...] = ()
    """Stages of further arguments of env, easy ones first, each in one text:
    --curriculum size=3 "size=4 frozen=0.7". Training begins at the first; evaluations are at the
    last.
    """
    curriculum_window: int = 5
    """Iterations at a stage whose mean success, in training, says where to go on."""
    curriculum_up: float = 0.7
    """Success from which the next stage begins; 0: every curriculum_window iterations."""
    curriculum_down: float = 0.0
    """Success below which the stage before begins again."""
    train_args: tuple[str, ...] = ("split=train",)
    """More of them, for training only. Empty for environments of other projects."""
    eval_args: tuple[str, ...] = ("split=test",)
    """More of them, for evaluation only."""
    max_turns: int = 5
    """Replies in an episode."""
    max_actions: int = 10
    """Moves in an episode."""
    max_actions_per_turn: int = 5
    """Moves that one reply may hold."""
    format: str = "think"
    """Sections of a reply: answer, think, observe, predict or world."""
    tags: tuple[str, ...] = ()
    """Tag names of sections, where they should differ, each as section=name: --tags think=thought.
    Some tokenizers reserve <think>.
    """
    format_penalty: float = -0.1
    """Reward of a reply that is not well formed."""
    rules: str | None = None
    """Told to the model instead of the environment's own rules."""
    system_template: str = ChatProtocol.system_template
    """System message, with {rules} and {answer_format}; empty for none."""
    user_template: str = ChatProtocol.user_template
    """User message of a turn, with {turn}, {turns}, {moves}, {legal_actions} and {observation}."""

    # --- model ---
    model: str = "tiny"
    """tiny (made from scratch), the folder of a saved model, or a hub name."""
    tiny_hidden: int = 64
    """Width of a tiny model."""
    tiny_layers: int = 3
    """Blocks of a tiny model."""
    critic: Literal["shared", "separate", "lora"] = "shared"
    """Critic of gae, turn_gae and bi_level_gae: a head on the policy's body, on a body of its own,
    or on the policy's body under a LoRA adapter of its own.
    """
    lora_rank: int = 0
    """Rank of the LoRA adapter that is trained in place of the model; 0 trains all weights. The
    imitation trains all weights in any case, before there is an adapter. An adapter needs a higher
    --actor-lr than the model would, about ten times.
    """
    lora_alpha: float = 32.0
    """An adapter is scaled by lora_alpha / lora_rank."""
    lora_targets: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter (q_proj v_proj ...); all of them unless
    given.
    """
    warmup_updates: int = 0
    """Updates of imitation of the oracle before the first rollout."""
    warmup_batch: int = 32
    """Demonstrations in an update of the imitation."""
    warmup_lr: float = 3e-3
    """Peak learning rate of the imitation."""
    warmup_thought: Literal["facts", "plan", "facts and plan", "subgoals", "facts and subgoals"] = (
        "facts"
    )
    """What a demonstration thinks: facts (what is on the board), plan, subgoals (the plan's moves
    that change more than where the player is, in Sokoban the pushes, and where the first is made
    from), or facts and one of these. A whole plan that stays in the context is copied in later
    turns rather than made anew, which teaches less.
    """
    warmup_moves: int = 0
    """A demonstration's turn plays from one to this many moves, each further one with probability
    1/3. 0: always as many as the budget of moves and turns asks for.
    """

    # --- rollout ---
    groups: int = 8
    """Starts in an iteration."""
    members: int = 16
    """Rollouts from each start."""
    temperature: float = 1.0
    """Of sampling, and of the log-probabilities that are trained."""
    max_reply_tokens: int = 256
    """Longest reply."""
    max_tokens: int = 2048
    """Longest sequence, prompts included; an episode that reaches it ends as out_of_tokens."""
    context_turns: int = 0
    """Turns of the conversation that the policy sees: 0 for all of them, in one sequence; k for the
    last k, each turn then being a sequence of its own.
    """
    slots: int = 0
    """Episodes that are played at once, at most; when one is over the next begins. 0: as many as a
    rollout has, groups x members, also in an evaluation. Fewer need less memory for keys and
    values; like micro_batch_tokens it changes results by rounding alone.
    """
    env_threads: int = 16
    """Threads for environments that take over 20 ms a step: they step while the model goes on. The
    order of what is sampled then depends on the clock, and log-probabilities by rounding errors. 0
    steps all in turn: the same bits each time.
    """

    # --- algorithm ---
    advantage: str = "gae"
    """gae, turn_gae, bi_level_gae, grpo, rloo, reinforce_pp_baseline or turn_grpo. Like filter,
    loss, kl, aggregation and turn_reward also module:function; starpo_plugin/choices.py says what
    such a function takes.
    """
    whiten: bool = True
    """Whiten the advantages over the batch's policy tokens."""
    gamma: float = 1.0
    """Discount per token (gae)."""
    lam: float = 1.0
    """Lambda per token (gae)."""
    gamma_turn: float = 0.95
    """Discount per turn (turn_gae, bi_level_gae, turn_grpo)."""
    lam_turn: float = 1.0
    """Lambda per turn (turn_gae, bi_level_gae)."""
    gamma_token: float = 1.0
    """Discount per token inside a turn (bi_level_gae)."""
    lam_token: float = 1.0
    """Lambda per token inside a turn (bi_level_gae)."""
    grpo_scale: Literal["std", "none"] = "std"
    """Divide grpo's advantages by the group's standard deviation (std), or don't (none; Dr.
    GRPO).
    """
    rewards: Literal["trajectory", "turn"] = "trajectory"
    """trajectory: the episode's sum on its last token (StarPO); turn: each turn's own (TRICO)."""
    turn_reward: str = "game"
    """What a turn earns in training: game (what the environment says), world_model (also up to 0.5
    each for what observation and prediction get right, better than one fixed answer would), or
    module:function.
    """
    length_penalty: float = 0.0
    """Subtracted in training from a turn's reward for each token of its reply above length_budget.
    """
    length_budget: int = 0
    """Tokens of a reply that cost nothing; 0: each one costs length_penalty."""
    bootstrap_truncated: bool = False
    """Value what an episode that was cut off (truncated, out of tokens) was still worth by the
    critic, as it sees the next prompt; otherwise it is worth nothing (gae, turn_gae, bi_level_gae).
    """
    filter: str = "none"
    """Which groups are trained on: none, top_k, top_p, min_p or drop_zero."""
    filter_value: float = 0.25
    """Share of groups (top_k), mass (top_p), or share of the highest score (min_p)."""
    scale_by_kept: str = "none"
    """Multiply the loss by the kept share of groups: none, linear or sqrt."""
    loss: str = "ppo"
    """Of the policy: ppo (clipped)."""
    old_logprobs: Literal["recomputed", "sampler"] = "recomputed"
    """Log-probabilities that the ratio is against: of the weights before the update, or as the
    sampler stored them (for data of other weights; and where there is neither critic nor KL in the
    reward, it saves a pass over the batch).
    """
    importance_cap: float | None = None
    """Weight each token's loss by the ratio of the weights before the update to the sampler's, at
    most this (for data of other weights, with recomputed log-probabilities); None for no weights.
    """
    kl: str = "k1"
    """Form of the KL estimate: k1, k2 or k3."""
    kl_coef: float = 0.0
    """Weight of the KL to the starting weights; 0 keeps no reference model."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Subtract the KL from the turn's reward, or add it to the loss. In the reward it differs
    between members that earned the same, which grpo and turn_grpo would blow up to full size.
    """
    entropy_coef: float = 0.001
    """Weight of the entropy bonus."""
    clip_low: float = 0.2
    """The ratio is clipped at 1 - clip_low."""
    clip_high: float = 0.2
    """The ratio is clipped at 1 + clip_high."""
    dual_clip: float | None = 3.0
    """Bound of the loss where the advantage is negative; None for none."""
    value_coef: float = 0.01
    """Weight of the value loss. It matters to a critic that shares the policy's body, whose
    features it bends: at 1 a tiny model forgot in 25 iterations what it had imitated.
    """
    value_clip: float = 0.5
    """A value may move this far from the old one before its loss stops falling."""
    aggregation: str = "token-mean"
    """token-mean, seq-mean-token-mean, seq-mean-token-sum or seq-mean-token-sum-norm."""

    loss_sections: tuple[str, ...] = ()
    """Sections of a reply whose tokens are trained (TRICO's M_loss): of think, answer, observation,
    prediction and tags (all else that the policy wrote: tags, replies that are not well formed, the
    end of a turn). Empty: all tokens.
    """
    advantage_sections: tuple[str, ...] = ()
    """Sections whose tokens take part in advantage estimation (TRICO's M_adv). Empty: all tokens.
    Others take the advantage of the next one that does.
    """

    # --- optimisation ---
    updates_per_batch: int = 1
    """Passes over each batch of rollouts (Online-k)."""
    mini_batch: int = 32
    """Trajectories in an optimiser step."""
    micro_batch_tokens: int = 16384
    """Tokens, padding included, that go through the model at once; changes memory, not results."""
    actor_lr: float = 1e-6
    """Learning rate of the policy. A model made from scratch needs about 1e-4."""
    critic_lr: float = 1e-5
    """Learning rate of the critic. A model made from scratch needs about 1e-3."""
    lr_decay: Literal["none", "linear"] = "none"
    """linear: both learning rates fall to 0 over the iterations."""
    grad_clip: float = 1.0
    """Largest gradient norm."""
    max_bad_updates: int = 3
    """Updates in a row with a loss that is not finite before the run stops; each is skipped."""

    # --- compute ---
    gradient_checkpointing: bool = False
    """Run each block again in the backward pass rather than keep all that it computed: a fraction
    of the update's memory for about a third more time, the same results.
    """
    compile: bool = False
    """Compile the model's blocks for the update (torch.compile), which takes a while at first;
    rollouts are not compiled.
    """
    cuda_graphs: bool = False
    """Sample tokens by replaying CUDA graphs, in training and in its evaluations; changes results
    by rounding alone. Off until it has been measured on a GPU.
    """

    # --- evaluation ---
    eval_every: int = 20
    """Iterations between evaluations; there is always one before the first and after the last."""
    eval_episodes: int = 256
    """Episodes of an evaluation, on the same levels each time."""
    eval_temperature: float = 0.5
    """0 takes the most likely token."""

    # --- diagnostics ---
    monitor: bool = True
    """Warn of signs of collapse: returns within groups, entropy, gradient, how far updates go,
    form of the replies.
    """
    early_stop: bool = False
    """Evaluate, save a checkpoint and stop where rollouts no longer differ, or entropy has gone or
    burst.
    """
    mi_every: int = 0
    """Iterations between measurements of the mutual information of thoughts and prompts; 0 never
    measures it.
    """
    mi_samples: int = 16
    """Thoughts that are compared with each other's prompts, drawn evenly over the starts."""

    @property
    def needs_critic(self) -> bool:
        """Whether the advantage estimator reads values."""
        from starpo_plugin.advantages import ADVANTAGES, WITH_CRITIC

        estimator = choose("advantage", self.advantage, ADVANTAGES)
        return self.advantage in WITH_CRITIC or getattr(estimator, "needs_critic", False)

    @property
    def behaviour(self) -> Literal["recomputed", "sampler"]:
        """Where the log-probabilities that ratios are taken to come from: with stored trajectories
        the sampler, unless importance weights account for it apart from the ratio.
        """
        if self.from_data and self.importance_cap is None:
            return "sampler"
        return self.old_logprobs

    def at_once(self, processes: int = 1) -> int:
        """Episodes that each of so many processes plays at once, at most."""
        return self.slots or -(-self.groups // processes) * self.members

    def protocol(self) -> ChatProtocol:
        """How the model is prompted and read."""
        return ChatProtocol(
            format=self.format,
            max_actions_per_turn=self.max_actions_per_turn,
            tags={section: str(name) for section, name in parse_args(self.tags).items()},
            rules=self.rules,
            system_template=self.system_template,
            user_template=self.user_template,
        )

    def episodes(self) -> EpisodeSpec:
        """Environment, at the curriculum's last stage, and limits, without the arguments that only
        training or evaluation has.
        """
        stage = parse_args(tuple(self.curriculum[-1].split())) if self.curriculum else {}
        return EpisodeSpec(
            self.env,
            parse_args(self.env_args) | stage,
            self.protocol(),
            self.max_turns,
            self.max_actions,
            self.format_penalty,
            self.context_turns,
        )

    def check(self) -> "TrainConfig":
        """Return self. Raises ``ValueError`` that names the field, its value and the choices."""
        from starpo_plugin.checks import check

        check(self)
        return self


def parse_args(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``name=value`` pairs; a value is a Python literal, or else a string."""
    parsed: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{pair!r} is not of the form name=value")
        try:
            parsed[name] = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # {[]: 1}, ((((
            parsed[name] = value
    return parsed


def from_dict(saved: dict[str, Any]) -> TrainConfig:
    """Make a config from what ``dataclasses.asdict`` gave, by way of JSON. Unknown names raise
    ``ValueError``.
    """
    unknown = sorted(set(saved) - {f.name for f in fields(TrainConfig)})
    if unknown:
        names = ", ".join(unknown[:5]) + (", ..." if unknown[5:] else "")
        raise ValueError(f"the saved config has fields that this version does not know: {names}")
    restored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
    return TrainConfig(**restored)


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Give a config as plain values, for JSON."""
    return asdict(config)
