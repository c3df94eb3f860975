"""Options that each make sense, but not together."""

from typing import TYPE_CHECKING

from starpo_plugin.masks import EVERYTHING
from starpo_plugin.sections import SECTIONS

if TYPE_CHECKING:
    from starpo_plugin.config import TrainConfig


def refuse_contradictions(config: "TrainConfig") -> None:
    """Raise ``ValueError`` that names the options which contradict each other, and the remedy."""
    for name in ("loss_sections", "advantage_sections"):
        _sections_of_format(name, getattr(config, name), config)


def _sections_of_format(name: str, spec: tuple[str, ...], config: "TrainConfig") -> None:
    if spec in EVERYTHING:
        return
    there = [s for s in SECTIONS if s in ("tags", *config.protocol().sections)]
    for section in spec:
        if section not in there:
            raise ValueError(
                f"{name} names {section!r}, but a reply of format={config.format!r} has the"
                f" sections {', '.join(there)}: name some of these, or none for all tokens"
            )
