"""A window for ``render_mode="human"``."""

import os

import numpy as np
import pygame

_INVISIBLE = ("dummy", "offscreen")


class Window:
    """A window of its own, opened by the first picture; several can be open at once.

    It is made beside pygame's display surface, never in its place, and takes only its own closing
    out of the event queue, so a program that uses pygame itself goes on as before.

    Once the user has closed it, ``closed`` is true and further pictures are not shown.

    Args:
        fps: ``show`` waits, so that there are at most this many pictures a second; 0: no waiting.
        title: shown on the window's frame.

    ``show`` raises ``RuntimeError`` where no window can be opened, and where SDL would quietly show
    it to nobody because there is no display (unless ``SDL_VIDEODRIVER`` asks for just that).
    """

    def __init__(self, fps: float = 4, title: str = "text-envs") -> None:
        if fps < 0:
            raise ValueError(f"fps={fps} must not be negative")
        self.fps, self.title = fps, title
        self.closed = False
        self._window: pygame.Window | None = None
        self._clock = pygame.time.Clock()

    def show(self, picture: np.ndarray) -> None:
        """Show a picture, uint8 ``[H, W, 3]``. The window takes its size."""
        if self._window is not None and self._closed_by_user():
            self.close()
        if self.closed:
            return
        size = (picture.shape[1], picture.shape[0])
        if self._window is None:
            self._window = _open(self.title, size)
        elif self._window.size != size:
            self._window.size = size
        pygame.surfarray.blit_array(self._window.get_surface(), picture.swapaxes(0, 1))
        self._window.flip()
        if self.fps:
            self._clock.tick(self.fps)  # pyright: ignore[reportArgumentType] (takes a float)

    def close(self) -> None:
        """Close the window for good; closing it twice does nothing."""
        self.closed = True
        if self._window is not None:
            self._window.destroy()
            self._window = None

    def _closed_by_user(self) -> bool:
        pygame.event.pump()
        asked = pygame.event.get(pygame.WINDOWCLOSE)
        for event in asked:
            if event.window is not self._window:
                pygame.event.post(event)  # another window's
        return any(event.window is self._window for event in asked)


def _open(title: str, size: tuple[int, int]) -> pygame.Window:
    remedy = (
        "render_mode='human' needs a display. On a machine without one use"
        " render_mode='rgb_array', or set SDL_VIDEODRIVER=dummy to go through the motions"
    )
    first = not pygame.display.get_init()
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
        if driver in _INVISIBLE and os.environ.get("SDL_VIDEODRIVER") != driver:
            raise pygame.error("no display found")
        return pygame.Window(title, size)
    except pygame.error as error:
        if first:
            pygame.display.quit()
        raise RuntimeError(f"no window can be opened, {error}: {remedy}") from error
