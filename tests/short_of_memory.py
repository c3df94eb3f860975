"""Three runs in a process that may take little more memory than it has, and the ways on.

Prints a JSON line for each: exit code and what was told. Run by test_out_of_memory.py, since the
limit is a process's.
"""

import contextlib
import io
import json
import resource
import sys
from pathlib import Path

from starpo_plugin.__main__ import main

ROOM = 60_000_000  # bytes
# no KL: its reference is read by threads, whose stacks are memory too
BASE = """train --env TextFrozenLake-v0 --preset starpo_ppo --device cpu --iterations 1
    --kl-coef 0 --save-every 1 --system-template= --tiny-hidden 128 --max-turns 2
    --max-reply-tokens 24 --max-tokens 300"""
CASES = {
    "small": "--groups 1 --members 2 --eval-episodes 2",
    "update": "--groups 4 --members 8 --eval-episodes 2",
    "rollout": "--groups 20 --members 20 --eval-episodes 2",
    "evaluation": "--groups 1 --members 2 --eval-episodes 400 --slots 400",
}


def begin(name: str, folder: str) -> None:
    told(*BASE.split(), *CASES[name].split(), "--run", f"{folder}/{name}")


def told(*argv: str) -> None:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = main(argv)
    print(json.dumps([code, errors.getvalue()]), flush=True)


def in_use() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(x.split()[1] for x in status if x.startswith("VmData")))


if __name__ == "__main__":
    folder = sys.argv[1]
    begin("small", folder)  # loads all that there is to load
    resource.setrlimit(resource.RLIMIT_DATA, (in_use() + ROOM, resource.RLIM_INFINITY))
    for name in ("update", "rollout", "evaluation"):
        begin(name, folder)
    # the limit goes: transformers reads a checkpoint with threads, whose stacks count too
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told("train", "--resume", f"{folder}/update", *sys.argv[2:])
