import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# fast: the same few cases every time. deep: other, more cases every time, in CI or when asked for.
settings.register_profile("fast", max_examples=15, deadline=None, database=None, derandomize=True)
settings.register_profile("deep", max_examples=200, deadline=None, database=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread():
    """Where others compute beside us, waiting threads make tiny models ten times slower."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def obeys_ctrl_c():
    """As in a terminal; a program that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def importable_benchmarks(monkeypatch) -> Iterator[None]:
    """Scripts of benchmarks/, which is no package, import each other by their bare names."""
    folder = str(Path(__file__).parent.parent / "benchmarks")
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if folder in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
