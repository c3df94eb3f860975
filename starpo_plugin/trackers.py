"""Where a run's metrics are shown besides its own folder: trackers, by way of accelerate."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starpo_plugin.config import TrainConfig, to_dict

if TYPE_CHECKING:
    from accelerate import Accelerator

PROJECT = "starpo"
"""What wandb and trackio file a run under, beside its own name."""


def check_tracker(config: TrainConfig) -> None:
    """Raise ``ValueError`` where the tracker's package is not installed."""
    name = config.tracker
    if name != "none" and find_spec(name) is None:
        extra = "starpo" if name == "tensorboard" else name
        raise ValueError(
            f"tracker={name!r} needs the package {name}, which is not installed:"
            f" pip install 'text-envs[{extra}]', or choose another --tracker, or none"
        )


def begin_tracker(accelerator: "Accelerator", config: TrainConfig, goes_on: bool = False) -> None:
    """Begin what ``accelerator.log`` writes to, or go on with it; the run's folder is there.

    Raises ``ValueError`` where the tracker can't begin: no account, no network.
    """
    run = Path(config.run).resolve()  # --run . has no name of its own
    # another run may have had this name before, in another folder
    resume = "allow" if goes_on else "never"
    options: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any]]] = {
        # project, config, arguments of the tracker's own. TensorBoard takes the first as a folder,
        # and its table of hyperparameters holds neither lists nor None.
        "tensorboard": ("tensorboard", None, {}),
        "wandb": (PROJECT, to_dict(config), {"name": run.name, "dir": str(run)}),
        "trackio": (PROJECT, to_dict(config), {"name": run.name, "resume": resume}),
    }
    if config.tracker == "none":
        return
    project, saved, more = options[config.tracker]
    try:
        accelerator.init_trackers(project, saved, {config.tracker: more})
    except Exception as error:  # each tracker has exceptions of its own, and none is loaded here
        raise ValueError(
            f"tracker={config.tracker!r} can't begin ({error}): give it what it asks for"
            " (WANDB_MODE=offline needs neither account nor network), or use --tracker none"
        ) from error
