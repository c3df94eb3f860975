"""The catalogue says what the games say, and docstrings become the Markdown that they mean."""

import json
from pathlib import Path

import numpy as np
import pytest

from text_envs import ENV_IDS, baselines, catalogue, png
from text_envs.__main__ import main
from text_envs.markdown import fenced, from_rst, inline, read_manual, table

LAKE = "TextFrozenLake-v0"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A catalogue of its own, just written."""
    pytest.importorskip("pygame")
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "environments.md")
    monkeypatch.setattr(catalogue, "PICTURES", tmp_path / "pictures")
    monkeypatch.setattr(catalogue, "README", tmp_path / "README.md")
    catalogue.README.write_text("before\n<!-- environments -->\n<!-- end -->\nafter\n")
    monkeypatch.setattr(catalogue, "ENV_IDS", ("TextSokobanLarge-v0", LAKE))
    monkeypatch.setattr(baselines, "FILE", tmp_path / "baselines.json")
    argv = ["baselines", "TextSokobanLarge-v0", LAKE, "--episodes", "20"]
    assert main([*argv, "--json", str(baselines.FILE)]) == 0
    assert main(["catalogue", "--write"]) == 0
    return tmp_path


# --- the one that is shipped ---


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_every_environment_is_measured_as_it_is(env_id: str):
    """If not, run: python -m text_envs baselines ID --write."""
    entry = catalogue.current(env_id, baselines.load())
    assert entry is not None, f"run: {catalogue.MEASURE.format(env_id)}"
    assert baselines.spot_holds(env_id, entry), f"run: {catalogue.MEASURE.format(env_id)}"


def test_it_is_up_to_date():
    """If not, run what it says."""
    pytest.importorskip("pygame")
    assert catalogue.problems() == []


# --- writing and checking ---


def test_it_tells_all_of_an_environment(elsewhere: Path):
    text = (elsewhere / "environments.md").read_text(encoding="utf-8")
    for part in (
        f"| [{LAKE}](#textfrozenlake-v0) | Cross a frozen lake",
        "100 (83.9 to 100), n=20 |",
        f"## {LAKE}\n\nCross a frozen lake",
        f"![{LAKE}](pictures/{LAKE}.png)",
        "Symbols: P you, _ ice that holds",
        "Moves here: `left`, `down`, `right`, `up`.",
        "| oracle | 100 (83.9 to 100) | 1.000 (1.000 to 1.000) |",
        "| reach the goal | 1 | ends, won |",
        "| `success_rate` | `1.0` | chance that a move goes where it was meant",
        "| success_rate=1/3 | 20 |",
        "`optimal_moves` at reset",
        "`deadlocked` always (here `False`)",
        "Made with `size=8`, `boxes=2`, `max_solution=20`.",
        "An episode has at most 40 moves.",
    ):
        assert part in text
    assert catalogue.problems() == []
    assert catalogue.joined(catalogue.document(baselines.load())) == text


def test_a_second_id_of_a_game_refers_to_the_first():
    parts = catalogue.document({})
    assert "All else is as in [TextSokoban-v0](#textsokoban-v0)." in parts["TextSokobanLarge-v0"]
    assert parts["TextSokoban-v0"].count("### Manual") == 1
    assert all("not measured yet" in part for part in parts.values())


def test_the_picture_shows_the_text():
    scene = catalogue.scene_of("TextSokoban-v0")
    assert scene.moves > 0
    assert scene.observation == scene.game.text(scene.state)
    assert np.array_equal(scene.picture(), scene.inner.picture())


def test_what_is_stale_is_named(elsewhere: Path, capsys, monkeypatch):
    def check() -> str:
        capsys.readouterr()
        code = main(["catalogue", "--check"])
        out = capsys.readouterr().out.strip()
        assert code == (1 if out else 0)
        return out

    assert check() == ""
    text = catalogue.FILE.read_text(encoding="utf-8")
    catalogue.FILE.write_text(text.replace("| goes on |", "| stops |"), encoding="utf-8")
    assert f"environments.md is stale ({LAKE}): python -m text_envs catalogue --write" in check()
    catalogue.FILE.write_text(f"{text}\n## TextGone-v0\n", encoding="utf-8")
    assert "is stale (TextGone-v0)" in check()
    catalogue.FILE.unlink()
    assert check().startswith("environments.md is missing")
    catalogue.FILE.write_text(text, encoding="utf-8")

    readme = catalogue.README.read_text(encoding="utf-8")
    assert f"[{LAKE}](docs/environments.md#{LAKE.lower()})" in readme
    catalogue.README.write_text(readme.replace("| 20 |", "| 21 |"), encoding="utf-8")
    assert check() == "README.md has an old list of ids: python -m text_envs catalogue --write"
    catalogue.README.write_text(readme, encoding="utf-8")

    path = catalogue.picture_file(LAKE)
    picture = png.decode(path.read_bytes())
    path.write_bytes(png.encode(picture ^ 1))
    assert check() == ""  # no more than fonts differ
    path.write_bytes(png.encode(picture[::-1]))
    assert f"{LAKE}.png is not what is drawn now" in check()
    path.rename(path.with_name("TextGone-v0.png"))
    assert f"{LAKE}.png is missing" in check()
    assert "TextGone-v0.png is of no environment" in check()
    assert main(["catalogue", "--write"]) == 0
    assert check() == ""

    measured = json.loads(baselines.FILE.read_text())
    measured[LAKE]["random"]["spot"][0] += 1
    baselines.FILE.write_text(json.dumps(measured))
    assert f"{LAKE} was measured with other rules or levels" in check()
    measured[LAKE]["moves"] = 21
    baselines.FILE.write_text(json.dumps(measured))
    assert f"{LAKE} is not measured yet: python -m text_envs baselines {LAKE} --write" in check()
    monkeypatch.setattr(catalogue, "PICTURES", elsewhere / "environments.md")
    assert main(["catalogue", "--write"]) == 2


# --- Markdown ---


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a ``b``\nc", "a `b` c"),
        ("``a|b`` and `c`", "`a|b` and `c`"),
        ("a_b, _c, d_, 2*3 [x] <y>", r"a_b, \_c, d\_, 2\*3 \[x\] &lt;y>"),
        ("``#_OX*`` is *one*", r"`#_OX*` is \*one\*"),
        ("", ""),
    ],
)
def test_inline(text, markdown):
    assert inline(text) == markdown


def test_blocks():
    docstring = """Summary.

    One
    paragraph::

        indented  text
          stays

    - a
    - b
      goes on ``x``
    1. c

    ===  =====
    a    b
    ===  =====
    1    long, longer than its rule
         and on
    2
    ===  =====

    ==  ==
    x   y
    ==  ==

    | p | q |
    |---|---|
    | 1 | ``2`` |
    """
    assert from_rst(docstring).split("\n\n") == [
        "Summary.",
        "One paragraph:",
        "```text\nindented  text\n  stays\n```",
        "- a\n- b goes on `x`\n1. c",
        "| a | b |\n| --- | --- |\n| 1 | long, longer than its rule and on |\n| 2 |  |",
        "|  |  |\n| --- | --- |\n| x | y |",
        "| p | q |\n| --- | --- |\n| 1 | `2` |",
    ]


def test_a_manual_is_taken_apart():
    manual = read_manual(
        """What it
        is.

        Body ``x``.

        Args:
            size: how
                large.

                Very.
            **others: the rest: all ``a: b``.

        More.

        Last.
        """
    )
    assert manual.summary == "What it is."
    assert manual.before == "Body `x`."
    assert manual.arguments == {"size": "how large. Very.", "others": "the rest: all `a: b`."}
    assert manual.after == "More.\n\nLast."
    assert read_manual("Alone.") == ("Alone.", "", {}, "")
    assert read_manual("") == ("", "", {}, "")


def test_cells_and_fences_hold_what_would_end_them():
    assert table(["a|b"], [["c"]]) == "| a\\|b |\n| --- |\n| c |"
    assert fenced("x\n```\ny") == "````text\nx\n```\ny\n````"


# --- PNG ---


def test_png_round_trip():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    file = png.encode(picture)
    assert np.array_equal(png.decode(file), picture)
    for broken in (b"", file[:50], file[:-1], file + b"x", b"x" + file):
        with pytest.raises(ValueError, match="not a PNG file"):
            png.decode(broken)
