"""The training loop, top to bottom:

config -> rollout -> trajectories -> filter -> batch -> score -> advantages -> update -> metrics.

Stored trajectories may take the place of the rollout.

What was left out: nothing here knows the name of an algorithm, an environment or a model; those
are in ``config``, and the equations in ``advantages``, ``filters`` and ``losses``.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration

from starpo_plugin import checkpoint, mutual_information
from starpo_plugin.batch import collate
from starpo_plugin.checkpoint import generator_for, number_for
from starpo_plugin.choices import choose
from starpo_plugin.config import TrainConfig, parse_args, to_dict
from starpo_plugin.diagnostics import describe
from starpo_plugin.echo_trap import EchoTrapMonitor, TrapWarning
from starpo_plugin.evaluate import Evaluator, device_of, yardsticks
from starpo_plugin.filters import FILTERS, group_scores, scale_by_kept
from starpo_plugin.lora import LoraShape, base_of, is_adapter
from starpo_plugin.offline import StoredData, open_data
from starpo_plugin.policy import Policy, load_model
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.shaping import shaping
from starpo_plugin.tiny import TinyShape, tiny_model, tiny_tokenizer
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.trajectory_file import Origin, vocabulary_of, write
from starpo_plugin.update import Learner
from starpo_plugin.warmup import corpus, imitate
from text_envs.agents import Score


class Watcher(Protocol):
    """Who is told how a run goes: a console, a test."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` steps begins; a resumed run has ``done`` of them behind it."""

    def step(self, done: int, note: str) -> None:
        """``done`` steps of the stage are over."""

    def episodes(self, done: int, total: int) -> None:
        """``done`` of the episodes that are being played are over."""

    def evaluated(self, name: str, score: Score) -> None:
        """An agent was evaluated."""

    def warned(self, warning: TrapWarning, stops: bool) -> None:
        """A sign of collapse was seen; ``stops`` if the run ends early for it."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: int, done: int = 0) -> None: ...  # noqa: D102
    def step(self, done: int, note: str) -> None: ...  # noqa: D102
    def episodes(self, done: int, total: int) -> None: ...  # noqa: D102
    def evaluated(self, name: str, score: Score) -> None: ...  # noqa: D102
    def warned(self, warning: TrapWarning, stops: bool) -> None: ...  # noqa: D102


def train(config: TrainConfig, watcher: Watcher | None = None, resume: bool = False) -> Path:
    """Train from ``config`` into its run folder; return the last checkpoint's path.

    Args:
        config: checked here; with ``resume`` it must be the one that the run was begun with.
        watcher: is told of the progress.
        resume: go on from the last complete checkpoint, or begin if there is none.

    Raises:
        ValueError: a configuration, environment, model or stored trajectories that can't work; a
            run that is there already.
        CheckpointError: a checkpoint can't be written or read.
        TooManyBadUpdates: the loss was not finite several times in a row.
        OSError: another of the run's files can't be written.

    A run that ``early_stop`` ends is evaluated and saved at its last iteration like one that is
    over; ``RunFolder.stopped_for`` tells the two apart.
    """
    config.check()
    watcher = watcher or Silent()
    folder = RunFolder(config.run)
    data = open_data(config, folder, resume) if config.from_data else None
    if not resume:
        folder.create(config)
    accelerator = _accelerator(config)
    run = _begin(config, folder, accelerator, watcher, data)
    rollouts = Rollouts(
        run.policy,
        run.tokens,
        config.episodes(),
        Sampling(
            config.max_reply_tokens,
            config.max_tokens,
            config.temperature,
            config.slots,
            config.env_threads,
        ),
        shaping=shaping(config),
        **parse_args(config.train_args),
    )
    evaluator = Evaluator(run.policy, run.tokens, config)
    if run.iteration == 0:
        folder.yardsticks(_measure_yardsticks(config, watcher))
        _evaluate(evaluator, folder, accelerator, 0, "start", watcher)
    monitor = EchoTrapMonitor()
    for line in folder.read("metrics.jsonl"):  # as if it had never stopped
        monitor.update(line["iteration"], line)
    watcher.stage("StarPO", config.iterations, run.iteration)
    for iteration in range(run.iteration + 1, config.iterations + 1):
        began = time.perf_counter()
        if data is not None:
            played = data.batch(iteration)
        else:
            numbers = (number_for(config.seed, iteration, "level", g) for g in range(config.groups))
            draws = generator_for(config.seed, iteration, "sampling")
            seeds = [number >> 32 for number in numbers]
            played = rollouts.run(seeds, config.members, draws, watcher.episodes)
        sampled = time.perf_counter()
        metrics = describe(played)
        if config.mi_every and iteration % config.mi_every == 0:
            metrics |= mutual_information.measure(
                played, run.learner, config, iteration, run.tokens.pad_id
            )
        measured = time.perf_counter()
        kept, scale = select(played, config)
        metrics["kept_groups"] = float(len({t.group for t in kept}))
        if kept:
            set_learning_rates(run.learner.optimizer, config, iteration)
            batch = collate(kept, run.tokens.pad_id, config.rewards, config.bootstrap_truncated)
            batch = batch.to(run.policy.device)
            shuffle = generator_for(config.seed, iteration, "shuffle")
            metrics |= run.learner.update(batch, shuffle, scale)
        updated = time.perf_counter()
        seconds = {"rollout": sampled - began, "update": updated - measured}
        if "mi" in metrics:
            seconds["mutual_information"] = measured - sampled
        folder.metrics(iteration, metrics, seconds)
        accelerator.log({**metrics, **{f"seconds/{k}": v for k, v in seconds.items()}}, iteration)
        whose = "success" if data is None else "success of the data"
        watcher.step(iteration, f"{whose} {metrics['success']:.0%}")
        warnings = monitor.update(iteration, metrics) if config.monitor else []
        stops = _warn(warnings, folder, accelerator, config, watcher)
        last = stops or iteration == config.iterations
        every = config.save_rollouts if data is None else 0
        if every and (last or iteration % every == 0):
            write(folder.rollouts(iteration), played, _origin(config, iteration, run.tokens))
        if last or iteration % config.eval_every == 0:
            _evaluate(evaluator, folder, accelerator, iteration, f"iteration {iteration}", watcher)
        if last or iteration % config.save_every == 0:
            run.save(iteration, folder, config)
        if stops:
            break
    accelerator.end_training()
    return checkpoint.checkpoints(folder.checkpoints)[-1][1]


def select(played: Sequence[Trajectory], config: TrainConfig) -> tuple[list[Trajectory], float]:
    """Filter the groups to train on; the loss's factor. Without one sampled token there's
    nothing to train.
    """
    returns = torch.tensor([t.total_reward for t in played])
    scores, index = group_scores(returns, torch.tensor([t.group for t in played]))
    keep = choose("filter", config.filter, FILTERS)(scores, config.filter_value)
    kept = [t for t, k in zip(played, keep[index].tolist(), strict=True) if k and t.turns]
    return kept, scale_by_kept(keep, config.scale_by_kept)


def _warn(
    warnings: Sequence[TrapWarning],
    folder: RunFolder,
    accelerator: Accelerator,
    config: TrainConfig,
    watcher: Watcher,
) -> bool:
    """Write warnings down and tell them; whether the run is to stop early."""
    stopping = False
    for warning in warnings:
        early = config.early_stop and warning.stops and warning.iteration < config.iterations
        folder.warning(warning, early)
        accelerator.log({f"warning/{warning.signal}": warning.value}, warning.iteration)
        watcher.warned(warning, early)
        stopping |= early
    return stopping


# --- beginning and going on ---


@dataclass
class _Run:
    """What is trained, and how far it got."""

    policy: Policy
    tokens: ChatTokens
    learner: Learner
    iteration: int

    def save(self, iteration: int, folder: RunFolder, config: TrainConfig) -> None:
        counters = {
            "bad_updates": self.learner.bad_updates,
            "bad_in_a_row": self.learner.bad_in_a_row,
        }
        checkpoint.save(
            folder.checkpoints,
            iteration,
            self.policy,
            self.learner.optimizer,
            counters,
            config.keep,
        )


def _origin(config: TrainConfig, iteration: int, tokens: ChatTokens) -> Origin:
    arguments = {**parse_args(config.env_args), **parse_args(config.train_args)}
    return Origin(iteration, vocabulary_of(tokens.tokenizer), arguments, to_dict(config))


def _accelerator(config: TrainConfig) -> Accelerator:
    device_of(config)  # refuses one that isn't there
    project = ProjectConfiguration(project_dir=config.run, logging_dir=config.run)
    accelerator = Accelerator(
        cpu=config.device == "cpu",
        mixed_precision=config.precision,
        log_with="tensorboard",
        project_config=project,
    )
    accelerator.init_trackers("tensorboard")
    return accelerator


def _begin(
    config: TrainConfig,
    folder: RunFolder,
    accelerator: Accelerator,
    watcher: Watcher,
    data: StoredData | None,
) -> _Run:
    saved = checkpoint.checkpoints(folder.checkpoints)
    iteration, path = saved[-1] if saved else (0, None)
    policy = _start(config, folder, accelerator, watcher) if path is None else _saved(config, path)
    policy.to(accelerator.device)
    if data is not None:
        data.check(policy)
        folder.keep_data(data.digests)
    optimizer = _optimizer(policy, config)
    learner = Learner(policy, None, config, optimizer, accelerator.backward)
    run = _Run(policy, ChatTokens(policy.tokenizer), learner, iteration)
    if path is None:
        run.save(0, folder, config)
    else:
        counters = checkpoint.load_state(path, optimizer)
        run.learner.bad_updates = counters["bad_updates"]
        run.learner.bad_in_a_row = counters["bad_in_a_row"]
    folder.forget_after(run.iteration or -1)  # a run that is at 0 evaluates its start again
    if config.kl_coef and policy.adapters is not None:
        run.learner.reference = policy.reference
    elif config.kl_coef:
        start = Policy(*load_model(str(folder.checkpoints / "000000")))
        run.learner.reference = start.to(accelerator.device).requires_grad_(False)
    return run


def _start(
    config: TrainConfig, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> Policy:
    """Make the policy of a run's first iteration: model, imitation, then critic and adapters."""
    policy = Policy(*start_model(config)).to(accelerator.device)
    if config.warmup_updates:
        warm_up(policy, ChatTokens(policy.tokenizer), config, watcher)
    nowhere = config.model == "tiny" or config.warmup_updates or is_adapter(config.model)
    if config.lora_rank and nowhere:
        policy.model.name_or_path = str(checkpoint.save_base(folder.checkpoints, policy))
    return _trained(config, policy.model, policy.tokenizer)


def _saved(config: TrainConfig, path: Path) -> Policy:
    """Load the policy of a checkpoint, to train on."""
    model, tokenizer = load_model(base_of(path) if is_adapter(path) else str(path))
    policy = _trained(config, model, tokenizer)
    policy.restore(path)
    return policy


def _trained(config: TrainConfig, model: Any, tokenizer: Any) -> Policy:
    """Give a model what training adds to it."""
    kind = config.critic if config.needs_critic else "none"
    return Policy(model, tokenizer, kind, LoraShape.of(config), number_for(config.seed, "adapters"))


def start_model(config: TrainConfig) -> tuple[Any, Any]:
    """Make or load the model and tokenizer that a run begins with."""
    if config.model != "tiny":
        return load_model(config.model)
    texts = corpus(
        config.episodes(), config.seed, config.warmup_thought, **parse_args(config.train_args)
    )
    protocol = config.protocol()
    tokenizer = tiny_tokenizer(texts, tags=[protocol.tag(s) for s in protocol.sections])
    shape = TinyShape(config.tiny_hidden, config.tiny_layers, context=max(config.max_tokens, 256))
    return tiny_model(tokenizer, config.seed, shape), tokenizer


def warm_up(policy: Policy, tokens: ChatTokens, config: TrainConfig, watcher: Watcher) -> None:
    """Imitate the oracle as the configuration says."""
    watcher.stage("imitation", config.warmup_updates)
    imitate(
        policy,
        tokens,
        config.episodes(),
        updates=config.warmup_updates,
        batch_size=config.warmup_batch,
        lr=config.warmup_lr,
        seed=number_for(config.seed, "imitation"),
        thought=config.warmup_thought,
        moves_per_turn=config.warmup_moves,
        micro_batch_tokens=config.micro_batch_tokens,
        progress=lambda done, loss: watcher.step(done, f"loss {loss:.3f}"),
        **parse_args(config.train_args),
    )


def _optimizer(policy: Policy, config: TrainConfig) -> torch.optim.Optimizer:
    groups = [{"params": policy.actor_parameters(), "lr": config.actor_lr}]
    if policy.critic_head is not None:
        groups.append({"params": policy.critic_parameters(), "lr": config.critic_lr})
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=0)


def set_learning_rates(
    optimizer: torch.optim.Optimizer, config: TrainConfig, iteration: int
) -> None:
    """Set what ``lr_decay`` asks for in an iteration, counted from 1."""
    share = 1.0 - (iteration - 1) / config.iterations if config.lr_decay == "linear" else 1.0
    for group, lr in zip(optimizer.param_groups, (config.actor_lr, config.critic_lr), strict=False):
        group["lr"] = lr * share


# --- evaluation ---


def _measure_yardsticks(config: TrainConfig, watcher: Watcher) -> dict[str, Score]:
    watcher.stage("yardsticks", 1)
    scores = yardsticks(config)
    for name, score in scores.items():
        watcher.evaluated(name, score)
    return scores


def _evaluate(
    evaluator: Evaluator,
    folder: RunFolder,
    accelerator: Accelerator,
    iteration: int,
    name: str,
    watcher: Watcher,
) -> None:
    score, played = evaluator.run(watcher.episodes)
    folder.evaluation(iteration, score, played)
    accelerator.log(
        {"eval/success": score.success_rate, "eval/return": score.mean_return}, iteration
    )
    watcher.evaluated(name, score)
