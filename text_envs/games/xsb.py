"""XSB, the text form of Sokoban levels: reading files and collections, and writing.

``#`` wall, blank, ``-`` or ``_`` floor, ``.`` target, ``$`` box, ``*`` box on target, ``@`` player,
``+`` player on target. A level is a run of lines that begin with a wall (after blanks) or are made
of these characters alone; what lies between levels (blank lines, titles, comments, which in most
collections begin with ``;``) is not read. Described at http://www.sokobano.de/wiki/index.php?title=Level_format.
"""

from typing import NamedTuple

FLOOR = " -_"
PLAYERS = "@+"
BOXES = "$*"
TARGETS = ".*+"
CELLS = frozenset("#" + FLOOR + PLAYERS + BOXES + TARGETS)

Place = tuple[int, int]
"""Row and column."""


class XsbLevel(NamedTuple):
    """A valid level: what the player can get at, and walls around it."""

    name: str
    """Where it was read: ``level 3 (line 27)``; lines count from 1."""
    rows: tuple[str, ...]
    """Equally long lines of ``#``, blank and ``.$*@+``."""

    def fitted(self, rows: int, cols: int) -> tuple[str, ...]:
        """Return the lines with walls added on all sides, to ``rows`` x ``cols``. Raises
        ``ValueError`` where the level is larger than that.
        """
        height, width = len(self.rows), len(self.rows[0])
        if height > rows or width > cols:
            raise ValueError(
                f"{self.name} has {height} rows and {width} columns, this game's board has {rows}"
                f" and {cols}: make the environment with rows={max(height, rows)},"
                f" cols={max(width, cols)}"
            )
        above, left = (rows - height) // 2, (cols - width) // 2
        lines = [row.rjust(left + width, "#").ljust(cols, "#") for row in self.rows]
        below = rows - height - above
        return ("#" * cols,) * above + tuple(lines) + ("#" * cols,) * below


def read(text: str) -> list[XsbLevel]:
    """Read every level in ``text``. Raises ``ValueError`` that says which level is at fault, by
    number and first line, and what the fault is.
    """
    levels: list[XsbLevel] = []
    block: list[str] = []
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    for number, line in enumerate([*lines, ""], 1):
        if _belongs_to_level(line, bool(block)):
            block.append(line.rstrip())
        elif block:
            name = f"level {len(levels) + 1} (line {number - len(block)})"
            levels.append(XsbLevel(name, _checked(name, block)))
            block = []
    return levels


def _belongs_to_level(line: str, inside: bool) -> bool:
    line = line.strip()
    start = line.lstrip(FLOOR)[:1]
    if not start:
        return False  # floor that no wall closes off: a blank line, or a rule of dashes
    return start == "#" or CELLS.issuperset(line) or (inside and line[-1] == "#")


def _checked(name: str, block: list[str]) -> tuple[str, ...]:
    """Return a level's lines, cropped to its walls, with walls for all that the player can't get
    at.
    """
    grid = _grid(name, block)
    player = _only_player(name, list(grid.values()))
    inside = _inside(name, next(place for place, cell in grid.items() if cell == player), grid)
    for place, cell in grid.items():
        if cell in "$." and place not in inside:
            raise ValueError(
                f"{name}: the {'box' if cell == '$' else 'target'} in {_in_words(place)} is walled"
                " off from the player"
            )
    walls = [place for place, cell in grid.items() if cell == "#"]
    rows = range(min(r for r, _ in walls), max(r for r, _ in walls) + 1)
    cols = range(min(c for _, c in walls), max(c for _, c in walls) + 1)
    return tuple(
        "".join(grid[row, col] if (row, col) in inside else "#" for col in cols) for row in rows
    )


def _grid(name: str, block: list[str]) -> dict[Place, str]:
    grid = {}
    for row, line in enumerate(block):
        for col, cell in enumerate(line):
            if cell not in CELLS:
                raise ValueError(
                    f"{name}: {cell!r} in {_in_words((row, col))} is none of the characters"
                    " '#', ' ', '-', '_', '.', '$', '*', '@', '+' (comments begin with ';')"
                )
            grid[row, col] = " " if cell in FLOOR else cell
    return grid


def _only_player(name: str, cells: list[str]) -> str:
    """Return the player's character. Raises ``ValueError`` for numbers of players, boxes or targets
    that make no game.
    """
    players, boxes, targets = (
        [cell for cell in cells if cell in kind] for kind in (PLAYERS, BOXES, TARGETS)
    )
    if not players:
        raise ValueError(f"{name} has no player ('@', or '+' on a target)")
    if len(players) > 1:
        raise ValueError(f"{name} has {len(players)} players; it needs one")
    if not boxes:
        raise ValueError(f"{name} has no box ('$', or '*' on a target)")
    if len(boxes) != len(targets):
        raise ValueError(
            f"{name} has {len(boxes)} boxes and {len(targets)} targets; it needs as many of both"
        )
    if "$" not in boxes:
        raise ValueError(f"{name} is solved already: every box is on a target")
    return players[0]


def _inside(name: str, player: Place, grid: dict[Place, str]) -> set[Place]:
    """Return the cells that the player could get at if there were no boxes."""
    inside, todo = {player}, [player]
    while todo:
        row, col = todo.pop()
        for place in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if place not in grid:
                raise ValueError(
                    f"{name} has an open border: the player can leave it from"
                    f" {_in_words((row, col))}; close it with walls ('#')"
                )
            if grid[place] != "#" and place not in inside:
                inside.add(place)
                todo.append(place)
    return inside


def _in_words(place: Place) -> str:
    return f"its row {place[0] + 1}, column {place[1] + 1}"
