import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from processes import run_python

pygame = pytest.importorskip("pygame")
renderers = pytest.importorskip("renderers")


@pytest.fixture
def dummy_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    pygame.display.quit()


def solid(height: int, width: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[1, 2] = (10, 20, 30)
    return picture


def test_window_shows_the_picture_and_follows_its_size(dummy_display):
    window = renderers.Window(fps=0)
    for size in ((40, 60), (80, 50)):
        window.show(solid(*size))
        surface = window._window.get_surface()
        assert surface.get_size() == size[::-1]
        assert tuple(surface.get_at((2, 1)))[:3] == (10, 20, 30)
    window.close()
    window.close()
    window.show(solid(4, 4))
    assert window.closed


def test_windows_leave_each_other_and_the_users_own_display_alone(dummy_display):
    pygame.display.init()
    own = pygame.display.set_mode((30, 30))
    first, second = renderers.Window(fps=0), renderers.Window(fps=0)
    first.show(solid(20, 20))
    second.show(solid(20, 20))
    pygame.event.post(pygame.event.Event(pygame.WINDOWCLOSE, window=first._window))
    pygame.event.post(pygame.event.Event(pygame.USEREVENT, word="mine"))
    second.show(solid(20, 20))
    first.show(solid(20, 20))
    assert (first.closed, second.closed) == (True, False)
    assert pygame.display.get_surface() is own
    assert [e.word for e in pygame.event.get(pygame.USEREVENT)] == ["mine"]
    second.close()


def test_window_waits_for_the_next_picture(dummy_display):
    window = renderers.Window(fps=50)
    window.show(solid(8, 8))
    start = time.perf_counter()
    for _ in range(10):
        window.show(solid(8, 8))
    assert time.perf_counter() - start > 0.15
    window.close()
    with pytest.raises(ValueError, match="fps=-1"):
        renderers.Window(fps=-1)


def test_where_no_window_opens_the_error_says_what_to_do(monkeypatch):
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(RuntimeError, match=r"needs a display.*'rgb_array'"):
        renderers.Window().show(solid(4, 4))
    assert not pygame.display.get_init()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_a_window_that_nobody_would_see_is_an_error():
    code = """
import os
for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
    os.environ.pop(name, None)
import numpy as np, renderers
try:
    renderers.Window().show(np.zeros((4, 4, 3), np.uint8))
except RuntimeError as error:
    print(error)
"""
    assert "needs a display" in run_python("-c", code).stdout


def test_human_mode_plays(dummy_display):
    env = gym.make("TextFrozenLake-v0", render_mode="human")
    inner: Any = env.unwrapped
    inner.metadata = {**inner.metadata, "render_fps": 0}
    env.reset(seed=0)
    env.step("left")
    assert inner._window is not None
    env.close()
    assert inner._window is None
