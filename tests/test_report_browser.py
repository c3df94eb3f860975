"""The report in a real browser: what a person clicks does what it says, hostile text nothing."""

from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from browser import KEYS, Browser
from test_report import HOSTILE, a_run, with_tokens

from starpo_plugin.console import visible
from starpo_plugin.report import write_report

pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "-")

FIRST = "#turns [data-token='0']"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("run")
    return write_report(with_tokens(with_tokens(a_run(run), 10)).path)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def shown(chromium: Browser, page: Path) -> Iterator[Browser]:
    """The page, just loaded; afterwards nothing was complained of, and nothing else asked for."""
    chromium.open(page)
    yield chromium
    assert chromium.complaints() == []
    asked = [url for url in chromium.requests() if not url.startswith("data:image/png")]
    assert asked == [page.as_uri()]


def colours(shown: Browser) -> list[str]:
    return shown.run(
        "return [...document.querySelectorAll('#turns [data-token]')]"
        ".map((t) => getComputedStyle(t).backgroundColor)"
    )


def text(shown: Browser, selector: str) -> str:
    return shown.run("return document.querySelector(arguments[0]).textContent", selector)


def test_choosing_a_figure_colours_the_tokens_by_it(shown):
    seen = {}
    for mode in ("trained", "section", "advantage", "entropy", "ratio"):
        shown.click(f"input[value='{mode}']")
        seen[mode] = colours(shown)
    assert len({tuple(c) for c in seen.values()}) == len(seen)
    # advantages rise from below 0 to above it, so that no two neighbours at the ends are alike
    assert seen["advantage"][0] != seen["advantage"][-1]
    assert len(set(seen["trained"])) == 1
    assert len(set(seen["entropy"])) == 1  # none is a number
    assert not shown.run("return document.querySelector(\"input[value='value']\")")  # no critic


def test_colour_is_not_the_only_carrier(shown):
    shown.click("input[value='advantage']")
    lines = shown.run(
        "return [...document.querySelectorAll('#turns [data-token]')]"
        ".map((t) => getComputedStyle(t).textDecorationLine)"
    )
    assert (lines[0], lines[-1]) == ("underline", "none")
    told = shown.run("return document.querySelector(arguments[0]).title", FIRST)
    for words in ("token 1 of", "think", "trained", "advantage -0.5", "entropy not a number"):
        assert words in told
    assert "or less" in text(shown, "#scale")


def test_the_keyboard_goes_from_token_to_token(shown):
    shown.run("document.querySelector(arguments[0]).focus()", FIRST)
    assert "token 1 of" in text(shown, "#told")
    shown.type(FIRST, KEYS["right"])
    assert "token 2 of" in text(shown, "#told")
    shown.type("#turns [data-token='1']", KEYS["left"])
    assert "token 1 of" in text(shown, "#told")


def test_hostile_text_is_text(shown):
    assert shown.run("return document.querySelectorAll('script').length") == 2
    assert shown.run("return document.querySelectorAll('img').length") == 0
    assert shown.run("return typeof pwned") == "undefined"
    harmless = visible(HOSTILE)
    assert harmless in text(shown, "#turns .board")
    assert harmless in text(shown, ".start")
    written = shown.run(
        "return [...document.querySelectorAll('#turns [data-token]')]"
        ".map((t) => t.textContent).join('')"
    )
    assert written == visible(f"<think>{HOSTILE}</think><answer>up</answer>")
    assert "7 further tokens" in text(shown, "#turns")


def test_a_script_that_is_not_the_pages_own_does_not_run(chromium, page):
    """What would happen if some text ever came through unescaped."""
    broken = page.with_name("broken.html")
    attack = "<script>pwned = 1</script><img src=x onerror='pwned = 2'><base href='http://x/'>"
    broken.write_text(page.read_text().replace("<h2 id=", f"{attack}<h2 id=", 1))
    chromium.open(broken)
    assert chromium.run("return typeof pwned") == "undefined"
    said = " ".join(chromium.complaints())
    assert "Content Security Policy" in said
    assert chromium.run("return document.querySelector('#viewer').hidden") is False
    assert [u for u in chromium.requests() if not u.startswith(("file:", "data:"))] == []


def test_sliders_go_through_the_evaluations_of_one_start(shown):
    heading = ".start .column:nth-child(2) h4"
    assert text(shown, heading) == "Iteration 20"
    slider = ".start .column:nth-child(2) input"
    for key, wanted in (("right", 30), ("right", 40), ("left", 30), ("left", 20), ("left", 10)):
        shown.type(slider, KEYS[key])
        assert text(shown, heading) == f"Iteration {wanted}"
    assert "thought 10" in text(shown, ".start .column:nth-child(2)")
    told = shown.run("return document.querySelector(arguments[0]).ariaValueText", slider)
    assert told.startswith("Iteration 10 ✓ success")
    assert text(shown, ".start .column:nth-child(1) h4") == "Iteration 0"


def test_iterations_are_chosen_and_dark_is_another_colour(shown):
    assert shown.run("return document.querySelector('#iteration').selectedOptions[0].text") == "40"
    shown.type("#iteration", KEYS["up"])
    assert shown.run("return document.querySelector('#iteration').selectedOptions[0].text") == "10"
    light = (shown.style("body", "background-color"), colours(shown)[-1])
    shown.emulate(color_scheme="dark")
    dark = (shown.style("body", "background-color"), colours(shown)[-1])
    shown.emulate(color_scheme="light")
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_everything_that_can_be_used_has_a_name(shown):
    nameless = shown.run(
        "return [...document.querySelectorAll('input, select, button, svg, img')].filter((e) =>"
        " !(e.labels?.length || e.getAttribute('aria-label') || e.getAttribute('alt'))"
        ").map((e) => e.outerHTML.slice(0, 100))"
    )
    assert nameless == []
