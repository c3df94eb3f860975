"""What a user installs, and what the documents say of it, agree. Nothing is built or fetched."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
MAX_LINES = 420

# \W stands for the dots, so that this file is not found by its own patterns
FOREIGN = {
    "a registry's host": r"\b(pypi|pythonhosted|npmjs|debian)\W(org|com)\b|download\Wpytorch\Worg",
    "a path of one machine": r"(?<![\w.])/(work|root|opt|home/\w+|Users/\w+)/",
}


def name_of(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found, requirement
    return found[0].lower()


def git(*arguments: str) -> list[str]:
    """File names that git lists."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z", *arguments], cwd=ROOT, capture_output=True, check=True
    )
    return [name for name in done.stdout.decode().split("\0") if name and (ROOT / name).exists()]


def tracked_texts() -> dict[str, str]:
    texts = {}
    for name in git():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            texts[name] = content.decode("utf-8")
    return texts


def test_a_plain_install_brings_gymnasium_and_numpy_only():
    assert {name_of(r) for r in PROJECT["dependencies"]} == {"gymnasium", "numpy"}


def test_extras():
    assert {"render", "multi", "starpo", "testing", "benchmarks", "dev", "all"} <= set(EXTRAS)
    (everything,) = EXTRAS["all"]
    listed = re.fullmatch(r"text-envs\[(.*)\]", everything)
    assert listed
    # tools of developers, peers with pins of their own, and trackers of which a person has one, if
    # any, are no part of "all"
    apart = {"all", "dev", "testing", "benchmarks", "benchmarks-train", "wandb", "trackio"}
    assert set(listed[1].split(",")) == set(EXTRAS) - apart
    assert "text-envs[testing]" in EXTRAS["dev"]


def test_torch_is_not_pinned():
    (torch,) = [r for r in EXTRAS["starpo"] if name_of(r) == "torch"]
    assert "==" not in torch
    assert "<" not in torch


def test_extras_that_texts_name_exist():
    for name, text in tracked_texts().items():
        for listed in re.findall(r"text-envs\[([\w,]+)\]", text):
            assert set(listed.split(",")) <= set(EXTRAS), f"{name}: text-envs[{listed}]"


def make_calls(text: str) -> set[str]:
    """Targets of ``make`` in back quotes, or on a line of its own."""
    found = re.findall(r"`make ([a-z-]+)|^[ $]*make ([a-z-]+)(?: [A-Z]+=.*)?$", text, re.MULTILINE)
    return {quoted or alone for quoted, alone in found}


def test_make_targets_that_texts_name_exist():
    assert {"demo", "test", "lint", "format", "types", "bench", "clean", "help"} <= TARGETS
    assert make_calls('a `make one`\n    make two TORCH="x"\nmake sense of it') == {"one", "two"}
    for name, text in tracked_texts().items():
        if name.endswith(".md") or name == ".ci/run":
            assert make_calls(text) <= TARGETS, name


def test_ci_runs_what_a_user_runs():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").rstrip().endswith("\nmake test")


def test_one_version():
    version = PROJECT["version"]
    assert version in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = {}
    for package in PACKAGES:
        source = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
        for stated in re.findall(r'^__version__ = "(.*)"$', source, re.MULTILINE):
            found[package] = stated
    assert "text_envs" in found
    assert set(found.values()) == {version}


def test_one_oldest_python():
    assert PROJECT["requires-python"] == ">=3.11"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert PYPROJECT["tool"]["pyright"]["pythonVersion"] == "3.11"
    assert "sys.version_info < (3, 11)" in MAKEFILE


def test_types_are_shipped():
    assert "Typing :: Typed" in PROJECT["classifiers"]
    for package in PACKAGES:
        assert (ROOT / package / "__init__.py").is_file()
        assert (ROOT / package / "py.typed").is_file()


def test_nothing_shipped_is_ignored():
    """The build leaves out what git ignores: a tracked file that is ignored would be missing."""
    assert git("--cached", "--ignored", "--exclude-standard") == []


def test_console_scripts_lead_somewhere():
    for target in PROJECT["scripts"].values():
        module, _, function = target.partition(":")
        path = ROOT / (module.replace(".", "/") + ".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, target


def test_hooks_need_no_network():
    config = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"repo: (\S+)", config)) == {"local"}


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_names(what: str):
    pattern = re.compile(FOREIGN[what])
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked_texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{what}: {found}"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a registry's host", "see https://" + "pypi" + ".org/project/x"),
        ("a path of one machine", "cd /" + "work/x"),
        ("a path of one machine", "'/" + "home/me/x'"),
    ],
)
def test_patterns_find_what_they_are_for(what: str, text: str):
    assert re.search(FOREIGN[what], text)


def test_every_source_file_is_read_in_one_sitting():
    kinds = (".py", ".jinja", ".js", ".css")
    sources = {n: t for n, t in tracked_texts().items() if n.endswith(kinds)}
    lengths = {name: text.count("\n") for name, text in sources.items()}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}
