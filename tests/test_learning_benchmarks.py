"""What is pure in the benchmarks that train: figures over seeds, when a run fell, pictures."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from starpo_plugin.charts import Series, chart
from starpo_plugin.run_folder import RunFolder
from text_envs.chat import ChatProtocol

pytestmark = pytest.mark.usefixtures("importable_benchmarks")


def test_a_mean_over_seeds_has_students_interval():
    from seeds import interval

    # 4.303 x 0.1 / sqrt(3) = 0.2484
    assert interval([0.1, 0.2, 0.3]) == "20.0 ± 24.8"
    # 12.706 x 0.02 sqrt(2) / sqrt(2) = 0.2541
    assert interval([0.5, 0.54]) == "52.0 ± 25.4"


def test_a_curve_of_seeds_is_their_mean_in_a_band():
    from seeds import averaged

    drawn = averaged("x", [[(0, 0.0), (5, 0.5)], [(0, 0.2), (5, 1.0)]], "b")
    assert list(drawn.points) == [(0, 0.1), (5, 0.75)]
    assert list(drawn.band) == [(0, 0.0, 0.2), (5, 0.5, 1.0)]
    with pytest.raises(ValueError, match="shorter"):  # a seed that is not done
        averaged("x", [[(0, 0.0), (5, 0.5)], [(0, 0.2)]], "b")


def test_options_become_words_and_are_shown_as_typed():
    from seeds import shown, words

    options = {"--system-template": "", "--env-args": ("size=3", "frozen=1"), "--early-stop": ()}
    given = ["--system-template", "", "--env-args", "size=3", "frozen=1", "--early-stop"]
    assert words(options) == given
    assert shown(options) == "--system-template '' --env-args size=3 frozen=1 --early-stop"


@pytest.mark.parametrize(
    ("success", "start", "iteration"),
    [
        ([0.8] * 30, 0.8, None),
        ([0.8] * 10 + [0.0] * 10, 0.8, 13),  # mean of five .48, .32: 8 to 12, 9 to 13
        ([0.8] * 10 + [0.0] * 10 + [0.9] * 20, 0.8, 13),  # that it came back changes nothing
        ([0.1] * 10 + [0.9] * 10 + [0.5] * 10, 0.1, None),  # .5 is more than half of the best
        ([0.1] * 10 + [0.9] * 10 + [0.4] * 10, 0.1, 25),
        ([0.3] * 10, 0.7, 5),  # it never was what the start was
        ([0.1] * 4, 0.9, None),  # too short to say
        ([0.0] * 30, 0.0, None),  # nothing to lose
    ],
)
def test_success_has_fallen_where_it_is_half_of_its_best(success, start, iteration):
    from echo_trap import fall

    assert fall(success, start) == iteration


def recorded(path: Path, success: list[float], warned: int | None = None) -> RunFolder:
    """A run folder with what a verdict reads of it."""
    path.mkdir()
    lines = [{"iteration": i, "success": y} for i, y in enumerate(success, 1)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (path / "evals.jsonl").write_text(json.dumps(lines[0]) + "\n")
    if warned is not None:
        warning = {"iteration": warned, "signal": "entropy_gone"}
        (path / "warnings.jsonl").write_text(json.dumps(warning) + "\n")
    return RunFolder(path)


def test_the_verdict_counts_who_fell_and_who_had_been_warned(tmp_path):
    from echo_trap import verdict

    falling = [0.8] * 10 + [0.0] * 10  # fallen at 13
    runs = {
        "trap": [
            recorded(tmp_path / "in time", falling, 12),
            recorded(tmp_path / "too late", falling, 13),
            recorded(tmp_path / "not at all", falling),
        ],
        "good": [recorded(tmp_path / "false alarm", [0.8] * 20, 12)],
    }
    assert verdict(runs) == (
        "`trap` fell on 3 of 3 seeds, 1 of them after a warning; `good` fell on 0 of 1 seeds."
    )


def test_what_a_game_has_learned_is_told_by_seed(tmp_path):
    from from_zero import learned

    slow = recorded(tmp_path / "slow", [0.0] * 10 + [1.0] * 10)
    never = recorded(tmp_path / "never", [0.0] * 15 + [0.5] * 5)
    assert learned([slow, never], "success") == "62 (11, never)"


def test_what_the_page_says_that_differs_is_what_differs():
    from echo_trap import differences

    _, _, *lines = differences()
    assert {line.split("`")[1] for line in lines} == {"filter", "clip_high"}
    assert "| `clip_high` | 0.2 | 0.28 |" in lines


def test_a_level_is_reached_when_it_lasts():
    from from_zero import reached

    values = [0.0, 0.9, 0.95, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1]
    assert reached(values, 0.9) == 5
    assert reached(values, 0.9, lasting=2) == 2
    assert reached(values, 0.95, lasting=2) is None


def paid(reply: str) -> float:
    """What a reply is worth on a lake, where a legal move that does not end it earns nothing; here
    one can't go down.
    """
    from form_reward import form

    read = ChatProtocol("answer").parse(reply)
    legal = bool(read.actions) and set(read.actions) <= {"left", "right", "up", "down"}
    cost = 0.4 * (not read.well_formed) + 0.1 * (bool(read.actions) and not legal)
    moved = legal and "down" not in read.actions
    return form(-cost, reply, {"well_formed": read.well_formed, "action_is_effective": moved})


def test_each_step_towards_a_legal_move_pays_more():
    steps = (
        "left",
        "<answer>left",
        "<answer></answer>",
        "<answer>up</answer>.",
        "<answer>x</answer>",
        "<answer>down</answer>",
        "<answer>up</answer>",
    )
    expected = [-1.0, -0.85, -0.7, -0.55, -0.3, -0.2, 0.0]
    assert [round(paid(s), 2) for s in steps] == expected


@pytest.mark.parametrize(
    "reply",
    [
        *("", "</answer>", "</answer><answer>", "<answer><answer>", "<answer></answer></answer>"),
        *("<answer>up</answer></answer>", " <answer>up"),
    ],
)
def test_repeating_or_turning_the_tags_round_pays_no_more_than_one(reply):
    assert paid(reply) <= -0.85 + 1e-9


def test_charts_in_a_stack_are_one_drawing_below_each_other():
    from curves import TITLE, stacked, standalone

    rising = chart([Series("<run>", [(k, k / 9) for k in range(10)], "b")], height=100)
    drawn = standalone(stacked({"a < b": rising, "second": rising}, 100), ["<run>"], (240, 11), "b")
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    inner = root.findall(f"{space}svg")
    assert [float(s.get("y", "nan")) for s in inner] == [TITLE, 2 * TITLE + 100]
    assert root.get("viewBox") == f"0 0 360 {2 * (TITLE + 100)}"
    texts = [t.text for t in root.findall(f"{space}text")]
    assert texts == ["a < b", "second", "<run>"]
    key = root.findall(f"{space}text")[-1]
    assert (key.get("class"), key.get("x"), key.get("y")) == ("key b", "240", "11")
    assert math.isfinite(float(inner[0].get("height", "nan")))
