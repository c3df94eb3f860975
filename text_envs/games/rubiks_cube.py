"""Rubik's cube, 2x2x2: turn faces until each has one colour.

==================  ======  =========
event               reward  game
==================  ======  =========
the cube is solved  1       ends, won
any other move      0       goes on
==================  ======  =========

A move is a quarter turn of a face, in the notation of David Singmaster. The stickers' order in a
level is that of Herbert Kociemba's solvers; where turns take them is worked out in space, in
``rubiks_cube_turns``.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome, blocks
from text_envs.games.rubiks_cube_search import solution
from text_envs.games.rubiks_cube_turns import (
    CORNERS,
    FACE_NAMES,
    SOLVED,
    SOLVED_CUBES,
    TURNS,
    turned,
)

MOVES = tuple(TURNS)
COLORS = "WRGYOB"
"""In the order of the faces that have them when the cube is solved: white up, red right, green
front, yellow down, orange left, blue back.
"""
MAX_SCRAMBLE = 100

_SPELLINGS = {
    spelling: move
    for move in MOVES
    for cased in (move, move.lower())
    for spelling in (cased, cased.replace("'", "’"))
}
_NET = (
    "        Up\n"
    "        0 1\n"
    "        2 3\n"
    "Left    Front   Right   Back\n"
    "16 17     8 9     4 5     20 21\n"
    "18 19     10 11     6 7     22 23\n"
    "        Down\n"
    "        12 13\n"
    "        14 15"
)


class RubiksCubeState(NamedTuple):
    """A cube."""

    stickers: bytes
    """A byte a sticker, in the order of ``rubiks_cube_turns``: the face that has its colour when
    the cube is solved.
    """


class RubiksCube(Game[RubiksCubeState]):
    """Turn the faces of a 2x2x2 cube until each has one colour.

    Moves: ``U``, ``R``, ``F``, ``D``, ``L``, ``B`` turn the upper, right, front, lower, left and
    back face a quarter turn clockwise, as seen by who looks at that face; ``U'`` and so on turn it
    counter-clockwise. All are legal until the cube is solved; they are read in either case, and
    with a typographic apostrophe too. Reward 1 when the cube is solved, otherwise 0. It is solved
    when every face has one colour, whichever way it is held then: on a 2x2x2 cube, turning a face
    one way or its opposite the other way differ only in how the cube is held afterwards.

    ``info["optimal_moves"]``, at reset: the quarter turns of a shortest solution. No cube needs
    more than 14.

    Args:
        scramble: quarter turns that scramble the cube, 1 to 100. None of them undoes the one
            before, up to how the cube is held, and the cube is never solved at the start.
            A scramble's shortest solution may be shorter: after three turns of one face it is a
            single move.
        symbols: six different characters: the colours of the solved cube's upper, right, front,
            lower, left and back face.

    A level is the 24 stickers of the faces up, right, front, down, left and back, each in reading
    order as in the text, by the letters W R G Y O B, whatever the symbols; white space between them
    is ignored, and a blank line stands between two levels. ``WWWWRRRRGGGGYYYYOOOOBBBB`` would be
    the solved cube, which is refused, as is any cube that turns can't make.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextRubiksCube-v0):

    ===========  =====  ======================  ==================
    parameters   moves  random                  oracle
    ===========  =====  ======================  ==================
    default      20     1.7 (1.5 to 2.0)        100 (99.96 to 100)
    default      5      1.8 (1.5 to 2.1)        100 (99.96 to 100)
    scramble=1   20     21.2 (20.5 to 22.1)     100 (99.96 to 100)
    scramble=5   20     0.5 (0.4 to 0.6)        100 (99.96 to 100)
    scramble=20  20     0 (0 to 0.08), n=5,000  100 (99.96 to 100)
    ===========  =====  ======================  ==================
    """

    def __init__(self, scramble: int = 3, symbols: Sequence[str] = COLORS) -> None:
        if type(scramble) is not int or not 1 <= scramble <= MAX_SCRAMBLE:
            raise ValueError(
                f"scramble={scramble!r} must be a whole number from 1 to {MAX_SCRAMBLE}"
            )
        _check_symbols(symbols)
        self.scramble = scramble
        self.symbols = tuple(symbols)
        self.charset = PRINTABLE | frozenset(symbols)
        self.rules = self._rules()
        self.max_text = len(_net(SOLVED, self.symbols))

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> RubiksCubeState:
        """Scramble a solved cube."""
        while True:
            cube, choice = SOLVED, MOVES
            for draw in rng.random(self.scramble).tolist():
                move = choice[int(draw * len(choice))]
                cube, choice = turned(cube, TURNS[move]), _FOLLOWING[move]
            if cube not in SOLVED_CUBES:
                return RubiksCubeState(cube)

    def legal(self, state: RubiksCubeState) -> tuple[str, ...]:
        """All twelve moves, none once the cube is solved."""
        return () if state.stickers in SOLVED_CUBES else MOVES

    def play(
        self, state: RubiksCubeState, move: str, rng: np.random.Generator
    ) -> Outcome[RubiksCubeState]:
        """Turn a face."""
        after = RubiksCubeState(turned(state.stickers, TURNS[move]))
        if after.stickers in SOLVED_CUBES:
            return Outcome(after, 1.0, True, True, "The cube is solved.")
        return Outcome(after, 0.0)

    def text(self, state: RubiksCubeState) -> str:
        """Give the net of the cube."""
        return _net(state.stickers, self.symbols)

    def parse(self, state: RubiksCubeState, text: str) -> str | None:
        """Read a move in either case, with white space around it and either apostrophe."""
        return None if state.stickers in SOLVED_CUBES else _SPELLINGS.get(text.strip())

    def facts(self, state: RubiksCubeState) -> dict[str, Any]:
        """Give the four stickers of every face, in reading order: ``up``, ``right``, ``front``,
        ``down``, ``left``, ``back``.
        """
        colors = "".join([self.symbols[color] for color in state.stickers])
        return {name: colors[4 * i : 4 * i + 4] for i, name in enumerate(FACE_NAMES)}

    def start_info(self, state: RubiksCubeState) -> dict[str, Any]:
        """Give ``optimal_moves``: the number of quarter turns of a shortest solution."""
        return {"optimal_moves": len(solution(state.stickers))}

    def solve(self, state: RubiksCubeState) -> list[str] | None:
        """Give a shortest solution; ``None`` once the cube is solved."""
        return solution(state.stickers) or None

    # --- levels ---

    def level(self, state: RubiksCubeState) -> str:
        """Write the 24 stickers."""
        return "".join([COLORS[color] for color in state.stickers])

    def levels(self, text: str) -> list[RubiksCubeState]:
        """Read cubes, separated by blank lines."""
        return [_read(number, "".join(lines)) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    def _rules(self) -> str:
        names = [f"{name} {face}" for name, face in zip("URFDLB", FACE_NAMES, strict=True)]
        turns = "a quarter turn" if self.scramble == 1 else f"{self.scramble} quarter turns"
        return (
            f"A 2x2x2 cube was scrambled by {turns}. Turn its faces until each has one colour.\n"
            "You see its six faces unfolded: the upper face above the front, the lower one below"
            f" it. The letters {', '.join(self.symbols)} are the six colours.\n"
            f"Moves: {', '.join(MOVES)}. The letter is the face ({', '.join(names)}); it turns by a"
            " quarter, clockwise as seen by who looks at that face, with ' counter-clockwise.\n"
            "Solving the cube pays 1 and ends the game, anything else pays 0. It may be held in any"
            " way then."
        )


def _following() -> dict[str, tuple[str, ...]]:
    """Move -> those that don't undo it, up to how the cube is held."""
    return {
        move: tuple(m for m in MOVES if turned(turned(SOLVED, turn), TURNS[m]) not in SOLVED_CUBES)
        for move, turn in TURNS.items()
    }


_FOLLOWING = _following()


def _template() -> tuple[str, bytes]:
    """The net with a place to fill in for each sticker, and the stickers in the order of places."""
    words = [line.split(" ") for line in _NET.split("\n")]
    order = bytes(int(word) for line in words for word in line if word.isdigit())
    lines = [" ".join(["%s" if word.isdigit() else word for word in line]) for line in words]
    return "\n".join(lines), order


_TEMPLATE, _READING_ORDER = _template()


@lru_cache(maxsize=4096)
def _net(stickers: bytes, symbols: tuple[str, ...]) -> str:
    return _TEMPLATE % tuple([symbols[color] for color in turned(stickers, _READING_ORDER)])


def _check_symbols(symbols: Sequence[str]) -> None:
    visible = isinstance(symbols, Sequence) and [
        s for s in symbols if isinstance(s, str) and len(s) == 1 and s.isprintable() and s != " "
    ]
    if not visible or not len(symbols) == len(visible) == len(set(visible)) == 6:
        raise ValueError(
            f"symbols={symbols!r} must be six different visible characters: the colours of the"
            " upper, right, front, lower, left and back face of the solved cube"
        )


def _read(number: int, text: str) -> RubiksCubeState:
    letters = "".join(text.split())
    counts = Counter(letters)
    fault = ""
    if unknown := sorted(set(letters) - set(COLORS)):
        fault = f"has {unknown[0]!r}; stickers are written with {', '.join(COLORS)}"
    elif len(letters) != len(SOLVED):
        fault = f"has {len(letters)} stickers; a 2x2x2 cube has {len(SOLVED)}, four on every face"
    elif wrong := [f"{counts[c]} {c}" for c in COLORS if counts[c] != 4]:
        fault = f"has {', '.join(wrong)}; each of the six colours is on four stickers"
    else:
        stickers = bytes(COLORS.index(letter) for letter in letters)
        fault = _fault(stickers)
        if not fault:
            return RubiksCubeState(stickers)
    raise ValueError(f"level {number}: {fault}")


def _pieces() -> dict[tuple[int, ...], tuple[int, int]]:
    """Colours of a corner in the order of ``CORNERS`` -> which corner of the solved cube it is, and
    by how many thirds of a turn it is twisted.
    """
    pieces = {}
    for number, corner in enumerate(CORNERS):
        first, second, third = (SOLVED[sticker] for sticker in corner)
        for twist, colors in enumerate(
            [(first, second, third), (third, first, second), (second, third, first)]
        ):
            pieces[colors] = number, twist
    return pieces


_PIECES = _pieces()


def _fault(stickers: bytes) -> str:
    """Tell why no turns can make this cube, or that it is solved; empty if all is well."""
    found: dict[int, str] = {}
    twists = 0
    for corner in CORNERS:
        colors = tuple(stickers[sticker] for sticker in corner)
        place = "-".join(FACE_NAMES[sticker // 4] for sticker in corner)
        named = "-".join(COLORS[color] for color in colors)
        if colors not in _PIECES:
            if colors[::-1] in _PIECES:
                return f"is impossible: the corner {place} is {named}, the mirror image of a corner"
            return f"is impossible: the corner {place} is {named}, and no corner of a cube is"
        piece, twist = _PIECES[colors]
        if piece in found:
            return f"is impossible: the corners {found[piece]} and {place} are the same, {named}"
        found[piece] = place
        twists += twist
    if twists % 3:
        return (
            "is impossible: a corner is twisted in its place; turn one corner by"
            f" {'a third' if twists % 3 == 2 else 'two thirds'} clockwise"
        )
    return "is solved already" if stickers in SOLVED_CUBES else ""
