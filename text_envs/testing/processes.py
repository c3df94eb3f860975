"""What an environment does, as a hash: to compare processes, machines and versions."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

EPISODES = 3
STEPS = 12


def fingerprint(spec: str) -> str:
    """Hash a few seeded episodes of the environment that ``EnvSpec.to_json`` wrote: observations,
    rewards, ends, infos.
    """
    env = gym.make(EnvSpec.from_json(spec))
    record = sha256()
    for seed in range(EPISODES):
        observation, info = env.reset(seed=seed)
        record.update(repr(_canonical([observation, info])).encode())
        for number in range(STEPS):
            moves = info["legal_actions"] or _oracle_moves(env) or ("",)
            action = moves[(7 * seed + 5 * number + number // 3) % len(moves)]
            observation, reward, terminated, truncated, info = env.step(action)
            result = [observation, float(reward), terminated, truncated, info]
            record.update(repr(_canonical(result)).encode())
            if terminated or truncated:
                break
    env.close()
    return record.hexdigest()


def fingerprints_elsewhere(specs: Sequence[str], hash_seed: int) -> list[str]:
    """Fingerprints of ``specs`` from one new process that runs under
    ``PYTHONHASHSEED=hash_seed``.
    """
    code = f"import {__name__} as it; it.answer()"
    environ = os.environ | {
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(list(specs)),
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the process that plays the episodes failed:\n{done.stderr}")
    return json.loads(done.stdout)


def answer() -> None:
    """Read specs from standard input, write their fingerprints to standard output."""
    print(json.dumps([fingerprint(spec) for spec in json.load(sys.stdin)]))


def _oracle_moves(env: gym.Env[Any, Any]) -> Sequence[str]:
    return getattr(env.unwrapped, "solve", tuple)() or ()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _canonical(value[key])) for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value
