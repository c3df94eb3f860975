"""Which environments are measured many at a time."""

from functools import partial

from cases import Case, Contestant, Maker
from subjects import DIRECTIONS, NO_LIMIT
from vectors import gem_loop, textarena_loop, vector_env


def vector_case(id: str, games: int, peers: dict[str, Maker]) -> Case:
    """Ours, Gymnasium's vector environments over the same id, and a loop over each peer's."""
    makers: dict[str, Maker] = {
        f"{id}, `gym.make_vec`": partial(vector_env, id, games),
        "SyncVectorEnv": partial(vector_env, id, games, "sync"),
    }
    if games <= ASYNC_AT_MOST:
        makers["AsyncVectorEnv"] = partial(vector_env, id, games, "async")
    contestants = [Contestant(name, "vector", make) for name, make in (makers | peers).items()]
    return Case(f"{id}, {games:,} games", contestants)


ASYNC_AT_MOST = 64
"""Games that AsyncVectorEnv is measured with: each has a process of its own."""

VECTORS = [
    case
    for games in (64, 1024)
    for case in (
        vector_case(
            "TextFrozenLake-v0",
            games,
            {
                "TextArena FrozenLake, a loop": partial(
                    textarena_loop, "FrozenLake", games, DIRECTIONS, size=4
                )
            },
        ),
        vector_case(
            "TextSokoban-v0",
            games,
            {
                "TextArena Sokoban, a loop": partial(
                    textarena_loop, "Sokoban", games, DIRECTIONS, dim_room=(6, 6), num_boxes=1
                ),
                "GEM Sokoban, a loop": partial(
                    gem_loop, "sokoban", "SokobanEnv", games, DIRECTIONS, (6, 6), NO_LIMIT, 1
                ),
            },
        ),
    )
]
"""Many games at once."""
