"""Figures of single tokens in a file: ``tokens/000020.json`` in the run's folder, field by field in
docs/data.md. All that a report shows of a token is in there, so that it needs no model, nor torch.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starpo_plugin.sections import SECTIONS

FORMAT = "starpo-tokens"
VERSION = 1


def write(path: Path, iteration: int, episodes: Sequence[Mapping[str, Any]]) -> None:
    """Write the episodes of an iteration, whole or not at all.

    Args:
        path: of the file.
        iteration: of the run.
        episodes: as ``token_figures`` gives them.

    Raises:
        OSError: the file can't be written.
    """
    record = {
        "format": FORMAT,
        "version": VERSION,
        "iteration": iteration,
        "sections": SECTIONS,
        "episodes": episodes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(record) + "\n")
    draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read what ``write`` wrote. Raises ``ValueError`` for anything else, by name."""
    try:
        record = json.loads(path.read_text())
        known = (record["format"], record["version"]) == (FORMAT, VERSION)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} can't be read ({error!r}): delete it") from error
    if not known:
        raise ValueError(
            f"{path} holds {record['format']} in version {record['version']}, this program reads"
            f" {FORMAT} in version {VERSION}: use the text-envs that wrote it, or delete the file"
        )
    return record
