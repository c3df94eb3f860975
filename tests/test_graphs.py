"""Recorded steps: shapes rounded up, rows that write nowhere, growing buffers; the same tokens."""

import dataclasses
import gc
import random
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from graph_tape import Tape, recorded_ops
from hypothesis import given, settings
from hypothesis import strategies as st
from starpo_kit import parrot_spec, small_policy
from test_processes import _One

from starpo_plugin.config import TrainConfig
from starpo_plugin.engine import SlotEngine, make_engine
from starpo_plugin.graphs import GraphedEngine, Plain, rounded
from starpo_plugin.locate import locate
from starpo_plugin.policy import Policy
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.sampler import Sampled
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory

Replies = dict[tuple[int, int], Sampled]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return small_policy(spread=2.0).double()


def converse(engine: SlotEngine, policy: Policy, seed: int, conversations: int = 10) -> Replies:
    """Play a made-up rollout: groups with one prompt, odd lengths, waits, moves, growth."""
    rng = random.Random(seed)
    vocabulary = policy.text_config.vocab_size
    prompts = [[rng.randrange(vocabulary) for _ in range(rng.choice((1, 2, 9, 25)))] for _ in "abc"]
    seen = {c: list(prompts[c % 3]) for c in range(conversations)}
    turn = dict.fromkeys(seen, 0)
    waiting, inside, late, replies = list(seen), 0, [], {}
    while waiting or inside:
        while waiting and inside < len(engine._rows):
            c = waiting.pop(0)
            inside += 1
            late.append(c)
        rng.shuffle(late)
        keep = rng.randrange(len(late) + 1) if engine.busy else 0
        while len(late) > keep:
            c = late.pop()
            noise = torch.rand(40, generator=torch.Generator().manual_seed(100 * c + turn[c]))
            engine.ask(c, seen[c], 1 + (7 * c + 5 * turn[c]) % 25, noise)
        for c, reply in engine.step():
            replies[c, turn[c]] = reply
            turn[c] += 1
            if turn[c] == 4:
                engine.release(c)
                inside -= 1
                continue
            # now and then a window drops what was read
            kept = seen[c] if (c + turn[c]) % 5 else seen[c][:3]
            seen[c] = [*kept, *reply.ids, *(rng.randrange(vocabulary) for _ in range(c % 4 + 1))]
            late.append(c)
    return replies


def same(found: Replies, expected: Replies, tolerance: float = 1e-9) -> None:
    assert {k: r.ids for k, r in found.items()} == {k: r.ids for k, r in expected.items()}
    for key, reply in found.items():
        assert reply.logprobs == pytest.approx(expected[key].logprobs, abs=tolerance)


def plain(policy: Policy, slots: int) -> SlotEngine:
    return SlotEngine(policy, ChatTokens(policy.tokenizer).end_ids, 0, slots, 40)


def graphed(policy: Policy, slots: int, recorder: Callable[[], Any] | None = None) -> GraphedEngine:
    ends = ChatTokens(policy.tokenizer).end_ids
    return GraphedEngine(policy, ends, 0, slots, 40, recorder=recorder)


# --- shapes ---


@given(size=st.integers(1, 3000), least=st.sampled_from([1, 64]), parts=st.sampled_from([2, 4]))
def test_a_size_is_rounded_up_by_little_and_few_sizes_are_left(size, least, parts):
    found = rounded(size, least, parts, 3000)
    assert size <= found <= max(size + size / parts, size + least)
    assert rounded(found, least, parts, 3000) == found
    assert rounded(size, least, parts, size) == size  # there are no more rows
    sizes = {rounded(n, least, parts, 2048) for n in range(1, 2049)}
    assert len(sizes) <= parts * 12


def test_rows_are_rounded_to_powers_of_two_and_halfway_between():
    found = sorted({rounded(n, 1, 2, 128) for n in range(1, 129)})
    assert found == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]


# --- the same tokens ---


@settings(max_examples=2)
@given(seed=st.integers(0, 999), slots=st.integers(3, 9))
def test_rounded_steps_draw_the_same_tokens(policy, seed, slots):
    expected = converse(plain(policy, slots), policy, seed)
    same(converse(graphed(policy, slots), policy, seed), expected)


@pytest.mark.parametrize(("seed", "slots"), [(0, 5), (1, 9), (2, 7)])
def test_steps_replayed_from_their_operations_draw_the_same_tokens(policy, seed, slots):
    """As a CUDA graph replays: the same operations on the same memory, nothing asked of Python."""
    tapes: list[Tape] = []

    def tape() -> Tape:
        tapes.append(Tape())
        return tapes[-1]

    engine = graphed(policy, slots, tape)
    same(converse(engine, policy, seed), converse(plain(policy, slots), policy, seed))
    assert sum(t.replays > 0 for t in tapes) >= 2  # the buffers grew, and steps were recorded anew
    assert sum(t.replays for t in tapes) > engine.steps / 2


def test_whole_rollouts_are_the_same(policy):
    def played(**how: bool) -> list[Trajectory]:
        sampling = Sampling(12, 400, slots=7, **how)
        rollouts = Rollouts(policy, ChatTokens(policy.tokenizer), parrot_spec(), sampling)
        return rollouts.run(range(4), 3, torch.Generator().manual_seed(1))

    for a, b in zip(played(), played(cuda_graphs=True), strict=True):
        for s, t in zip(a.turns, b.turns, strict=True):
            assert s.reply_ids == t.reply_ids
            assert s.logprobs == pytest.approx(t.logprobs, abs=1e-9)


def test_rows_that_are_computed_only_for_the_shape_change_nothing(policy):
    """Not the keys and values of who waits, not the replies and the noise of anybody else."""
    engine = GraphedEngine(policy, frozenset(), 0, 8, 40)
    for c in range(8):
        engine.ask(c, [7, 8, 9 + c], 3 + 2 * c, torch.rand(40))
    steps = 0
    while engine.busy:
        waiting = slice(engine._replying - len(engine._ended), 8)
        held = [x[waiting].clone() for layer in engine._cache._layers for x in layer._buffers]
        places = engine._state[4, waiting].clone()
        written = [x[places].clone() for x in (engine._tokens, engine._logprobs, engine._noise)]
        rows = engine._rows[waiting]
        engine.step()
        if steps and engine._rows[waiting] == rows:
            now = [x[waiting] for layer in engine._cache._layers for x in layer._buffers]
            assert all(torch.equal(a, b) for a, b in zip(held, now, strict=True))
            now = [x[places] for x in (engine._tokens, engine._logprobs, engine._noise)]
            assert all(torch.equal(a, b) for a, b in zip(written, now, strict=True))
        steps += 1
    assert steps == engine.steps == 17
    assert {rows for rows, _ in engine._recorded} == {1, 2, 3, 4, 6, 8}


def test_an_engine_goes_on_when_all_were_released(policy):
    engine, other = graphed(policy, 6, Tape), plain(policy, 6)
    for seed in range(2):
        same(converse(engine, policy, seed), converse(other, policy, seed))


@pytest.mark.parametrize("make", [plain, lambda *given: graphed(*given, Tape)])
def test_keys_and_values_are_freed_with_their_engine(policy, make):
    """The update that follows needs their memory, and would not wait for a collection of cycles."""
    engine = make(policy, 3)
    reply(engine, 12)
    layer = weakref.ref(engine._cache._layers[0])
    gc.disable()
    try:
        del engine
        assert layer() is None
    finally:
        gc.enable()


# --- what is recorded ---


class Counting(Plain):
    """Counts what it is asked for, and fails where it is told to."""

    def __init__(self, log: list[str], fails: bool = False) -> None:
        self.log, self.fails = log, fails
        log.append("new")

    def first(self, step: Callable[[], None]) -> None:
        self.log.append("first")
        super().first(step)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        self.log.append("record")
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        return super().record(step)


def reply(engine: SlotEngine, tokens: int) -> list[tuple[int, Sampled]]:
    engine.ask(0, [7, 8, 9], tokens, torch.zeros(tokens))
    found = []
    while engine.busy:
        found += engine.step()
    engine.release(0)
    return found


def test_a_shape_is_run_once_then_recorded_once_then_replayed_until_the_buffers_grow(policy):
    log: list[str] = []
    engine = GraphedEngine(policy, frozenset(), 0, 2, 200, recorder=lambda: Counting(log))
    for _ in range(3):
        reply(engine, 20)
    assert log == ["new", "first", "record"]
    log.clear()
    reply(engine, 150)
    # column 65 makes 129 of them: shapes of 128 and, for one step, 129; column 130 makes 195
    assert log == ["new", "first", "record", "first", "new", "first", "record"]


def test_a_step_that_cannot_be_recorded_runs_plainly_and_says_so_once(policy):
    log: list[str] = []
    engine = graphed(policy, 6, lambda: Counting(log, fails=True))
    with pytest.warns(
        RuntimeWarning, match="no CUDA graph .*: RuntimeError: operation not"
    ) as told:
        found = converse(engine, policy, 3)
    assert len(told) == 1
    assert log.count("record") == 1
    assert engine._recorded == {}
    same(found, converse(plain(policy, 6), policy, 3))


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_a_step_asks_nothing_of_the_device_and_copies_nothing_to_it(policy, temperature):
    """While a graph is recorded neither is allowed: no value that Python sees, no new constant."""
    engine = GraphedEngine(policy, frozenset(), 0, 4, 40, temperature)
    for c in range(3):
        engine.ask(c, [7, 8, 9 + c], 20, torch.rand(20))
    engine.step()
    with torch.inference_mode():
        names = {op.name() for op, *_ in recorded_ops(lambda: engine._run(3, 64))}
    assert "aten::index_copy_" in names
    asking = ("local_scalar", "nonzero", "is_nonzero", "lift_fresh", "masked_select", "unique")
    assert not [name for name in names if any(word in name for word in asking)]


# --- what is refused ---


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda"])
def test_graphs_without_a_gpu_are_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = dataclasses.replace(TrainConfig(), cuda_graphs=True, device=device)
    with pytest.raises(ValueError, match=f"cuda_graphs=True needs a CUDA GPU.*{device}"):
        config.check()


def test_graphs_and_compiled_blocks_are_refused_together(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    config = dataclasses.replace(TrainConfig(), cuda_graphs=True)
    config.check()
    with pytest.raises(ValueError, match="compile=True"):
        dataclasses.replace(config, compile=True, precision="bf16").check()


def test_graphs_and_sharded_weights_are_refused_together(policy):
    tokens, sampling = ChatTokens(policy.tokenizer), Sampling(12, 400, cuda_graphs=True)
    with pytest.raises(ValueError, match="FSDP"):
        Rollouts(policy, tokens, parrot_spec(), sampling, processes=_One(0, 2, True))


def test_graphs_of_a_model_whose_cache_cannot_be_kept_are_refused(policy):
    with pytest.raises(ValueError, match="does not allow"):
        make_engine(policy, frozenset(), 0, 2, 8, keep_cache=False, cuda_graphs=True)


def test_a_run_with_graphs_is_played_without(tmp_path):
    """Where a model was trained there was a GPU; where it is played there may be none."""
    folder = tmp_path / "run"
    RunFolder(folder).create(TrainConfig(run=str(folder), cuda_graphs=True))
    checkpoint = folder / "checkpoints" / "000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    assert RunFolder(folder).config().cuda_graphs
    assert not locate(str(checkpoint)).cuda_graphs


# --- on a GPU ---


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("seed", "slots"), [(0, 5), (1, 9), (2, 7)])
def test_graphs_draw_the_same_tokens_on_a_gpu(seed, slots):
    """After growth, after moves, with rows that wait: all of these are in the rollout."""
    policy = small_policy(spread=2.0).to("cuda")
    expected = converse(plain(policy, slots), policy, seed)
    engine = graphed(policy, slots)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="no CUDA graph")
        found = converse(engine, policy, seed)
    same(found, expected, tolerance=1e-3)
    assert any(engine._recorded.values())
    same(converse(engine, policy, seed + 1), converse(plain(policy, slots), policy, seed + 1), 1e-3)


@pytest.mark.gpu
@needs_gpu
def test_graphs_are_exact_in_double_precision_on_a_gpu():
    policy = small_policy(spread=2.0).double()
    expected = converse(plain(policy, 9), policy, 5)
    policy.to("cuda")
    same(converse(graphed(policy, 9), policy, 5), expected)


@pytest.mark.gpu
@needs_gpu
def test_graphs_in_bf16_are_close_on_a_gpu():
    """Rounding may turn a token in some reply; up to there the log-probabilities are close."""
    policy = small_policy(spread=2.0).to("cuda", torch.bfloat16)
    limit, luck = 40, torch.rand(16, 40, generator=torch.Generator().manual_seed(0))
    replies = []
    for kind in (SlotEngine, GraphedEngine):
        engine = kind(policy, frozenset(), 0, 16, limit)
        for c in range(16):
            engine.ask(c, [7, 8, 9 + c], limit, luck[c])
        found: dict[int, Sampled] = {}
        while engine.busy:
            found |= dict(engine.step())
        replies.append([found[c] for c in range(16)])
    alike = 0
    for a, b in zip(*replies, strict=True):
        shared = next((i for i in range(limit) if a.ids[i] != b.ids[i]), limit)
        assert a.logprobs[:shared] == pytest.approx(b.logprobs[:shared], abs=0.1)
        alike += shared
    assert alike >= 0.5 * 16 * limit
