"""Speed of the text environments beside their peers, all in one process and one run.

    python benchmarks/env_speed.py [--quick] [--json FILE]

Prints Markdown tables; without ``--quick`` they also replace those in ``benchmarks/README.md``,
which says what is measured and how to install the peers.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cases import EVERY, LEVELS, PICTURES, SPLITS, STEPS, TASKS, Case
from cases_vectors import VECTORS
from measure import (
    FULL,
    QUICK,
    Measure,
    measure_levels,
    measure_pictures,
    measure_steps,
    measure_vector,
    measured,
)
from report import aims, report
from split import measure_split

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- begin: env_speed.py writes this -->", "<!-- end -->"
PACKAGES = (
    "text-envs",
    "gymnasium",
    "numpy",
    "pygame-ce",
    "gem-llm",
    "textarena",
    "reasoning-gym",
    "gym-sokoban",
)


def machine() -> str:
    """Describe the machine and the versions, without naming the machine."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [li for li in cpuinfo.read_text().splitlines() if li.startswith("model name")]
        processor = models[0].partition(":")[2].strip() if models else processor
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{processor}, {os.cpu_count()} cores{load} at the start; {platform.system()},"
        f" {platform.python_implementation()} {platform.python_version()}; {', '.join(versions)}.\n"
    )


def write_readme(text: str) -> None:
    """Put ``text`` between the markers of ``benchmarks/README.md``. Raises ``ValueError`` where
    they are missing.
    """
    old = README.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise ValueError(f"{README.name} must contain {BEGIN!r} and {END!r} once each")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a glance; only prints")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL

    about = machine()
    plan: dict[str, tuple[Sequence[Case], Measure]] = {
        "every": (EVERY, measure_steps),
        "steps": (STEPS, measure_steps),
        "splits": (SPLITS, measure_split),
        "tasks": (TASKS, measure_steps),
        "levels": (LEVELS, measure_levels),
        "vectors": (VECTORS, measure_vector),
        "pictures": (PICTURES, measure_pictures),
    }
    results = {
        what: [measured(c, case, measure, effort) for case in cases for c in case.contestants]
        for what, (cases, measure) in plan.items()
    }
    text = "\n".join((about, aims(results), report(results)))
    print(text)
    if options.json:
        numbers = {what: [asdict(result) for result in found] for what, found in results.items()}
        content = {"machine": about.strip(), "effort": effort._asdict(), "results": numbers}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if not options.quick:
        write_readme(text)


if __name__ == "__main__":
    main()
