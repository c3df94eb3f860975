"""The training loop, top to bottom:

config -> rollout -> trajectories -> filter -> batch -> score -> advantages -> update -> metrics.

Stored trajectories may take the place of the rollout.

What was left out: nothing here knows the name of an algorithm, an environment or a model; those
are in ``config``, and the equations in ``advantages``, ``filters`` and ``losses``.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from starpo_plugin import checkpoint, mixing, mutual_information, token_file
from starpo_plugin.batch import collate
from starpo_plugin.checkpoint import generator_for, number_for
from starpo_plugin.choices import choose
from starpo_plugin.config import TrainConfig, parse_args, to_dict
from starpo_plugin.curriculum import next_stage, stage_metrics
from starpo_plugin.diagnostics import describe
from starpo_plugin.echo_trap import EchoTrapMonitor, TrapWarning
from starpo_plugin.evaluate import Evaluator, score_each, yardsticks_each
from starpo_plugin.filters import FILTERS, group_scores, scale_by_kept
from starpo_plugin.offline import StoredData, open_data
from starpo_plugin.out_of_memory import memory_for
from starpo_plugin.processes import Processes
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.shaping import shaping
from starpo_plugin.start import Run, begin, join_processes
from starpo_plugin.token_figures import token_figures
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trackers import begin_tracker, check_tracker
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.trajectory_file import Origin, vocabulary_of
from starpo_plugin.watcher import Silent, Watcher
from text_envs.agents import Score


def train(config: TrainConfig, watcher: Watcher | None = None, resume: bool = False) -> Path:
    """Train from ``config`` into its run folder; return the last checkpoint's path.

    Args:
        config: checked here; with ``resume`` it must be the one that the run was begun with.
        watcher: is told of the progress.
        resume: go on from the last complete checkpoint, or begin if there is none.

    Raises:
        ValueError: a configuration, environment, model or stored trajectories that can't work; a
            run that is there already, or that another process is training.
        CheckpointError: a checkpoint can't be written or read.
        TooManyBadUpdates: the loss was not finite several times in a row.
        OutOfMemory: in the imitation, a rollout, an update or an evaluation.
        OSError: another of the run's files can't be written.

    A run that ``early_stop`` ends is evaluated and saved at its last iteration like one that is
    over; ``RunFolder.stopped_for`` tells the two apart.
    """
    config.check()
    check_tracker(config)
    processes = join_processes(config)
    watcher = watcher if watcher is not None and processes.first else Silent()
    folder = RunFolder(config.run, processes.first)
    data = open_data(config, folder, resume) if config.from_data else None
    with folder.held():
        if resume:
            folder.write_config(config)  # it may be told to go on for longer
        else:
            folder.create(config)
        begin_tracker(processes.accelerator, config, resume)
        run = begin(config, folder, processes, watcher, data)
        return _iterate(config, run, folder, processes, watcher, data)


def _iterate(
    config: TrainConfig,
    run: Run,
    folder: RunFolder,
    processes: Processes,
    watcher: Watcher,
    data: StoredData | None,
) -> Path:
    """Go on with a run to its end; the last checkpoint's path."""
    rewarding = shaping(config)
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
            config.cuda_graphs,
        ),
        shaping=rewarding,
        processes=processes,
        **parse_args(config.train_args),
    )
    evaluator = Evaluator(run.policy, run.tokens, config, processes=processes)
    if run.iteration == 0:
        if processes.first:
            each = _measure_yardsticks(config, watcher)
            folder.yardsticks(mixing.pooled_agents(each), each)
        _evaluate(evaluator, folder, processes, 0, "start", watcher)
    monitor = EchoTrapMonitor(stored=data is not None)
    history = folder.read("metrics.jsonl")
    for line in history:  # as if it had never stopped
        monitor.update(line["iteration"], line)
    watcher.stage("StarPO", config.iterations, run.iteration)
    for iteration in range(run.iteration + 1, config.iterations + 1):
        began = time.perf_counter()
        stage, earned = next_stage(config, history), {}
        if data is not None:
            played = data.batch(iteration)
        else:
            numbers = (number_for(config.seed, iteration, "level", g) for g in range(config.groups))
            draws = generator_for(config.seed, iteration, "sampling")
            seeds = [number >> 32 for number in numbers]
            size = (
                f"{config.groups} x {config.members} episodes of up to {config.max_tokens} tokens"
            )
            given = mixing.deal(config, stage)
            with memory_for("rollout", run.policy, config, size):
                played = rollouts.run(seeds, config.members, draws, watcher.episodes, specs=given)
            played, earned = rewarding.finish(played)
        sampled = time.perf_counter()
        metrics = describe(played) | earned
        if data is None:
            metrics |= stage_metrics(config, stage, played)
        if config.mi_every and iteration % config.mi_every == 0:
            size = f"mutual information of {config.mi_samples} thoughts"
            with memory_for("update", run.policy, config, size):
                metrics |= mutual_information.measure(
                    played, run.learner, config, iteration, run.tokens.pad_id
                )
        measured = time.perf_counter()
        kept, scale = select(played, config)
        metrics["kept_groups"] = float(len({t.group for t in kept}))
        metrics |= mixing.describe_each(played, kept)
        if kept:
            set_learning_rates(run.learner.optimizer, config, iteration)
            batch = collate(kept, run.tokens.pad_id, config.rewards, config.bootstrap_truncated)
            batch = batch.to(run.policy.device)
            shuffle = generator_for(config.seed, iteration, "shuffle")
            size = f"{len(batch)} trajectories of up to {batch.ids.shape[1]} tokens"
            with memory_for("update", run.policy, config, size, batch.ids.numel()):
                metrics |= run.learner.update(batch, shuffle, scale)
        updated = time.perf_counter()
        seconds = {"rollout": sampled - began, "update": updated - measured}
        if "mi" in metrics:
            seconds["mutual_information"] = measured - sampled
        folder.metrics(iteration, metrics, seconds)
        history.append(metrics)  # what a run that is resumed reads from the file
        shown = {**metrics, **{f"seconds/{k}": v for k, v in seconds.items()}}
        processes.accelerator.log(shown, iteration)
        whose = "success" if data is None else "success of the data"
        watcher.step(iteration, f"{whose} {metrics['success']:.0%}")
        warnings = monitor.update(iteration, metrics) if config.monitor else []
        stops = _warn(warnings, folder, processes, config, watcher)
        last = stops or iteration == config.iterations
        every = config.save_rollouts if data is None else 0
        if every and (last or iteration % every == 0):
            folder.rollouts(iteration, played, _origin(config, iteration, run.tokens))
        if last or iteration % config.eval_every == 0:
            if kept and config.save_tokens:
                size = f"figures of the tokens of {config.save_tokens} episodes"
                with memory_for("update", run.policy, config, size):
                    shown = token_figures(run.learner, kept, run.tokens, config.save_tokens)
                if folder.writes:
                    token_file.write(folder.tokens(iteration), iteration, shown)
            _evaluate(evaluator, folder, processes, iteration, f"iteration {iteration}", watcher)
        if last or iteration % config.save_every == 0:
            run.save(iteration, folder, config)
        if stops:
            break
    for tracker in processes.accelerator.trackers:  # the processes may yet be for something else
        tracker.finish()
    return checkpoint.checkpoints(folder.checkpoints)[-1][1]


def select(played: Sequence[Trajectory], config: TrainConfig) -> tuple[list[Trajectory], float]:
    """Filter the groups to train on, of each environment apart; the loss's factor. Without one
    sampled token there's nothing to train.
    """
    kept, keeps = [], []
    for theirs in mixing.by_task(played).values():
        returns = torch.tensor([t.total_reward for t in theirs])
        scores, index = group_scores(returns, torch.tensor([t.group for t in theirs]))
        keep = choose("filter", config.filter, FILTERS)(scores, config.filter_value)
        kept += [t for t, k in zip(theirs, keep[index].tolist(), strict=True) if k and t.turns]
        keeps.append(keep)
    return kept, scale_by_kept(torch.cat(keeps), config.scale_by_kept)


def _warn(
    warnings: Sequence[TrapWarning],
    folder: RunFolder,
    processes: Processes,
    config: TrainConfig,
    watcher: Watcher,
) -> bool:
    """Write warnings down and tell them; whether the run is to stop early."""
    stopping = False
    for warning in warnings:
        early = config.early_stop and warning.stops and warning.iteration < config.iterations
        folder.warning(warning, early)
        processes.accelerator.log({f"warning/{warning.signal}": warning.value}, warning.iteration)
        watcher.warned(warning, early)
        stopping |= early
    return stopping


def _origin(config: TrainConfig, iteration: int, tokens: ChatTokens) -> Origin:
    arguments = {**parse_args(config.env_args), **parse_args(config.train_args)}
    return Origin(iteration, vocabulary_of(tokens.tokenizer), arguments, to_dict(config))


def set_learning_rates(
    optimizer: torch.optim.Optimizer, config: TrainConfig, iteration: int
) -> None:
    """Set what ``lr_decay`` asks for in an iteration, counted from 1."""
    share = 1.0 - (iteration - 1) / config.iterations if config.lr_decay == "linear" else 1.0
    for group, lr in zip(optimizer.param_groups, (config.actor_lr, config.critic_lr), strict=False):
        group["lr"] = lr * share


# --- evaluation ---


def _measure_yardsticks(config: TrainConfig, watcher: Watcher) -> dict[str, dict[str, Score]]:
    watcher.stage("yardsticks", 1)
    each = yardsticks_each(config)
    for name, score in mixing.pooled_agents(each).items():
        watcher.evaluated(name, score)
    return each


def _evaluate(
    evaluator: Evaluator,
    folder: RunFolder,
    processes: Processes,
    iteration: int,
    name: str,
    watcher: Watcher,
) -> None:
    score, played = evaluator.run(watcher.episodes)
    each = score_each(played)
    folder.evaluation(iteration, score, played, each)
    logged = {"eval/success": score.success_rate, "eval/return": score.mean_return}
    if len(each) > 1:
        logged |= {f"eval/success/{task}": s.success_rate for task, s in each.items()}
    processes.accelerator.log(logged, iteration)
    watcher.evaluated(name, score)
