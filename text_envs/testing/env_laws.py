"""Laws of a text environment made by ``gym.make``. Each is a function of the environment and of
hypothesis' ``data``; those that need no examples take the environment alone.
"""

import pickle
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env, data_equivalence
from hypothesis import strategies as st

from text_envs.env import TextEnv, split_of
from text_envs.testing.processes import fingerprint, fingerprints_elsewhere
from text_envs.testing.strategies import Choice, choices, plan, resolve, seeds

TextEnvironment = gym.Env[Any, str]
EnvLaw = Callable[[TextEnvironment, st.DataObject], None]
EnvCheck = Callable[[TextEnvironment], None]
Result = tuple[Any, Any, bool, bool, dict[str, Any]]

BASE_KEYS = frozenset({"success", "action_is_valid", "action_is_effective", "legal_actions"})
SAMPLE = 48
"""Episodes from which ``oracle_beats_random`` judges."""


def same_seed_same_episode(env: TextEnvironment, data: st.DataObject) -> None:
    """One seed and one sequence of actions make one episode, whatever was played before."""
    seed, actions = data.draw(seeds()), data.draw(choices())
    first = play(env, seed, actions)
    play(env, seed ^ 1, actions)
    _assert_same(first, play(env, seed, actions))


def any_text_is_an_action(env: TextEnvironment, data: st.DataObject) -> None:
    """No text raises. Observations stay in their space, rewards and flags have their types."""
    for observation, reward, terminated, truncated, info in play(
        env, data.draw(seeds()), data.draw(choices())
    ):
        assert env.observation_space.contains(observation), f"outside: {observation!r:.300}"
        assert np.isfinite(reward), f"reward {reward!r} is not a finite number"
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            assert type(flag) is bool, f"{name} {flag!r} is a {type(flag).__name__}"
        for name in sorted(BASE_KEYS - {"legal_actions"}):
            assert type(info[name]) is bool, f"info[{name!r}] is {info[name]!r}"
        legal = info["legal_actions"]
        is_texts = type(legal) is tuple and all(type(move) is str for move in legal)
        assert legal is None or is_texts, f"info['legal_actions'] is {legal!r:.100}"


def only_texts_are_actions(env: TextEnvironment, data: st.DataObject) -> None:
    """Anything but a ``str`` raises ``gymnasium.error.InvalidAction`` and leaves things alone."""
    env.reset(seed=data.draw(seeds()))
    action: Any = data.draw(st.sampled_from([None, 0, 1.5, b"up", ["up"], ("up",), {}, True]))
    twin = deepcopy(env)
    try:
        env.step(action)
    except gym.error.InvalidAction:
        pass
    else:
        raise AssertionError(f"the action {action!r} is taken")
    _assert_same(_go_on(env, [0, 1]), _go_on(twin, [0, 1]))


def info_keeps_its_keys(env: TextEnvironment, data: st.DataObject) -> None:
    """``info`` has the same keys at every step; the reset has these and more, ``rules`` too."""
    records = play(env, data.draw(seeds()), data.draw(choices()))
    (*_, start), steps = records[0], records[1:]
    assert set(start) >= BASE_KEYS, f"info at reset lacks {BASE_KEYS - set(start)}"
    assert isinstance(start.get("rules"), str), "info at reset has no rules"
    for number, (*_, info) in enumerate(steps, 1):
        first = steps[0][-1]
        assert set(info) == set(first), f"keys at step {number}: {set(info) ^ set(first)}"
        missing = (BASE_KEYS - set(info)) | (set(info) - set(start))
        assert not missing, f"info at step {number} and at reset: {missing} in one only"


def copies_go_on_identically(env: TextEnvironment, data: st.DataObject) -> None:
    """In mid-episode, a pickled and a deep copy have the future that the original has."""
    play(env, data.draw(seeds()), data.draw(choices()))
    copies = [pickle.loads(pickle.dumps(env)), deepcopy(env)]
    future = data.draw(choices())
    expected = _go_on(env, future)
    for copy in copies:
        _assert_same(expected, _go_on(copy, future))


def refused_text_changes_nothing(env: TextEnvironment, data: st.DataObject) -> None:
    """What is not a move leaves the state alone, is said to be invalid and costs the penalty; a
    move is legal.
    """
    game = _text_env(env)
    env.reset(seed=data.draw(seeds()))
    for choice in data.draw(choices()):
        state, legal = game.get_state(), game.legal_actions()
        action = resolve(choice, _moves(env))
        move = game.game.parse(state, action)
        _, reward, terminated, truncated, info = env.step(action)
        assert info["action_is_valid"] == (move is not None), f"{action!r:.100} is {move!r}"
        if move is None:
            assert game.get_state() == state, f"{action!r:.100} changed the state"
            assert reward == game.invalid_action_penalty
            done_anything = terminated or info["success"] or info["action_is_effective"]
            assert not done_anything, f"{action!r:.100} is refused and has effects"
        else:
            assert legal is None or move in legal, f"{action!r:.100} is {move!r}, not legal"
            assert info["action_is_effective"] == (game.get_state() != state)
        if terminated or truncated:
            break


def nothing_happens_after_the_end(env: TextEnvironment, data: st.DataObject) -> None:
    """Once terminated, a step changes nothing and earns nothing."""
    game = _text_env(env)
    env.reset(seed=data.draw(seeds()))
    terminated = truncated = False
    while not (terminated or truncated):
        moves = plan(game.game, game.get_state()) or _moves(env)
        _, _, terminated, truncated, _ = env.step(moves[0] if moves else "")
    if not terminated:
        return
    state = game.get_state()
    with warnings.catch_warnings():  # TextEnv says that this is pointless
        warnings.simplefilter("ignore")
        for choice in data.draw(choices()):
            action = resolve(choice, game.game.legal(state) or ())
            _, reward, terminated, _, info = env.step(action)
            assert game.get_state() == state, f"{action!r:.100} changed a state after the end"
            assert reward == 0, f"{action!r:.100} earned {reward} after the end"
            assert terminated
            assert info["legal_actions"] == (), "there are legal actions after the end"
            assert not info["action_is_valid"]


def noise_seeds_share_the_start(env: TextEnvironment, data: st.DataObject) -> None:
    """One seed with several noise seeds gives one start, observation and info; the same noise seed
    gives the same episode.
    """
    seed, actions = data.draw(seeds()), data.draw(choices())
    one, other = data.draw(st.lists(st.integers(0, 2**40), min_size=2, max_size=2, unique=True))
    first = play(env, seed, actions, {"noise_seed": one})
    _assert_same(first, play(env, seed, actions, {"noise_seed": one}))
    _assert_same(first[:1], play(env, seed, actions, {"noise_seed": other})[:1])
    _assert_same(first[:1], play(env, seed, actions)[:1])


def states_can_be_set(env: TextEnvironment, data: st.DataObject) -> None:
    """``set_state`` of what ``get_state`` gave goes back there, and ``level`` starts from it."""
    game = _text_env(env)
    env.reset(seed=data.draw(seeds()))
    start, level = game.get_state(), game.game.level(game.get_state())
    views = (game.legal_actions(), game.facts(), game.game.text(start))
    _go_on(env, data.draw(choices()))
    game.set_state(start)
    assert game.get_state() == start
    assert (game.legal_actions(), game.facts(), game.game.text(start)) == views
    env.reset(options={"level": level})
    assert game.get_state() == start, f"reset from this level starts elsewhere:\n{level}"


def splits_are_disjoint(env: TextEnvironment, data: st.DataObject) -> None:
    """A level belongs to one split, by its own text; a split's environment draws no other."""
    game = _text_env(env)
    game.reset(seed=data.draw(seeds()))
    split = split_of(game.game.level(game.get_state()))
    assert game.split in (None, split), f"split={game.split!r} draws a level of {split!r}"


def pictures_hide_what_is_hidden(env: TextEnvironment, data: st.DataObject) -> None:
    """Two states that look alike to the player have one picture."""
    game = _text_env(env)
    play(env, data.draw(seeds()), data.draw(choices()))
    state = game.get_state()
    other = game.game.lookalike(state, np.random.default_rng(data.draw(seeds())))
    if other == state:
        return
    game.set_state(state)
    picture = game.picture()
    game.set_state(other)
    assert np.array_equal(picture, game.picture()), f"pictures tell {state} from {other}"


def plans_fit_the_budget(env: TextEnvironment, data: st.DataObject) -> None:
    """The oracle's plan from the start fits the default budget, or ``info["optimal_moves"]`` says
    that it does not.
    """
    limit = None if env.spec is None else env.spec.max_episode_steps
    _, info = env.reset(seed=data.draw(seeds()))
    moves = plan(_text_env(env).game, _text_env(env).get_state())
    if limit is not None and moves is not None and len(moves) > limit:
        said = info.get("optimal_moves")
        assert said == len(moves), f"{len(moves)} moves, {limit} allowed, info says {said}"


def same_episodes_in_another_process(env: TextEnvironment) -> None:
    """Another process, under another ``PYTHONHASHSEED``, plays the same episodes."""
    assert env.spec is not None, "make the environment by its id"
    spec = env.spec.to_json()
    assert fingerprints_elsewhere([spec], 1) == [fingerprint(spec)], "another process differs"


def oracle_beats_random(env: TextEnvironment) -> None:
    """Over some episodes, asked again before each move, the oracle succeeds more often than the
    moves that the game's ``sample`` draws, or always.
    """
    rng, game = np.random.default_rng(0), _text_env(env)

    def random_move() -> str:
        return game.sample_action(rng)

    def oracle_move() -> str:
        return (plan(game.game, game.get_state()) or [""])[0]

    env.reset(seed=0)
    if plan(game.game, game.get_state()) is None:
        return
    oracle = _successes(env, oracle_move)
    chance = _successes(env, random_move)
    assert oracle > chance or oracle == SAMPLE, f"oracle {oracle}, random {chance} of {SAMPLE}"


def gymnasium_approves(env: TextEnvironment) -> None:
    """Gymnasium's own ``check_env`` passes, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def play(
    env: TextEnvironment,
    seed: int,
    actions: Sequence[Choice],
    options: dict[str, Any] | None = None,
) -> list[Result]:
    """Play an episode, to its end at most: what ``reset`` and each ``step`` returned."""
    observation, info = env.reset(seed=seed, options=options)
    return [(observation, 0.0, False, False, info), *_go_on(env, actions)]


def _go_on(env: TextEnvironment, actions: Sequence[Choice]) -> list[Result]:
    results = []
    for choice in actions:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*after the game has ended")
            results.append(env.step(resolve(choice, _moves(env))))
        if results[-1][2] or results[-1][3]:
            break
    return results


def _moves(env: TextEnvironment) -> Sequence[str]:
    """Legal moves, or the oracle's next one where they can't be listed, as far as known."""
    legal = getattr(env.unwrapped, "legal_actions", tuple)()
    if legal is None and isinstance(env.unwrapped, TextEnv):
        return (plan(env.unwrapped.game, env.unwrapped.get_state()) or [])[:1]
    return legal or ()


def _successes(env: TextEnvironment, move: Callable[[], str]) -> int:
    """Episodes out of ``SAMPLE`` that end in success."""
    count = 0
    for seed in range(SAMPLE):
        env.reset(seed=seed)
        success = over = False
        while not over:
            _, _, terminated, truncated, info = env.step(move())
            success, over = success or info["success"], terminated or truncated
        count += success
    return count


def _text_env(env: TextEnvironment) -> TextEnv:
    if not isinstance(env.unwrapped, TextEnv):
        raise TypeError(f"this law is about TextEnv, {env} is none")
    return env.unwrapped


def _assert_same(first: list[Result], second: list[Result]) -> None:
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        assert data_equivalence(one, other, exact=True), (
            f"result {number} differs:\n{one!r:.500}\n{other!r:.500}"
        )


ENV_LAWS: tuple[EnvLaw, ...] = (
    same_seed_same_episode,
    any_text_is_an_action,
    only_texts_are_actions,
    info_keeps_its_keys,
    copies_go_on_identically,
)
"""Laws of any text environment whose ``info`` is that of ``TextEnv``."""

TEXT_ENV_LAWS: tuple[EnvLaw, ...] = (
    refused_text_changes_nothing,
    nothing_happens_after_the_end,
    noise_seeds_share_the_start,
    states_can_be_set,
    splits_are_disjoint,
    pictures_hide_what_is_hidden,
    plans_fit_the_budget,
)
"""Laws of a ``TextEnv``."""

ENV_CHECKS: tuple[EnvCheck, ...] = (gymnasium_approves, same_episodes_in_another_process)
"""Checks of any text environment that need no examples."""

TEXT_ENV_CHECKS: tuple[EnvCheck, ...] = (oracle_beats_random,)
"""Checks of a ``TextEnv`` that need no examples."""
