import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpo_plugin.config import TrainConfig
from starpo_plugin.diagnostics import METRICS
from starpo_plugin.echo_trap import SIGNALS, EchoTrapMonitor, TrapWarning

# What a run looked like that fell into the trap: iteration by iteration success, spread of the
# returns within groups, entropy, gradient norm, share of unclosed tags, reply length, valid turns.
COLUMNS = (
    *("success", "return_std_in_group", "entropy", "grad_norm"),
    *("unclosed", "reply_tokens", "valid"),
)
COLLAPSE = (
    (0.21, 0.50, 0.90, 1.1, 0.01, 60.0, 0.95),  # 1
    (0.20, 0.48, 0.92, 0.9, 0.02, 61.0, 0.94),
    (0.24, 0.52, 0.88, 1.0, 0.01, 59.0, 0.95),
    (0.25, 0.51, 0.90, 1.2, 0.00, 58.0, 0.96),
    (0.24, 0.49, 0.91, 0.8, 0.01, 60.0, 0.95),
    (0.26, 0.50, 0.89, 1.0, 0.02, 62.0, 0.94),
    (0.28, 0.50, 0.90, 1.0, 0.01, 60.0, 0.96),
    (0.29, 0.47, 0.90, 1.1, 0.01, 61.0, 0.95),
    (0.30, 0.53, 0.91, 0.9, 0.00, 59.0, 0.95),
    (0.31, 0.50, 0.89, 1.0, 0.01, 60.0, 0.95),  # 10: means .5, .9, .01, 60, .95
    (0.32, 0.40, 0.80, 1.3, 0.05, 70.0, 0.93),
    (0.33, 0.30, 0.60, 1.6, 0.15, 90.0, 0.90),
    (0.33, 0.20, 0.40, 2.0, 0.22, 121.0, 0.85),
    (0.32, 0.04, 0.30, 2.4, 0.25, 130.0, 0.80),  # 14: spread below .05 from here on
    (0.30, 0.03, 0.20, 11.5, 0.30, 140.0, 0.74),  # 15: gradient over 10 x its median 1.1
    (0.22, 0.03, 0.15, 3.0, 0.40, 150.0, 0.70),
    (0.12, 0.02, 0.10, 2.5, 0.55, 160.0, 0.60),
    (0.05, 0.01, 0.08, 2.0, 0.70, 170.0, 0.50),  # 18: entropy below .09
    (0.02, 0.00, 0.05, 1.0, 0.80, 180.0, 0.40),
    (0.00, 0.00, 0.02, 0.5, 0.90, 190.0, 0.30),
)
WARNED = [
    (15, "gradient_spike"),
    (15, "unclosed_tags"),  # 13, 14, 15
    (15, "longer_replies"),  # 13, 14, 15
    (17, "invalid_moves"),  # 15, 16, 17
    (18, "spread_gone"),  # 14 to 18
    (18, "entropy_gone"),
]


def watch(rows, monitor: EchoTrapMonitor | None = None, start: int = 1) -> list[TrapWarning]:
    monitor = monitor or EchoTrapMonitor()
    return [w for i, row in enumerate(rows, start) for w in monitor.update(i, row)]


def healthy(n: int = 10, **changes: float) -> list[dict[str, float]]:
    row = dict(zip(COLUMNS, (0.3, 0.5, 0.9, 1.0, 0.01, 60.0, 0.95), strict=True))
    return [{**row, **changes} for _ in range(n)]


def test_a_recorded_collapse_is_seen_before_success_is_gone():
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in COLLAPSE]
    warnings = watch(rows)
    assert [(w.iteration, w.signal) for w in warnings] == WARNED
    first = warnings[0].iteration
    assert rows[first - 1]["success"] > 0.9 * max(r["success"] for r in rows)


def test_a_warning_says_value_reference_and_remedy():
    (warning,) = watch([*healthy(), *healthy(1, entropy=0.08)])
    assert (warning.value, warning.metric, warning.iteration) == (0.08, "entropy", 11)
    assert warning.reference == pytest.approx(0.9)
    for words in ("entropy is 0.08", "mean of the first 10 iterations 0.9", "hardly varies"):
        assert words in warning.text
    assert "--entropy-coef" in warning.remedy
    assert warning.stops


@pytest.mark.parametrize(
    ("metric", "bad", "good", "signal"),
    [
        ("return_std_in_group", 0.0499, 0.0501, "spread_gone"),
        ("entropy", 0.0899, 0.0901, "entropy_gone"),
        ("entropy", 4.501, 4.499, "entropy_burst"),
        ("grad_norm", 10.01, 9.99, "gradient_spike"),
        ("unclosed", 0.2101, 0.2099, "unclosed_tags"),
        ("reply_tokens", 120.1, 119.9, "longer_replies"),
        ("valid", 0.7499, 0.7501, "invalid_moves"),
    ],
)
def test_each_sign_at_its_threshold_and_after_its_patience(metric, bad, good, signal):
    patience = SIGNALS[signal].patience
    assert watch([*healthy(), *healthy(8, **{metric: good})]) == []
    found = watch([*healthy(), *healthy(8, **{metric: bad})])
    assert [(w.signal, w.iteration) for w in found] == [(signal, 10 + patience)]
    interrupted = healthy(patience - 1, **{metric: bad}) + healthy(1)
    assert patience == 1 or watch([*healthy(), *interrupted * 3]) == []


def test_the_start_is_only_a_reference():
    assert watch(healthy(9) + healthy(1, entropy=1e-9, grad_norm=1e9)) == []


def test_a_leap_is_one_from_the_first_iteration_on():
    (warning,) = watch(healthy(1, kl_k3=0.051))
    assert (warning.signal, warning.iteration, warning.reference) == ("leap", 1, 0.05)
    assert "kl_k3 is 0.051, limit 0.05: one iteration's updates" in warning.text
    assert not warning.stops
    assert watch(healthy(30, kl_k3=0.05)) == []


def test_of_stored_episodes_only_what_is_the_policys_is_watched():
    strange = dict.fromkeys(COLUMNS, 1000000000.0)
    found = watch([*healthy(), *healthy(5, **strange)], EchoTrapMonitor(stored=True))
    assert [w.signal for w in found] == ["entropy_burst", "gradient_spike"]


def test_a_leap_comes_before_the_fall_that_it_brings():
    # TextBandit-v0, PPO at 3e-3: success of the rollouts, KL of the updates that followed them
    success = (0.859, 0.609, 0.203, 0.078, 0.078, 0.078, 0.047, 0.0, 0.016, 0.0)
    leaps = (0.046, 0.075, 0.176, 0.172, 0.101, 0.109, 0.045, 0.035, 0.044, 0.017)
    rows = [{"success": s, "kl_k3": k} for s, k in zip(success, leaps, strict=True)]
    first = watch(rows)[0]
    assert (first.signal, first.iteration) == ("leap", 2)
    assert success[first.iteration - 1] > 0.5 * max(success) > success[first.iteration]


def test_a_sign_that_goes_and_comes_back_is_told_again():
    bad, good = healthy(3, entropy=0.01), healthy(2)
    found = watch([*healthy(), *bad, *good, *bad])
    assert [w.iteration for w in found] == [11, 16]


def test_a_solved_game_is_no_collapse():
    same = {"success": 0.95, "return_std_in_group": 0.0, "entropy": 0.01}
    assert watch([*healthy(), *healthy(8, **same)]) == []
    # but a burst of noise, or a spike, is one at any success
    found = watch([*healthy(), *healthy(1, success=1.0, entropy=9.0)])
    assert [w.signal for w in found] == ["entropy_burst"]


def test_a_run_without_spread_from_the_start_has_nothing_to_lose():
    assert watch(healthy(30, return_std_in_group=0.0, entropy=0.0)) == []


def test_missing_and_broken_numbers_change_nothing():
    empty = {"success": 0.3, "return_std_in_group": 0.5}  # the filter kept no group
    broken = healthy(1, entropy=float("nan"), grad_norm=float("inf"))
    rows = [*healthy(5), empty, *broken, *healthy(5), *broken, empty]
    assert watch(rows) == []
    low = healthy(1, return_std_in_group=0.0)[0]
    gone = {**low, "return_std_in_group": float("nan")}
    found = watch([*healthy(), low, low, gone, low, low, low])
    assert [(w.signal, w.iteration) for w in found] == [("spread_gone", 16)]


def test_the_gradients_reference_moves_with_the_run():
    slow = [healthy(1, grad_norm=1.05**k)[0] for k in range(200)]
    assert watch(slow) == []
    late = [*healthy(80, grad_norm=1.0), *healthy(60, grad_norm=9.0), *healthy(1, grad_norm=11.0)]
    assert watch(late) == []


ROWS = st.lists(
    st.fixed_dictionaries({}, optional={c: st.sampled_from([0.0, 0.01, 1.0, 50.0, float("nan")])
                                        for c in COLUMNS}),
    max_size=60,
)  # fmt: skip


@given(ROWS, st.integers(0, 60))
def test_a_monitor_that_is_shown_the_past_again_warns_the_same(rows, cut):
    resumed = EchoTrapMonitor()
    before = watch(rows[:cut], resumed)
    assert before + watch(rows[cut:], resumed, cut + 1) == watch(rows)
    shown_again = EchoTrapMonitor()
    watch(rows[:cut], shown_again)
    assert watch(rows[cut:], shown_again, cut + 1) == [w for w in watch(rows) if w.iteration > cut]


def test_signals_speak_of_metrics_and_options_that_there_are():
    options = {f"--{f.name.replace('_', '-')}" for f in fields(TrainConfig)}
    for signal in SIGNALS.values():
        named = set(re.findall(r"--[\w-]+", signal.remedy))
        assert named
        assert named <= options
        assert signal.metric in METRICS
