"""Slots: replies end and begin on their own, and what is sampled does not depend on when."""

import threading
import time

import gymnasium as gym
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from starpo_kit import parrot_spec, play, small_policy

from starpo_plugin.engine import SlotEngine
from starpo_plugin.episode import EpisodeSpec
from starpo_plugin.policy import Policy
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.rows import ordered
from starpo_plugin.sampler import Sampled
from starpo_plugin.stepping import SLOW_S, Pace, Stepper, stopwatch
from starpo_plugin.tokens import ChatTokens
from text_envs.chat import ChatProtocol

NEVER = 5
"""A token that ends replies, and that none of these replies draws."""


@pytest.fixture(scope="module")
def policy() -> Policy:
    return small_policy(spread=2.0).double()


def engine(policy: Policy, slots: int, longest: int = 80) -> SlotEngine:
    return SlotEngine(policy, frozenset({NEVER}), 0, slots, longest)


def luck(seed: int, tokens: int) -> torch.Tensor:
    return torch.rand(tokens, generator=torch.Generator().manual_seed(seed))


# --- when ---


def test_one_long_reply_in_64_holds_up_nobody(policy):
    """63 conversations play five turns of 4 tokens while one writes 60 tokens."""
    rows, turns, short, long = 64, 5, 4, 60
    slots = engine(policy, rows)
    seen: dict[int, list[int]] = {c: [10 + c % 7, 20, 30] for c in range(rows)}
    left = dict.fromkeys(range(1, rows), turns - 1)
    for c in range(rows):
        slots.ask(c, seen[c], short if c else long, luck(c, long))
    ended, sampled = [], 0
    while slots.busy:
        for c, reply in slots.step():
            ended.append(c)
            sampled += len(reply.ids)
            seen[c] += [*reply.ids, 40, 41]
            if left.get(c, 0):
                left[c] -= 1
                slots.ask(c, seen[c], short, luck(c + 100, short))
    assert ended[-1] == 0
    assert ended.count(0) == 1
    assert len(ended) == 1 + turns * (rows - 1)
    assert slots.steps == long  # in step with each other it would be long + (turns - 1) * short
    # nothing was computed for a reply that had ended
    assert slots.row_steps == sampled


def test_what_was_read_is_not_read_again(policy):
    """Members share their prompt; a further turn reads what is new; a window keeps what it can."""
    slots = engine(policy, 6)
    prompts = [[7, 8, 9, 10, 11], [7, 8, 9, 12]]
    for c in range(6):
        slots.ask(c, prompts[c // 3], 3, luck(c, 3))
    replies = dict(_until(slots, 6))
    assert slots.tokens_read == 4 + 3
    for c in range(3):
        slots.ask(c, [*prompts[0], *replies[c].ids, 13, 14], 2, luck(c, 2))
    _until(slots, 3)
    assert slots.tokens_read == 7 + 3 * 2  # the last of a reply and all of the new but its last
    slots.ask(3, [7, 8, 20, 21, 22], 2, luck(3, 2))
    _until(slots, 1)
    assert slots.tokens_read == 13 + 2  # 20 and 21: the row had read 7 and 8


def _until(slots: SlotEngine, replies: int) -> list[tuple[int, Sampled]]:
    found: list[tuple[int, Sampled]] = []
    while slots.busy:
        found += slots.step()
    assert len(found) == replies
    return found


def test_more_conversations_than_slots_are_refused(policy):
    slots = engine(policy, 1)
    slots.ask(3, [7, 8], 1, luck(0, 1))
    with pytest.raises(ValueError, match="1 slots"):
        slots.ask(4, [7, 8], 1, luck(0, 1))
    assert len(_until(slots, 1)) == 1
    slots.release(3)
    slots.ask(4, [7, 8], 1, luck(0, 1))


def test_room_from_the_start_changes_no_reply_and_is_kept_for_the_next_rollout(policy):
    replies = []
    for columns in (0, 300):
        slots = SlotEngine(policy, frozenset({NEVER}), 0, 2, 80, columns=columns)
        for c in range(2):
            slots.ask(c, [7, 8, 9 + c], 80, luck(c, 80))
        replies.append(dict(_until(slots, 2)))
        assert slots.columns >= max(columns, 82)
    assert replies[0] == replies[1]
    rollouts = Rollouts(
        policy, ChatTokens(policy.tokenizer), parrot_spec(), Sampling(8, 400, slots=2)
    )
    asked = []
    make = rollouts._engine
    rollouts._engine = lambda slots: asked.append(make(slots)) or asked[-1]  # type: ignore[method-assign]
    for _ in range(2):
        rollouts.run([0, 1], 1, torch.Generator().manual_seed(0))
    assert asked[1].columns == asked[0].columns > 64


@given(st.data())
def test_rows_of_a_block_become_neighbours_and_no_row_is_lost(data):
    size = data.draw(st.integers(1, 12))
    rows = data.draw(st.permutations(range(size)))
    cuts = sorted(data.draw(st.lists(st.integers(0, size), min_size=2, max_size=2)))
    blocks = [rows[: cuts[0]], rows[cuts[0] : cuts[1]]]
    order = ordered(size, blocks)
    assert sorted(order) == list(range(size))
    assert set(order[: cuts[0]]) == set(blocks[0])
    assert set(order[cuts[0] : cuts[1]]) == set(blocks[1])


# --- the same replies, however they are scheduled ---


def replies_of(played) -> list[list[tuple[int, ...]]]:
    return [[t.reply_ids for t in trajectory.turns] for trajectory in played]


@settings(max_examples=4)
@given(slots=st.integers(1, 9), window=st.integers(0, 2), seed=st.integers(0, 99))
def test_any_number_of_slots_plays_the_same_episodes(slots, window, seed):
    policy = small_policy(seed, spread=2.0).double()
    spec = parrot_spec(context_turns=window, max_turns=3)
    few, anew = (
        play(policy, spec, groups=3, members=3, seed=seed, **how)
        for how in ({"slots": slots}, {"keep_cache": False})
    )
    assert replies_of(few) == replies_of(anew)
    for a, b in zip(few, anew, strict=True):
        for s, t in zip(a.turns, b.turns, strict=True):
            assert s.logprobs == pytest.approx(t.logprobs, abs=1e-6)


def test_a_token_is_drawn_from_its_own_place_of_the_noise(policy):
    """Straight from the definition: a whole forward pass for every single token."""
    shape = (6, 3, 8)
    spec = parrot_spec(max_turns=3)
    played = play(policy, spec, groups=3, members=2, seed=4, reply=8)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(4)).double()
    ends = ChatTokens(policy.tokenizer).end_ids
    for e, trajectory in enumerate(played[:3]):
        ids: list[int] = []
        for k, turn in enumerate(trajectory.turns):
            ids += turn.prompt_ids
            for t, token in enumerate(turn.reply_ids):
                with torch.no_grad():
                    p = policy.model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)
                assert token == int((p.cumsum(-1) <= noise[e, k, t] * p.sum()).sum())
                assert turn.logprobs[t] == pytest.approx(float(p[token].log()), abs=1e-5)
                ids.append(token)
            assert len(turn.reply_ids) == 8 or turn.reply_ids[-1] in ends


# --- slow environments ---


class Gate(gym.Env):
    """The game of seed 0 is slow, and its third step waits until all others are over."""

    ended: list[bool]
    over: threading.Event
    waited_for: list[bool]

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Text(50, min_length=0)
        self.action_space = gym.spaces.Text(400, min_length=0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.moves, self.slow = 0, seed == 0
        return "x", {}

    def step(self, action):
        self.moves += 1
        if self.slow and self.moves <= 2:
            time.sleep(1.5 * SLOW_S)  # as slow environments are known
        elif self.slow and self.moves == 3:
            Gate.waited_for.append(Gate.over.wait(timeout=120))
        elif not self.slow and self.moves == 6:
            Gate.ended.append(True)
            if len(Gate.ended) == 15:
                Gate.over.set()
        return "x" * self.moves, 0.0, self.moves == 6, False, {}


def test_a_slow_environment_is_stepped_while_the_others_play_on(policy):
    if "Gate-v0" not in gym.registry:
        gym.register("Gate-v0", entry_point=Gate)
    Gate.ended, Gate.over, Gate.waited_for = [], threading.Event(), []
    protocol = ChatProtocol("answer", rules="Say.", user_template="{observation}")
    spec = EpisodeSpec("Gate-v0", protocol=protocol, max_turns=6)
    tokens = Answering(policy.tokenizer)
    rollouts = Rollouts(policy, tokens, spec, Sampling(4, 400))
    played = rollouts.run(range(16), 1, torch.Generator().manual_seed(0))
    assert Gate.waited_for == [True]  # the others came to their ends while it was in its third step
    assert [len(t.turns) for t in played] == [6] * 16
    inline = Rollouts(policy, tokens, spec, Sampling(4, 400, env_threads=0))
    assert replies_of(inline.run(range(16), 1, torch.Generator().manual_seed(0))) == replies_of(
        played
    )


class Answering(ChatTokens):
    """Reads every reply as one move."""

    def decode(self, ids: tuple[int, ...] | list[int]) -> str:
        return f"<answer>{len(ids)}</answer>"

    def spans(self, ids: tuple[int, ...] | list[int]) -> list[tuple[int, int]]:
        return [(0, 1)] * len(ids)


def test_an_environment_is_slow_if_two_steps_of_it_were():
    pace = Pace()
    for seconds in (2 * SLOW_S, 0.0, 2 * SLOW_S):
        pace.took(1, seconds)
        pace.took(2, 0.0)
    assert not pace.is_slow(1)  # a busy machine does that
    pace.took(1, 2 * SLOW_S)
    assert pace.is_slow(1)
    assert not pace.is_slow(2)


def test_three_slow_steps_one_after_another_make_all_environments_slow():
    pace = Pace()
    for env in range(3):
        assert not pace.is_slow(9)
        pace.took(env, 2 * SLOW_S)
    assert pace.is_slow(9)


def test_what_a_step_on_a_thread_raises_is_raised_where_it_is_awaited():
    def broken() -> int:
        raise RuntimeError("the game broke")

    pace = Pace()
    for _ in range(2):
        pace.took(0, 2 * SLOW_S)
    with Stepper[int](pace, 2) as stepper:
        stepper.begin(0, broken)
        with pytest.raises(RuntimeError, match="the game broke"):
            stepper.done(block=True)


def test_without_threads_all_is_done_in_turn():
    pace = Pace()
    for _ in range(4):
        pace.took(0, 2 * SLOW_S)
    here = threading.get_ident()
    with Stepper[int](pace, 0) as stepper:
        for env in range(3):
            stepper.begin(env, threading.get_ident)
        assert stepper.done(block=False) == [(0, here), (1, here), (2, here)]


def test_a_watch_counts_waiting_and_working():
    waited = stopwatch()
    time.sleep(0.03)
    assert waited() >= 0.03
    begun, worked = time.thread_time(), stopwatch()
    while time.thread_time() - begun < 0.03:
        pass
    assert worked() >= 0.029
