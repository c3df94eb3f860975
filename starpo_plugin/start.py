"""Where a run begins, or goes on from: processes, model, imitation, optimiser, checkpoint."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from accelerate.utils.fsdp_utils import disable_fsdp_ram_efficient_loading

from starpo_plugin import checkpoint, mixing
from starpo_plugin.checkpoint import number_for
from starpo_plugin.compute import Compute, frozen_dtype, held
from starpo_plugin.config import TrainConfig, parse_args
from starpo_plugin.evaluate import device_of
from starpo_plugin.lora import LoraShape, base_of, is_adapter
from starpo_plugin.offline import StoredData
from starpo_plugin.out_of_memory import memory_for
from starpo_plugin.policy import Policy, load_model
from starpo_plugin.processes import Processes
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.tiny import TinyShape, tiny_model, tiny_tokenizer
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.update import Learner
from starpo_plugin.warmup import corpus, imitate
from starpo_plugin.watcher import Watcher


@dataclass
class Run:
    """What is trained, and how far it got."""

    policy: Policy
    tokens: ChatTokens
    learner: Learner
    iteration: int

    def save(self, iteration: int, folder: RunFolder, config: TrainConfig) -> None:
        """Write a checkpoint of an iteration."""
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
            self.learner.processes,
        )


def join_processes(config: TrainConfig) -> Processes:
    """Join the processes that accelerate started, on the device that the config asks for."""
    disable_fsdp_ram_efficient_loading()  # weights that only the first process would have
    accelerator = Accelerator(
        cpu=device_of(config).type == "cpu",
        mixed_precision=config.precision,
        log_with=None if config.tracker == "none" else config.tracker,
        project_config=ProjectConfiguration(project_dir=config.run, logging_dir=config.run),
    )
    return Processes(accelerator)


def begin(
    config: TrainConfig,
    folder: RunFolder,
    processes: Processes,
    watcher: Watcher,
    data: StoredData | None,
) -> Run:
    """Make what a run trains, as it was at its last checkpoint if it has one."""
    saved = checkpoint.checkpoints(folder.checkpoints)
    iteration, path = saved[-1] if saved else (0, None)
    processes.wait()  # until each knows whether the run has begun
    policy = _start(config, folder, processes, watcher) if path is None else _saved(config, path)
    policy = processes.place(policy)
    if data is not None:
        data.check(policy)
        folder.keep_data(data.digests)
    optimizer = make_optimizer(policy, config)
    learner = Learner(policy, None, config, optimizer, processes.backward, processes)
    run = Run(policy, ChatTokens(policy.tokenizer), learner, iteration)
    if path is None:
        run.save(0, folder, config)
    else:
        counters = checkpoint.load_state(path, optimizer)
        run.learner.bad_updates = counters["bad_updates"]
        run.learner.bad_in_a_row = counters["bad_in_a_row"]
    folder.forget_after(run.iteration or -1)  # a run that is at 0 evaluates its start again
    processes.wait()
    if config.kl_coef and policy.adapters is not None:
        run.learner.reference = policy.reference
    elif config.kl_coef:
        start = Policy(*load_model(str(folder.checkpoints / "000000"), frozen_dtype(config)))
        run.learner.reference = processes.place(start.requires_grad_(False))
    return run


def _start(
    config: TrainConfig, folder: RunFolder, processes: Processes, watcher: Watcher
) -> Policy:
    """Make the policy of a run's first iteration: model, imitation, then critic and adapters."""
    policy = Policy(*start_model(config))
    policy.compute = Compute.of(config)
    if config.warmup_updates:
        policy.to(processes.accelerator.device)
        warm_up(policy, ChatTokens(policy.tokenizer), config, watcher, processes)
    nowhere = config.model == "tiny" or config.warmup_updates or is_adapter(config.model)
    if config.lora_rank and nowhere:
        policy.model.name_or_path = str(checkpoint.save_base(folder.checkpoints, policy, processes))
    return _trained(config, policy.model, policy.tokenizer)


def _saved(config: TrainConfig, path: Path) -> Policy:
    """Load the policy of a checkpoint, to train on."""
    with checkpoint.reading(path):
        base = base_of(path) if is_adapter(path) else None
    with checkpoint.reading(path) if base is None else nullcontext():
        model, tokenizer = load_model(base or str(path))
    policy = _trained(config, model, tokenizer)
    with checkpoint.reading(path):
        policy.restore(path)
    return policy


def _trained(config: TrainConfig, model: Any, tokenizer: Any) -> Policy:
    """Give a model what training adds to it."""
    kind = config.critic if config.needs_critic else "none"
    seed = number_for(config.seed, "adapters")
    policy = Policy(held(model, config), tokenizer, kind, LoraShape.of(config), seed)
    policy.compute = Compute.of(config)
    return policy


def start_model(config: TrainConfig) -> tuple[Any, Any]:
    """Make or load the model and tokenizer that a run begins with."""
    if config.model != "tiny":
        return load_model(config.model)
    arguments = parse_args(config.train_args)
    texts = [
        text
        for spec in mixing.every_spec(config)
        for text in corpus(spec, config.seed, config.warmup_thought, **arguments)
    ]
    protocol = config.protocol()
    tokenizer = tiny_tokenizer(texts, tags=[protocol.tag(s) for s in protocol.sections])
    shape = TinyShape(config.tiny_hidden, config.tiny_layers, context=max(config.max_tokens, 256))
    return tiny_model(tokenizer, config.seed, shape), tokenizer


def warm_up(
    policy: Policy,
    tokens: ChatTokens,
    config: TrainConfig,
    watcher: Watcher,
    processes: Processes | None = None,
) -> None:
    """Imitate the oracle as the configuration says: of all environments, and of a curriculum its
    first stage.
    """
    first, *others = mixing.specs(config, stage=0)
    watcher.stage("imitation", config.warmup_updates)
    size = f"{config.warmup_batch} demonstrations in an update"
    with memory_for("imitation", policy, config, size):
        imitate(
            policy,
            tokens,
            first,
            updates=config.warmup_updates,
            batch_size=config.warmup_batch,
            lr=config.warmup_lr,
            seed=number_for(config.seed, "imitation"),
            thought=config.warmup_thought,
            moves_per_turn=config.warmup_moves,
            micro_batch_tokens=config.micro_batch_tokens,
            beside=others,
            progress=lambda done, loss: watcher.step(done, f"loss {loss:.3f}"),
            processes=processes,
            **parse_args(config.train_args),
        )


def make_optimizer(policy: Policy, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW over what is trained, with a learning rate each for policy and critic."""
    groups = [{"params": policy.actor_parameters(), "lr": config.actor_lr}]
    if policy.critic_head is not None:
        groups.append({"params": policy.critic_parameters(), "lr": config.critic_lr})
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=0)
