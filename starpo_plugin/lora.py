"""LoRA through peft: small matrices beside frozen linear layers (Hu et al., arXiv 2106.09685).

One model carries up to two adapters: the policy's, and a critic's of its own. With none acting the
model is what it was before training, which makes the reference of the KL free.

The adapters sit in the model itself, without peft's wrapper around it, so that everything else sees
an ordinary transformers model. On disk the policy's adapter is what ``PeftModel`` and
``from_pretrained`` read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from starpo_plugin.config import TrainConfig
from starpo_plugin.processes import plain

POLICY, CRITIC = "policy", "critic"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = "base"
"""Folder beside checkpoints of adapters, where their base model is saved nowhere else."""
_PREFIX = "base_model.model."  # how peft names what it wraps


class OtherAdapter(ValueError):
    """A saved adapter is of another shape than the one it is for: no damage, other options."""


@dataclass(frozen=True)
class LoraShape:
    """Size and place of adapters: a layer W becomes W + alpha / rank * B A, with B = 0 at first."""

    rank: int
    alpha: float
    targets: tuple[str, ...] = ()
    """Names of linear layers; empty for all but the output head."""

    @staticmethod
    def of(config: TrainConfig) -> "LoraShape | None":
        """What a config asks for; ``None`` for training of all weights."""
        if config.lora_rank == 0:
            return None
        return LoraShape(config.lora_rank, config.lora_alpha, config.lora_targets)


class Adapters:
    """The adapters of one model: which of them acts, and what they hold.

    All other weights are frozen.

    Args:
        model: a transformers model; adapters are put into it.
        shape: of each adapter.
        names: one adapter each; the first one acts unless ``acting`` says otherwise.
        seed: of their first weights.

    Raises ``ValueError`` for targets that are not linear layers of the model.
    """

    def __init__(self, model: Any, shape: LoraShape, names: Sequence[str], seed: int) -> None:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
        from peft.tuners.tuners_utils import BaseTunerLayer

        self.config = LoraConfig(
            r=shape.rank,
            lora_alpha=shape.alpha,  # pyright: ignore[reportArgumentType] (a factor, whole or not)
            target_modules=_targets(model, shape.targets),
            task_type="CAUSAL_LM",
            base_model_name_or_path=_absolute(model.name_or_path),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tuner = LoraModel(model, self.config, names[0])
            for name in names[1:]:
                tuner.peft_config[name] = self.config
                tuner.inject_adapter(model, name)
        self._model = model
        self._layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]
        self.current: str | None = names[0]
        self._act(self.current)
        for p in self.parameters(*names):  # small, and trained: never less than full precision
            p.data = p.data.to(torch.promote_types(p.dtype, torch.float32))

    @contextmanager
    def acting(self, name: str | None) -> Iterator[None]:
        """Let another adapter act, or none."""
        before = self.current
        if name == before:
            yield
            return
        self._act(name)
        try:
            yield
        finally:
            self._act(before)

    def _act(self, name: str | None) -> None:
        if name is None:
            for layer in self._layers:
                layer.enable_adapters(False)
        else:
            for layer in self._layers:
                layer.enable_adapters(True)
                layer.set_adapter([name])
        # peft freezes what does not act, and a frozen weight takes no gradient from an earlier pass
        for key, p in self._model.named_parameters():
            if ".lora_" in key:
                p.requires_grad_(True)
        self.current = name

    def parameters(self, *names: str) -> list[nn.Parameter]:
        """Weights of some adapters."""
        return [
            p
            for key, p in self._model.named_parameters()
            if any(f".lora_{part}.{name}." in key for part in "AB" for name in names)
        ]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Weights of one adapter by the layer they belong to."""
        return {
            key.replace(f".{name}.", "."): p.detach()
            for key, p in self._model.named_parameters()
            if f".lora_A.{name}." in key or f".lora_B.{name}." in key
        }

    @torch.no_grad()
    def restore(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Take weights that ``tensors`` gave."""
        own = self.tensors(name)
        if own.keys() != tensors.keys() or any(own[k].shape != tensors[k].shape for k in own):
            raise OtherAdapter(
                f"the saved adapter {name!r} has other layers or another rank than this one: lora_*"
                " must be what it was trained with"
            )
        for key, tensor in own.items():
            tensor.copy_(tensors[key])

    def save(self, folder: Path | None) -> None:
        """Write the policy's adapter, and which model it belongs to, as peft does; ``None`` as for
        ``Policy.save``.
        """
        weights = plain(self.tensors(POLICY))
        if folder is None:
            return
        tensors = {f"{_PREFIX}{k}": t.contiguous() for k, t in weights.items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        self.config.target_modules = sorted(self.config.target_modules or ())  # sets have no order
        self.config.save_pretrained(str(folder))

    def load(self, folder: Path) -> None:
        """Take the policy's adapter from where ``save`` wrote it."""
        saved = load_file(folder / WEIGHTS)
        self.restore(POLICY, {k.removeprefix(_PREFIX): t for k, t in saved.items()})


def _absolute(name_or_path: str) -> str:
    path = Path(name_or_path)
    return str(path.resolve()) if name_or_path and path.is_dir() else name_or_path


def _targets(model: Any, names: tuple[str, ...]) -> list[str]:
    """Last names of the linear layers that get an adapter."""
    head = model.get_output_embeddings()
    linear = {
        path.rpartition(".")[2]
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    unknown = sorted(set(names) - linear)
    if unknown:
        raise ValueError(
            f"lora_targets {', '.join(unknown)}: not among the linear layers of"
            f" {type(model).__name__}, which are {', '.join(sorted(linear))}"
        )
    return sorted(names or linear)


# --- on disk ---


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds an adapter rather than a whole model."""
    return (Path(folder) / CONFIG).is_file()


def base_of(folder: str | Path) -> str:
    """Folder or hub name of the model that a saved adapter belongs to."""
    from peft import PeftConfig

    named = str(PeftConfig.from_pretrained(str(folder)).base_model_name_or_path)
    beside = Path(folder).resolve().parent / BASE
    if Path(named).name == BASE and beside.is_dir():  # wherever the run's folder was moved
        return str(beside)
    return named


def merged(base: Any, folder: str | Path) -> Any:
    """Add a saved adapter to its base model's weights; a model with no adapter comes back."""
    from peft import LoraConfig, set_peft_model_state_dict
    from peft.tuners.lora import LoraModel

    tuner = LoraModel(base, LoraConfig.from_pretrained(str(folder)), POLICY)
    saved = load_file(Path(folder) / WEIGHTS)
    tensors = {k.removeprefix(_PREFIX): t for k, t in saved.items()}
    set_peft_model_state_dict(tuner.model, tensors, adapter_name=POLICY)
    return tuner.merge_and_unload().requires_grad_(True)
