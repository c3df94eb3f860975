"""Environments of Gymnasium as text environments, each registered in a few lines."""

from typing import Any

import gymnasium as gym

from text_envs.wrappers import Verbalize

CART_POLE_ID = "VerbalCartPole-v0"
TAXI_ID = "VerbalTaxi-v0"
# v3 in older releases of Gymnasium
TAXI = "Taxi-v4" if "Taxi-v4" in gym.registry else "Taxi-v3"
COLOURS = ("red", "green", "yellow", "blue")
TAXI_ACTIONS = {
    "south": 0,
    "north": 1,
    "east": 2,
    "west": 3,
    "pick up": 4,
    "drop off": 5,
}


def describe_cart_pole(observation: Any) -> str:
    position, velocity, angle, spin = observation
    return f"Cart at {position:.3f} ({velocity:+.3f}), pole at {angle:.3f} ({spin:+.3f})."


def describe_taxi(state: int) -> str:
    state, destination = divmod(int(state), 4)
    state, passenger = divmod(state, 5)
    row, col = divmod(state, 5)
    where = "in the taxi" if passenger == 4 else f"at {COLOURS[passenger]}"
    return f"Taxi at ({row}, {col}), passenger {where}, to go to {COLOURS[destination]}."


def stood(observation: Any, reward: float, terminated: bool, truncated: bool, info: Any) -> bool:
    return truncated and not terminated


def arrived(observation: Any, reward: float, terminated: bool, truncated: bool, info: Any) -> bool:
    return terminated


def make_cart_pole(**kwargs: Any) -> gym.Env[Any, Any]:
    env = gym.make("CartPole-v1", max_episode_steps=20, **kwargs)
    moves = {"left": 0, "right": 1}
    return Verbalize(env, describe_cart_pole, moves, "Keep the pole upright.", success=stood)


def make_taxi(refuse_masked: bool = False, **kwargs: Any) -> gym.Env[Any, Any]:
    return Verbalize(
        gym.make(TAXI, **kwargs),
        describe="verbal_envs:describe_taxi",
        actions=TAXI_ACTIONS,
        rules="Drive the passenger to where they want to go.",
        success="verbal_envs:arrived",
        refuse_masked=refuse_masked,
    )


for _id, _maker in ((CART_POLE_ID, "make_cart_pole"), (TAXI_ID, "make_taxi")):
    if _id not in gym.registry:
        gym.register(_id, entry_point=f"verbal_envs:{_maker}")
