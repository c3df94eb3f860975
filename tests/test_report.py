import base64
import dataclasses
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from starpo_plugin import report, token_file
from starpo_plugin.config import TrainConfig
from starpo_plugin.console import visible
from starpo_plugin.curves import PLOTS
from starpo_plugin.echo_trap import TrapWarning
from starpo_plugin.presets import preset
from starpo_plugin.report import score_rows, write_report
from starpo_plugin.run_folder import RunFolder, episode_dict
from starpo_plugin.trajectory import Trajectory, Turn
from text_envs.agents import Score

HOSTILE = (
    "<script>alert('x')</script></pre>{{ 7 * 7 }}<img src=x onerror=alert(1)>"
    "\x1b[2J\x00\u202e\ud800"
)
METRICS = {key for plot in PLOTS for key in plot.metrics if "." not in key} | {"success"}


def episode(seed: int, reply: str, *, success: bool = False, well_formed: bool = True):
    info = {
        "actions": ("up", HOSTILE),
        "well_formed": well_formed,
        "action_is_valid": well_formed,
    }
    turn = Turn((1,), (2,), (-0.5,), f"the board\n{HOSTILE}", reply, 0.5, info)
    return Trajectory("Some-v0", seed, 0, 0, (turn,), success, "terminated", "the rules")


def a_run(path: Path, iterations: int = 40, every: int = 10, **changes) -> RunFolder:
    """A run folder in the trainer's own words; ``iterations`` of 40 planned ones are over."""
    folder = RunFolder(path)
    folder.create(TrainConfig(run=str(path), iterations=40, warmup_updates=5, **changes))
    folder.yardsticks({"random": Score(64, 12, 0.1, 9.0), "oracle": Score(64, 64, 1.0, 4.0)})
    for i in range(iterations + 1):
        if i > 0:
            values = {name: math.sin(i) + 1 for name in METRICS}
            folder.metrics(i, values, {"rollout": 1.5, "update": 0.5})
        if i % every == 0:
            reply = f"<think>thought {i} {HOSTILE}</think><answer>up</answer>"
            played = [episode(s, reply, success=i > 0) for s in (100, 101)]
            folder.evaluation(i, Score(64, 20 + i, 0.2, 8.0), played)
    return folder


def with_tokens(folder: RunFolder, iteration: int = 40, **changes) -> RunFolder:
    """The same run with figures of tokens, in the trainer's own words."""
    reply = f"<think>{HOSTILE}</think><answer>up</answer>"
    record = episode_dict(episode(100, reply)) | {"group": 0, "return": 0.5, "left_out": 7}
    n = len(reply)
    (turn,) = record["turns"]
    turn |= {"prompt_tokens": ["<|user|>", HOSTILE], "reply_tokens": list(reply)}
    turn |= {"section": [2] * n, "trained": [1] * n, "value": None}
    turn |= {"advantage": [k / n - 0.5 for k in range(n)], "entropy": [math.nan] * n}
    turn |= {"logprob_old": [-1.0] * n, "logprob_new": [-1.0 + k / n for k in range(n)], **changes}
    token_file.write(folder.tokens(iteration), iteration, [record])
    return folder


class Page(HTMLParser):
    """Checks that elements nest, and keeps what could load or run something."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.columns: list[str] = []
        """Headings of the episodes that are shown before anything is moved."""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        if tag == "h4" and "template" not in self.open:
            self.columns.append(self.heading)

    def handle_data(self, data):
        self.text += data
        self.heading = data


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def test_a_finished_run_shows_yardsticks_curves_and_episodes(tmp_path):
    page = read(write_report(a_run(tmp_path).path))
    for words in ("random", "after imitation", "after StarPO", "oracle", "18.8", "100.0", "64"):
        assert words in page.text
    assert page.tags.count("svg") == 1 + len(PLOTS)
    assert f"{40 * 8 * 16:,} episodes" in page.text
    for plot in PLOTS:
        assert plot.title in page.text
    for words in ("Iteration 0", "Iteration 20", "Iteration 40", "Level seed 100", "thought 20"):
        assert words in page.text
    assert page.columns == ["Iteration 0", "Iteration 20", "Iteration 40"] * 2
    for text in ("thought 10", "thought 30"):  # to be had by the sliders
        assert text in page.text
    assert "unfinished" not in page.text
    assert "Each environment" not in page.text


def test_the_page_needs_no_network_and_runs_only_its_own_script(tmp_path):
    path = write_report(a_run(tmp_path).path)
    page = read(path)
    names = {name for name, _ in page.attributes}
    assert not {"link", "img", "iframe", "object", "form", "a"} & set(page.tags)
    assert not {"src", "href", "action", "data"} & names
    assert not [n for n in names if n.startswith("on")]
    source = path.read_text()
    assert "url(" not in source
    assert "@import" not in source
    (policy,) = [v for _, v in page.attributes if v and v.startswith("default-src 'none'")]
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    assert len(scripts) == page.tags.count("script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert "unsafe-inline" not in policy.partition("style-src")[0]


def test_what_models_and_environments_write_is_shown_not_obeyed(tmp_path):
    path = write_report(with_tokens(a_run(tmp_path)).path)
    source, page = path.read_text(encoding="utf-8"), read(path)
    assert "<script>alert" not in source
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in source
    assert "{{ 7 * 7 }}" in page.text
    assert page.tags.count("script") == 2  # the page's own, and the figures, which are no code
    assert not {"\x1b", "\x00", "\u202e"} & set(source)
    assert not {"\\u001b", "\\u0000", "\\u202e", "\\ud800"} & set(re.findall(r"\\u\w{4}", source))


def test_hostile_settings_are_escaped_too(tmp_path):
    source = write_report(a_run(tmp_path, rules=HOSTILE, env=HOSTILE, model=HOSTILE).path)
    page = read(source)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not set(source.read_text()) & {"\x1b", "\x00"}


def test_an_ill_formed_reply_is_shown_whole(tmp_path):
    folder = a_run(tmp_path, iterations=0)
    bad = episode(7, "no tags at all", well_formed=False)
    folder.evaluation(40, Score(4, 1, 0.0, 3.0), [bad])
    page = read(write_report(folder.path))
    assert "no tags at all" in page.text
    assert "ill-formed" in page.text
    assert "invalid move" in page.text


@pytest.mark.parametrize("iterations", [0, 1, 7])
def test_unfinished_runs_and_single_points(tmp_path, iterations):
    page = read(write_report(a_run(tmp_path, iterations).path))
    assert "unfinished" in page.text
    assert "after imitation" in page.text
    assert "nan" not in "".join(
        v or "" for n, v in page.attributes if n in ("d", "x", "y", "points")
    )


def test_a_run_that_only_has_a_config(tmp_path):
    folder = RunFolder(tmp_path)
    folder.create(preset("starpo_s"))
    page = read(write_report(tmp_path))
    for words in (
        "Nothing was evaluated yet",
        "No iteration is over",
        "No episodes",
        "no data yet",
    ):
        assert words in page.text


def test_a_last_line_that_a_kill_cut_short(tmp_path):
    folder = a_run(tmp_path, iterations=5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 6, "succ')
    assert "5" in read(write_report(folder.path)).text


def test_values_that_are_not_finite_or_not_there_leave_gaps(tmp_path):
    folder = a_run(tmp_path, iterations=3)
    folder.metrics(4, {"success": 0.5, "grad_norm": math.nan}, {"rollout": 1.0})
    folder.metrics(5, {"success": 0.5, "grad_norm": math.inf}, {})
    folder.metrics(6, {"success": 0.5, "grad_norm": 1.0}, {"rollout": 1.0})
    source = write_report(folder.path).read_text()
    assert not re.search(r'="[^"]*\b(nan|inf)\b', source)


def test_metrics_nobody_planned_a_chart_for_are_drawn_anyway(tmp_path):
    folder = a_run(tmp_path, iterations=0)
    folder.metrics(1, {"success": 0.5, "a_new_metric": 2.0}, {})
    page = read(write_report(folder.path))
    assert "a new metric" in page.text


def test_warnings_are_listed_and_marked_on_their_curve_and_on_success(tmp_path):
    folder = a_run(tmp_path, iterations=20)
    text, remedy = f"entropy is 0.01 {HOSTILE}", "raise --entropy-coef"
    seen = TrapWarning(12, "entropy_gone", "entropy", 0.01, 0.9, text, remedy, stops=True)
    folder.warning(seen, stopped=False)
    path = write_report(folder.path)
    page = read(path)
    for words in ("Signs of collapse", "entropy is 0.01", remedy):
        assert words in page.text
    assert path.read_text().count('<line class="mark"') == 2
    assert page.tags.count("script") == 1
    assert "stopped here" not in page.text
    assert "unfinished" in page.text
    folder.warning(dataclasses.replace(seen, iteration=20), stopped=True)
    page = read(write_report(folder.path))
    assert "stopped here" in page.text
    assert "stopped early" in page.text


def mixed(path: Path, iterations: int = 40, **changes) -> RunFolder:
    """A run of two environments, the second with a name that would act."""
    folder = RunFolder(path)
    folder.create(TrainConfig(run=str(path), iterations=40, envs=(HOSTILE,), **changes))
    names = ("Some-v0", HOSTILE)
    played = [dataclasses.replace(episode(1, "a"), task=n, turns=()) for n in names]
    played.append(dataclasses.replace(episode(2, "b"), task="Some-v0"))
    agents = {"random": Score(64, 12, 0.1, 9.0), "oracle": Score(64, 64, 1.0, 4.0)}
    folder.yardsticks(agents, {"Some-v0": agents, HOSTILE: {"random": agents["random"]}})
    for i in range(0, iterations + 1, 20):
        each = {"Some-v0": Score(64, 16 + i, 0.2, 8.0), HOSTILE: Score(64, 8, -0.75, 8.0)}
        folder.evaluation(i, Score(128, 24 + i, 0.2, 8.0), played, each)
    return folder


def test_several_environments_have_a_table_each(tmp_path):
    folder = mixed(tmp_path)
    rows = report.environment_rows(folder)
    assert list(rows) == ["Some-v0", HOSTILE]
    assert list(rows["Some-v0"]) == ["random", "before training", "after StarPO", "oracle"]
    assert list(rows[HOSTILE]) == ["random", "before training", "after StarPO"]
    assert rows["Some-v0"]["after StarPO"]["success"] == 56 / 64
    assert rows["Some-v0"]["after StarPO"]["turns"] == 0.5
    page = read(write_report(folder.path))
    for words in ("Each environment", "87.5", "-0.75", visible(HOSTILE)):
        assert words in page.text
    assert "img" not in page.tags


def test_the_starts_of_several_environments_are_told_apart(tmp_path):
    """The same seed is another level in another environment: no slider goes from one to another."""
    folder = RunFolder(tmp_path)
    names = ("Some-v0", "Other-v0 size=3", "Other-v0 size=4", "Third-v0", "Fourth-v0")
    folder.create(TrainConfig(run=str(tmp_path), iterations=2, envs=names[1:]))
    whole = Score(10, 5, 0.2, 8.0)
    for i in range(3):
        played = [
            dataclasses.replace(episode(s, f"{n} at {i}"), task=n, system=f"rules of {n}")
            for s in (100, 101)
            for n in names
        ]
        folder.evaluation(i, whole, played, dict.fromkeys(names, whole))
    page = read(write_report(tmp_path))
    for name in names:
        assert page.text.count(f"{name}, level seed 100") == 1
        assert page.text.count(f"rules of {name}") == 1
    assert page.columns == [f"Iteration {i}" for i in range(3)] * len(names)


@pytest.mark.parametrize("iterations", [0, 20])
def test_environments_of_a_run_that_goes_on(tmp_path, iterations):
    rows = report.environment_rows(mixed(tmp_path, iterations, warmup_updates=5))["Some-v0"]
    assert list(rows)[1:-1] == ["after imitation", "at iteration 20"][: 1 + iterations // 20]


def test_the_best_is_named_where_it_beats_the_last(tmp_path):
    folder = a_run(tmp_path, iterations=30)
    folder.evaluation(40, Score(64, 30, 0.2, 8.0), [])
    rows = score_rows(folder)
    assert list(rows) == [
        "random",
        "after imitation",
        "best, iteration 30",
        "after StarPO",
        "oracle",
    ]
    assert rows["best, iteration 30"]["success"] == 50 / 64


def test_a_report_is_replaced_and_can_go_elsewhere(tmp_path):
    folder = a_run(tmp_path / "run", iterations=1)
    first = write_report(folder.path).read_text()
    assert write_report(folder.path).read_text() == first
    assert write_report(folder.path, tmp_path / "page.html").read_text() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "run"]


def test_what_is_no_run_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} is not a run folder"):
        write_report(tmp_path)
    for content in ("[1]", '{"model_type": "qwen3"}', "{", '{"envs": 3, "a": 1}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=f"{tmp_path} is not a run folder"):
            write_report(tmp_path)
    folder = a_run(tmp_path / "run")
    (folder.path / "evals.jsonl").write_text("not json\n{}\n")
    with pytest.raises(ValueError, match=r"evals\.jsonl, line 1"):
        write_report(folder.path)


def test_an_offline_run_counts_what_it_was_given(tmp_path):
    folder = a_run(tmp_path, iterations=0, groups=8, members=16, from_data=("somewhere",))
    for i in (1, 2):
        folder.metrics(i, {"success": 0.5, "episodes": 12.0, "tokens": 100.0}, {"update": 1.0})
    text = " ".join(read(write_report(folder.path)).text.split())
    for words in ("24 stored episodes", "200 tokens trained on", "stored episodes, running mean"):
        assert words in text
    for words in ("8 × 16", "rollouts an iteration", "tokens sampled"):
        assert words not in text


def test_a_run_that_did_not_count_its_episodes_is_told_by_its_settings(tmp_path):
    folder = a_run(tmp_path, iterations=5, groups=3, members=4)
    assert "60 episodes" in read(write_report(folder.path)).text


def test_evaluations_are_thinned_where_there_are_many_or_long_ones(tmp_path):
    folder = a_run(tmp_path / "many", iterations=40, every=1)
    page = read(write_report(folder.path))
    assert page.tags.count("template") == 2 * (report.EVALUATIONS - report.COLUMNS)
    assert page.columns[:3] == ["Iteration 0", "Iteration 20", "Iteration 40"]
    folder = a_run(tmp_path / "long", iterations=0)
    for i in range(10, 100, 10):
        long = [episode(s, "word " * 80_000) for s in (100, 101)]
        folder.evaluation(i, Score(4, 1, 0.0, 3.0), long)
    path = write_report(folder.path)
    page = read(path)
    assert page.columns == ["Iteration 0", "Iteration 40", "Iteration 90"] * 2
    assert "template" not in page.tags
    assert path.stat().st_size < report.SAMPLE_CHARACTERS


@pytest.mark.parametrize("written", ["{", "3", ""])
def test_damaged_yardsticks_are_named(tmp_path, written):
    folder = a_run(tmp_path / "run", iterations=2)
    (folder.path / "yardsticks.json").write_text(written)
    with pytest.raises(ValueError, match=r"yardsticks\.json is damaged .* remove it"):
        write_report(folder.path)
    (folder.path / "yardsticks.json").unlink()
    assert write_report(folder.path).exists()


def test_settings_show_every_field_with_its_help(tmp_path):
    page = read(write_report(a_run(tmp_path).path))
    for name in json.loads((tmp_path / "config.json").read_text()):
        assert name in page.text
    assert ("title", "Width of a tiny model.") in page.attributes


def test_visible_keeps_text_and_replaces_what_would_act():
    assert visible("a√b\nc d") == "a√b\nc d"
    assert visible("\x1b[31m\x07\u202e\ud800\t\r") == "\ufffd[31m" + "\ufffd" * 5
