"""What a user means by CHECKPOINT_OR_RUN."""

import json
from dataclasses import replace
from pathlib import Path

from starpo_plugin.config import TrainConfig, from_dict
from starpo_plugin.run_folder import RunFolder

NOTE = "starpo.json"
"""Beside a model that ``starpo warmup`` wrote: the config that it was trained with."""


def locate(text: str) -> TrainConfig:
    """Find a model and how it was trained: the config, with ``model`` set to where it is, and
    without what only the machine of its training may have (CUDA graphs).

    Args:
        text: a run folder (its last checkpoint), one of its checkpoints, a model that ``starpo
            warmup`` wrote, or any other model by folder or hub name (the default config).

    Raises:
        ValueError: a run that has no checkpoint yet.
    """
    return replace(_as_trained(text), cuda_graphs=False)


def _as_trained(text: str) -> TrainConfig:
    path = Path(text)
    if (path / "config.json").exists() and not _is_model(path):
        config = RunFolder(path).config()
        return replace(config, run=text, model=str(last_checkpoint(path)))
    if path.resolve().parent.name == "checkpoints" and (path / "state.json").exists():
        return replace(RunFolder(path.resolve().parent.parent).config(), model=text)
    if (path / NOTE).exists():
        return replace(from_dict(json.loads((path / NOTE).read_text())), model=text)
    return TrainConfig(model=text)


def _is_model(path: Path) -> bool:
    """Whether a folder's config.json is a model's, as opposed to a run's."""
    said = (path / "config.json").read_text(encoding="utf-8", errors="replace")
    return (path / "tokenizer_config.json").exists() or '"model_type"' in said


def last_checkpoint(run: Path) -> Path:
    """Give the last complete checkpoint of a run. Raises ``ValueError`` if there is none yet."""
    from starpo_plugin.checkpoint import checkpoints  # loads torch, which a typing error need not

    found = checkpoints(RunFolder(run).checkpoints)
    if not found:
        raise ValueError(
            f"run {run} has no checkpoint yet: it writes its first one after the imitation"
            f" (starpo train --resume {run} goes on with it)"
        )
    return found[-1][1]
