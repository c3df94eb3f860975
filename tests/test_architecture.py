"""The arrows between the packages, read from their sources."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUNS_TEXT = {"eval", "exec", "compile"}
GENERATORS = {"default_rng", "Generator", "SeedSequence"}
HEAVY = {"torch", "transformers", "pygame", "pettingzoo", "renderers", "starpo_plugin"}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def imports(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Every module that a file imports, at any depth, ``import_module("name")`` included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module or ''}" if node.level else node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in ("import_module", "__import__") and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def roots(path: Path) -> set[str]:
    """Top-level packages from elsewhere that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = path.relative_to(ROOT).parts[0]
    found = {name.partition(".")[0] for name in imports(tree, own)}
    return found - set(sys.stdlib_module_names) - {own}


def impurities(tree: ast.AST) -> list[str]:
    """What makes a result depend on the process, or runs text as code."""
    found = [name for name in imports(tree) if name.partition(".")[0] in ("random", "secrets")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in RUNS_TEXT | {"hash"}:
            found.append(ast.unparse(node))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np.random":
            found += [node.attr] if node.attr not in GENERATORS else []
    return found


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import torch.nn", ["torch.nn"]),
        ("def f():\n    from a.b import c, d", ["a.b.c", "a.b.d"]),
        ("from .env import X", ["text_envs.env.X"]),
        ("import importlib\nimportlib.import_module('a.b')", ["importlib", "a.b"]),
        ("import_module(name)", []),
    ],
)
def test_every_kind_of_import_is_seen(code: str, wanted: list[str]):
    assert list(imports(ast.parse(code), "text_envs")) == wanted


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "exec(x)",
        "hash('a')",
        "import random",
        "from random import choice",
        "np.random.seed(0)",
        "x = np.random.rand()",
    ],
)
def test_every_impurity_is_seen(code: str):
    assert impurities(ast.parse(code))
    assert not impurities(ast.parse("rng = np.random.default_rng(0); rng.random(); x.hash()"))


@pytest.mark.parametrize("path", sources("text_envs"), ids=lambda p: str(p.relative_to(ROOT)))
def test_text_envs_needs_numpy_and_gymnasium_only(path: Path):
    allowed = {"numpy", "gymnasium"}
    if "testing" in path.parts:
        allowed |= {"hypothesis"}
    if path == ROOT / "text_envs" / "env.py":
        allowed |= {"renderers"}
    assert roots(path) <= allowed


def test_text_envs_reaches_renderers_in_one_place():
    tree = ast.parse((ROOT / "text_envs" / "env.py").read_text(encoding="utf-8"))
    assert [name for name in imports(tree) if name.startswith("renderers")] == ["renderers"]
    eager = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [n for node in eager for n in imports(node) if n.startswith("renderers")]


@pytest.mark.parametrize("path", sources("renderers"), ids=lambda p: str(p.relative_to(ROOT)))
def test_renderers_know_no_trainer(path: Path):
    assert not roots(path) & {"starpo_plugin", "torch", "transformers"}


@pytest.mark.parametrize("path", sources("starpo_plugin"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_trainer_reaches_environments_by_id_and_chat(path: Path):
    allowed = ("text_envs", "text_envs.chat", "text_envs.agents", "text_envs.png")
    for name in imports(ast.parse(path.read_text(encoding="utf-8")), "starpo_plugin"):
        if name.partition(".")[0] == "text_envs":
            assert name in allowed or name.rpartition(".")[0] in allowed[1:], name


@pytest.mark.parametrize(
    "path", [*sources("text_envs"), *sources("renderers")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_nothing_depends_on_the_process_or_runs_text(path: Path):
    if "testing" not in path.parts:  # the laws compare hashes
        assert not impurities(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sources("text_envs/games"), ids=lambda p: p.name)
def test_games_look_at_no_clock(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {name.partition(".")[0] for name in imports(tree)} & {"time", "datetime", "uuid"}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh process has loaded after ``statement``."""
    code = f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_text_envs_is_light():
    loaded = loaded_by("import text_envs")
    assert not loaded & (HEAVY | {"hypothesis", "PIL", "moviepy", "pandas"})
    extra = loaded - loaded_by("import gymnasium, gymnasium.vector")
    assert extra <= {"text_envs", *sys.stdlib_module_names}


def test_playing_a_text_game_is_light():
    play = (
        "import gymnasium as gym, text_envs; env = gym.make('TextSokoban-v0', render_mode='ansi');"
        "env.reset(seed=0); env.step('up'); env.render(); gym.make_vec('TextSokoban-v0', 2)"
    )
    assert not loaded_by(play) & HEAVY
