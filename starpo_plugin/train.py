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
from starpo_plugin.echo_trap import EchoTrapMonitor
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
from starpo_plugin.update import Metrics
from starpo_plugin.watcher import Silent, Watcher


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
        return _Loop(config, run, folder, processes, watcher, data).to_the_end()


class _Loop:
    """A run under way: what its iterations share, and what each of them does."""

    def __init__(
        self,
        config: TrainConfig,
        run: Run,
        folder: RunFolder,
        processes: Processes,
        watcher: Watcher,
        data: StoredData | None,
    ) -> None:
        self.config, self.run, self.folder = config, run, folder
        self.processes, self.watcher, self.data = processes, watcher, data
        self.shaping = shaping(config)
        self.rollouts = Rollouts(
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
            shaping=self.shaping,
            processes=processes,
            **parse_args(config.train_args),
        )
        self.evaluator = Evaluator(run.policy, run.tokens, config, processes=processes)
        self.monitor = EchoTrapMonitor(stored=data is not None)
        self.history = folder.read("metrics.jsonl")
        for line in self.history:  # as if it had never stopped
            self.monitor.update(line["iteration"], line)

    def to_the_end(self) -> Path:
        """Go on from where the run is; the last checkpoint's path."""
        done, last = self.run.iteration, self.config.iterations
        if done == 0:
            self._measure_yardsticks()
            self._evaluate(0, "start")
        self.watcher.stage("StarPO", last, done)
        for iteration in range(done + 1, last + 1):
            stops = self._iterate(iteration)
            if stops:
                break
        for tracker in self.processes.accelerator.trackers:
            tracker.finish()  # the processes may yet be for something else
        return checkpoint.checkpoints(self.folder.checkpoints)[-1][1]

    def _iterate(self, iteration: int) -> bool:
        """One iteration: play, filter, update, and write down what came of it.

        Returns whether the run is to stop early.
        """
        config = self.config
        began = time.perf_counter()
        stage = next_stage(config, self.history)
        played, earned = self._roll_out(iteration, stage)
        sampled = time.perf_counter()
        metrics = describe(played) | earned
        if self.data is None:
            metrics |= stage_metrics(config, stage, played)
        if config.mi_every and iteration % config.mi_every == 0:
            metrics |= self._mutual_information(iteration, played)
        measured = time.perf_counter()
        kept, scale = select(played, config)
        metrics["kept_groups"] = float(len({t.group for t in kept}))
        metrics |= mixing.describe_each(played, kept)
        if kept:
            metrics |= self._update(iteration, kept, scale)
        updated = time.perf_counter()
        seconds = {"rollout": sampled - began, "update": updated - measured}
        if "mi" in metrics:
            seconds["mutual_information"] = measured - sampled
        self._log(iteration, metrics, seconds)
        stops = self._warn(iteration, metrics)
        self._save(iteration, played, kept, last=stops or iteration == config.iterations)
        return stops

    # --- the parts of an iteration ---

    def _roll_out(self, iteration: int, stage: int) -> tuple[list[Trajectory], Metrics]:
        """Play an iteration's groups, or take the next of the stored ones; metrics of what was
        earned besides the environment's reward.
        """
        if self.data is not None:
            return self.data.batch(iteration), {}
        config = self.config
        numbers = (number_for(config.seed, iteration, "level", g) for g in range(config.groups))
        seeds = [number >> 32 for number in numbers]
        draws = generator_for(config.seed, iteration, "sampling")
        specs = mixing.deal(config, stage)
        size = f"{config.groups} x {config.members} episodes of up to {config.max_tokens} tokens"
        with memory_for("rollout", self.run.policy, config, size):
            played = self.rollouts.run(
                seeds, config.members, draws, self.watcher.episodes, specs=specs
            )
        return self.shaping.finish(played)

    def _mutual_information(self, iteration: int, played: Sequence[Trajectory]) -> Metrics:
        config, run = self.config, self.run
        size = f"mutual information of {config.mi_samples} thoughts"
        with memory_for("update", run.policy, config, size):
            return mutual_information.measure(
                played, run.learner, config, iteration, run.tokens.pad_id
            )

    def _update(self, iteration: int, kept: Sequence[Trajectory], scale: float) -> Metrics:
        """Train on the trajectories that were kept."""
        config, run = self.config, self.run
        set_learning_rates(run.learner.optimizer, config, iteration)
        batch = collate(kept, run.tokens.pad_id, config.rewards, config.bootstrap_truncated)
        batch = batch.to(run.policy.device)
        shuffle = generator_for(config.seed, iteration, "shuffle")
        size = f"{len(batch)} trajectories of up to {batch.ids.shape[1]} tokens"
        with memory_for("update", run.policy, config, size, batch.ids.numel()):
            return run.learner.update(batch, shuffle, scale)

    # --- what an iteration leaves behind ---

    def _log(self, iteration: int, metrics: Metrics, seconds: dict[str, float]) -> None:
        self.folder.metrics(iteration, metrics, seconds)
        self.history.append(metrics)  # what a run that is resumed reads from the file
        shown = {**metrics, **{f"seconds/{k}": v for k, v in seconds.items()}}
        self.processes.accelerator.log(shown, iteration)
        whose = "success" if self.data is None else "success of the data"
        self.watcher.step(iteration, f"{whose} {metrics['success']:.0%}")

    def _warn(self, iteration: int, metrics: Metrics) -> bool:
        """Look for signs of collapse, write them down and tell them; whether one ends the run."""
        config, stopping = self.config, False
        for warning in self.monitor.update(iteration, metrics) if config.monitor else []:
            early = config.early_stop and warning.stops and iteration < config.iterations
            self.folder.warning(warning, early)
            self.processes.accelerator.log({f"warning/{warning.signal}": warning.value}, iteration)
            self.watcher.warned(warning, early)
            stopping |= early
        return stopping

    def _save(
        self,
        iteration: int,
        played: Sequence[Trajectory],
        kept: Sequence[Trajectory],
        last: bool,
    ) -> None:
        """Store rollouts, evaluate, write a checkpoint: each when it is due, and at the last."""
        config = self.config
        every = config.save_rollouts if self.data is None else 0
        if every and (last or iteration % every == 0):
            self.folder.rollouts(iteration, played, _origin(config, iteration, self.run.tokens))
        if last or iteration % config.eval_every == 0:
            if kept and config.save_tokens:
                self._store_token_figures(iteration, kept)
            self._evaluate(iteration, f"iteration {iteration}")
        if last or iteration % config.save_every == 0:
            self.run.save(iteration, self.folder, config)

    def _store_token_figures(self, iteration: int, kept: Sequence[Trajectory]) -> None:
        config, run = self.config, self.run
        size = f"figures of the tokens of {config.save_tokens} episodes"
        with memory_for("update", run.policy, config, size):
            shown = token_figures(run.learner, kept, run.tokens, config.save_tokens)
        if self.folder.writes:  # only now: scoring is shared out among all processes
            token_file.write(self.folder.tokens(iteration), iteration, shown)

    def _evaluate(self, iteration: int, name: str) -> None:
        score, played = self.evaluator.run(self.watcher.episodes)
        each = score_each(played)
        self.folder.evaluation(iteration, score, played, each)
        logged = {"eval/success": score.success_rate, "eval/return": score.mean_return}
        if len(each) > 1:
            logged |= {f"eval/success/{task}": s.success_rate for task, s in each.items()}
        self.processes.accelerator.log(logged, iteration)
        self.watcher.evaluated(name, score)

    def _measure_yardsticks(self) -> None:
        """Write down what random player and oracle reach."""
        if not self.processes.first:
            return
        self.watcher.stage("yardsticks", 1)
        each = yardsticks_each(self.config)
        scores = mixing.pooled_agents(each)
        for name, score in scores.items():
            self.watcher.evaluated(name, score)
        self.folder.yardsticks(scores, each)


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
