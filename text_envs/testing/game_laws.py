"""Laws of a ``Game``. Each is a function of the game and of hypothesis' ``data``, from which it
draws the cases that it looks at; its name says what went wrong.
"""

import json
import math
import pickle
from collections.abc import Callable, Hashable
from copy import deepcopy
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
from hypothesis import strategies as st

from text_envs.env import MAX_ACTION, MAX_NOTE
from text_envs.game import PRINTABLE, Game, Outcome
from text_envs.testing.strategies import (
    HOSTILE,
    NEAR_MISSES,
    arbitrary_text,
    choices,
    episodes,
    known_moves,
    move_numbers,
    plan,
    play_out,
    resolve,
    seeds,
    states,
)

GameLaw = Callable[[Game[Any], st.DataObject], None]

MAX_GRAPH, MAX_EDGES = 200, 2000
"""States that ``no_cycle_of_moves_pays`` explores from one start, and moves, about: games with
hundreds of moves are explored less far.
"""


def same_seed_same_episode(game: Game[Any], data: st.DataObject) -> None:
    """One seed and one sequence of moves make one episode."""
    seed, numbers = data.draw(seeds()), data.draw(move_numbers())
    first, second = play_out(game, seed, numbers), play_out(game, seed, numbers)
    assert first == second, f"played twice with seed {seed}, it went two ways"


def chance_is_declared(game: Game[Any], data: st.DataObject) -> None:
    """Unless ``game.stochastic``, a move has the same outcome whatever the generator."""
    if game.stochastic:
        return
    state = data.draw(states(game))
    for move in known_moves(game, state):
        outcomes = {game.play(state, move, np.random.default_rng(luck)) for luck in range(8)}
        assert len(outcomes) == 1, f"{move!r} has outcomes {outcomes}, and chance is not declared"


def play_never_mutates(game: Game[Any], data: st.DataObject) -> None:
    """``play``, ``text``, ``facts``, ``parse`` and ``solve`` leave the state that they are given
    as it was.
    """
    state = data.draw(states(game))
    before = deepcopy(state)
    for number, move in enumerate(known_moves(game, state)):
        game.play(state, move, np.random.default_rng(number))
        assert state == before, f"play({move!r}) changed its argument"
    for ask in (game.text, game.facts, game.legal, game.info):
        ask(state)
        assert state == before, f"{ask.__name__} changed its argument"
    plan(game, state)
    assert state == before, "solve changed its argument"


def states_are_frozen_values(game: Game[Any], data: st.DataObject) -> None:
    """A state is hashable, immutable through and through, and equal to its pickled copy."""
    for state in data.draw(episodes(game)).states:
        assert isinstance(state, Hashable)
        assert _frozen(state), f"{state!r:.300} holds something that can be changed"
        copy = pickle.loads(pickle.dumps(state))
        assert copy == state, "a pickled copy of a state is not equal to it"
        assert hash(copy) == hash(state), "equal states have different hashes"


def outcomes_have_their_types(game: Game[Any], data: st.DataObject) -> None:
    """A reward is a finite number, flags are ``bool``, a note is a ``str``."""
    for step in data.draw(episodes(game)).steps:
        _, reward, done, success, note = step.outcome
        assert type(reward) in (int, float), f"reward {reward!r} is a {type(reward).__name__}"
        assert math.isfinite(reward), f"reward {reward!r} is not finite"
        assert type(done) is bool, f"done {done!r} is a {type(done).__name__}"
        assert type(success) is bool, f"success {success!r} is a {type(success).__name__}"
        assert type(note) is str, f"note {note!r} is a {type(note).__name__}"


def legal_moves_parse_to_themselves(game: Game[Any], data: st.DataObject) -> None:
    """Legal moves are different texts, and each is read as itself."""
    state = data.draw(states(game))
    moves = known_moves(game, state)
    assert len(set(moves)) == len(moves), f"moves are listed twice: {moves}"
    for move in moves:
        assert 0 < len(move) <= MAX_ACTION, f"{move!r:.100} is empty or too long for an action"
        assert game.parse(state, move) == move, f"parse({move!r}) is {game.parse(state, move)!r}"


def parse_never_raises(game: Game[Any], data: st.DataObject) -> None:
    """Any text at all is a move, which is then legal and parses to itself, or ``None``."""
    state = data.draw(states(game))
    moves = known_moves(game, state)
    texts = [resolve(choice, moves) for choice in data.draw(choices())]
    for text in (*texts, data.draw(arbitrary_text()), *HOSTILE):
        move = game.parse(state, text)
        assert move == game.parse(state, text), f"parse({text!r:.100}) differs from call to call"
        if move is None:
            continue
        legal = game.legal(state)
        assert legal is None or move in legal, f"parse({text!r:.100}) is {move!r}, not legal"
        assert game.parse(state, move) == move, f"{move!r} does not parse to itself"


def parse_never_guesses(game: Game[Any], data: st.DataObject) -> None:
    """Two moves are not one: a text with two legal moves in it is refused, unless it is itself a
    legal move.
    """
    state = data.draw(states(game))
    legal = game.legal(state) or ()
    if len(legal) < 2:
        return
    first, second = data.draw(st.permutations(legal).map(lambda moves: moves[:2]))
    for between in (" ", "", " or ", "\n", ", ", "||"):
        text = first + between + second
        move = game.parse(state, text)
        assert move is None or text in legal, f"parse({text!r}) takes it for {move!r}"
    spoilt = NEAR_MISSES["a thousand times"](first)
    assert game.parse(state, spoilt) is None, f"a thousand times {first!r} is taken for a move"


def text_stays_in_its_bounds(game: Game[Any], data: st.DataObject) -> None:
    """Text has at most ``max_text`` characters, all in ``charset``, and notes leave room for
    themselves.
    """
    episode = data.draw(episodes(game))
    for state in episode.states:
        text = game.text(state)
        assert len(text) <= game.max_text, f"{len(text)} characters, max_text={game.max_text}"
        assert game.charset.issuperset(text), f"not in charset: {set(text) - game.charset}"
    charset = game.charset | PRINTABLE
    for step in episode.steps:
        note = step.outcome.note
        assert len(note) <= MAX_NOTE, f"a note of {len(note)} characters, at most {MAX_NOTE}"
        assert charset.issuperset(note), f"a note's {set(note) - charset} not in charset"
        assert charset.issuperset(step.move), f"a move's {set(step.move) - charset} not in charset"


def rules_are_told(game: Game[Any], data: st.DataObject) -> None:
    """There are rules, in printable characters and those of the game."""
    assert game.rules.strip(), "rules are empty"
    strange = set(game.rules) - game.charset - PRINTABLE
    assert not strange, f"rules have characters outside the charset: {strange}"


def samples_are_moves(game: Game[Any], data: st.DataObject) -> None:
    """What ``sample`` draws is a move, the same one from the same generator; there is one wherever
    a move is legal.
    """
    state, seed = data.draw(states(game)), data.draw(seeds())
    move = game.sample(state, np.random.default_rng(seed))
    assert move == game.sample(state, np.random.default_rng(seed)), "one seed, two samples"
    if move is None:
        assert not known_moves(game, state), "there are moves, and sample draws none"
    else:
        assert game.parse(state, move) == move, f"sampled {move!r} is {game.parse(state, move)!r}"


def hidden_things_stay_hidden(game: Game[Any], data: st.DataObject) -> None:
    """Two states that look alike to the player have one text, and the same legal moves, facts and
    info; a game that says ``hidden`` has such pairs.
    """
    state, seed = data.draw(states(game)), data.draw(seeds())
    other = game.lookalike(state, np.random.default_rng(seed))
    assert game.hidden or other == state, "states differ in what nobody sees; hidden is False"
    for ask in (game.text, game.legal, game.facts, game.info, game.start_info):
        one, two = ask(state), ask(other)
        assert one == two, f"{ask.__name__} tells two lookalikes apart: {one!r:.300}, {two!r:.300}"


def facts_are_plain(game: Game[Any], data: st.DataObject) -> None:
    """Facts are str, numbers, tuples, lists and dicts with str keys, fit for JSON; asked twice,
    they are the same.
    """
    for state in data.draw(episodes(game)).states:
        facts = game.facts(state)
        assert type(facts) is dict
        assert _plain(facts), f"not plain: {facts!r:.300}"
        assert facts == game.facts(state), "asked twice, the facts differ"
        json.dumps(facts, allow_nan=False)


def info_keeps_its_keys_and_types(game: Game[Any], data: st.DataObject) -> None:
    """Game-specific ``info`` has one set of keys and plain values. A number never becomes ``None``:
    Gymnasium's vector environments could not batch it.
    """
    episode, other = data.draw(episodes(game)), game.initial(np.random.default_rng(0))
    for ask in (game.info, game.start_info):
        wanted = _signature(ask(other))
        asked = episode.states if ask == game.info else [episode.start]
        for state in asked:
            info = ask(state)
            found = _signature(info)
            assert found == wanted, f"{ask.__name__} gives {found}, gave {wanted} elsewhere"
            assert all(v is None or _plain(v) for v in info.values()), f"not plain: {info!r:.300}"


def levels_read_what_level_writes(game: Game[Any], data: st.DataObject) -> None:
    """A start written as a level is read back as that start; two of them as two."""
    first, second = (game.initial(np.random.default_rng(data.draw(seeds()))) for _ in range(2))
    written = game.level(first)
    assert game.levels(written) == [first], f"read back differently:\n{written}"
    joined = f"{written}\n\n{game.level(second)}\n"
    assert game.levels(joined) == [first, second], f"two levels are not read as two:\n{joined}"


def given_levels_are_read_or_refused(game: Game[Any], data: st.DataObject) -> None:
    """Any text at all is a ``ValueError`` with a message, or a list of levels; these are written as
    they are read, and their ``info`` has the keys and types of any other's.
    """
    start = game.initial(np.random.default_rng(data.draw(seeds())))
    wanted = _signature(game.start_info(start)), _signature(game.info(start))
    for text in (*_spoilt(game.level(start), data), data.draw(arbitrary_text())):
        try:
            read = game.levels(text)
        except ValueError as error:
            if not str(error):
                raise AssertionError(f"no word on what is wrong with {text!r:.100}") from error
            continue
        for state in read:
            assert game.levels(game.level(state)) == [state], f"read, not written: {text!r:.300}"
            found = _signature(game.start_info(state)), _signature(game.info(state))
            assert found == wanted, f"info is {found}, elsewhere {wanted}: {text!r:.300}"


def generated_levels_are_solvable(game: Game[Any], data: st.DataObject) -> None:
    """The oracle has a plan for every start, and the moves of its plan are legal when their turn
    comes. Where nothing is left to chance, and the oracle sees all, the plan ends in success.
    """
    seed = data.draw(seeds())
    start = game.initial(np.random.default_rng(seed))
    try:
        moves = game.solve(start)
    except NotImplementedError:
        return
    assert moves is not None, "the oracle has no plan for a generated start"
    outcomes = _follow(game, start, moves)
    assert outcomes, f"the plan's first move is not legal: {moves[:1]}"
    if not (game.stochastic or game.adaptive):
        assert len(outcomes) == len(moves), f"move {len(outcomes)} of the plan {moves} is its last"
        assert outcomes[-1].done, f"the plan {moves} does not reach an end"
        assert outcomes[-1].success, f"the plan {moves} does not succeed"


def plans_under_way_hold(game: Game[Any], data: st.DataObject) -> None:
    """From any state the oracle has no plan, or one that begins with a legal move; asked twice, it
    says the same.
    """
    state = data.draw(states(game))
    moves = plan(game, state)
    assert moves == plan(game, state), "asked twice, the oracle answers two ways"
    if moves:
        assert _follow(game, state, moves), f"the plan's first move is not legal: {moves[:1]}"


def no_cycle_of_moves_pays(game: Game[Any], data: st.DataObject) -> None:
    """Going round in a circle, to the very same state, never earns anything (whatever the luck)."""
    start = data.draw(states(game, max_moves=6))
    edges = _explore(game, start)
    best = dict.fromkeys((node for edge in edges for node in edge[:2]), 0.0)
    for _ in range(len(best) + 1):  # longest paths: they stop growing if and only if no cycle pays
        grown = False
        for a, b, reward in edges:
            if best[a] + reward > best[b] + 1e-9:
                best[b] = best[a] + reward
                grown = True
        if not grown:
            return
    raise AssertionError(f"some cycle of moves near {game.text(start)!r} has a positive sum")


def _spoilt(level: str, data: st.DataObject) -> tuple[str, str]:
    """A level with something put in or left out, and one with two characters swapped, which mostly
    leaves a level, if not one that a generator would make.
    """
    at, left_out = data.draw(st.integers(0, len(level))), data.draw(st.integers(0, 3))
    put_in = data.draw(st.text(level + " \n", max_size=3))
    swapped = list(level)
    one, other = (data.draw(st.integers(0, len(level) - 1)) for _ in range(2))
    swapped[one], swapped[other] = swapped[other], swapped[one]
    return level[:at] + put_in + level[at + left_out :], "".join(swapped)


def _explore(game: Game[Any], start: Any) -> list[tuple[Any, Any, float]]:
    """Moves (from, to, reward) between the first ``MAX_GRAPH`` states, breadth first."""
    rng = np.random.default_rng(0)
    seen, edges, queue = {start}, [], [start]
    for state in queue:
        if len(edges) >= MAX_EDGES:
            break
        for move in known_moves(game, state):
            after, reward, done, *_ = game.play(state, move, rng)
            edges.append((state, after, float(reward)))
            if after not in seen and not done and len(seen) < MAX_GRAPH:
                seen.add(after)
                queue.append(after)
    return edges


def _follow(game: Game[Any], state: Any, moves: list[str]) -> list[Outcome[Any]]:
    """Play a plan until the game ends or its next move is not legal (chance can make it so)."""
    rng, outcomes = np.random.default_rng(0), []
    for move in moves:
        legal = game.legal(state)
        if game.parse(state, move) != move or (legal is not None and move not in legal):
            break
        outcomes.append(game.play(state, move, rng))
        state = outcomes[-1].state
        if outcomes[-1].done:
            break
    return outcomes


def _frozen(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_frozen, value))
    if is_dataclass(value) and not isinstance(value, type):
        frozen = value.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue] (set by dataclass)
        return frozen and all(_frozen(getattr(value, f.name)) for f in fields(value))
    atoms = str | bytes | int | float | complex | None | Enum | range | np.generic
    return isinstance(value, atoms)


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(k) is str and _plain(v) for k, v in value.items())
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return type(value) in (str, int, float, bool)


def _signature(info: dict[str, Any]) -> dict[str, str]:
    numbers = (int, float, bool)
    return {k: type(v).__name__ if type(v) in numbers else "object" for k, v in info.items()}


GAME_LAWS: tuple[GameLaw, ...] = (
    same_seed_same_episode,
    chance_is_declared,
    play_never_mutates,
    states_are_frozen_values,
    outcomes_have_their_types,
    legal_moves_parse_to_themselves,
    parse_never_raises,
    parse_never_guesses,
    text_stays_in_its_bounds,
    rules_are_told,
    samples_are_moves,
    hidden_things_stay_hidden,
    facts_are_plain,
    info_keeps_its_keys_and_types,
    levels_read_what_level_writes,
    given_levels_are_read_or_refused,
    generated_levels_are_solvable,
    plans_under_way_hold,
    no_cycle_of_moves_pays,
)
"""Every law that ``check_game`` holds a game to."""
