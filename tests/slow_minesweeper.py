"""Minesweeper by the book: layouts written out one by one, cells revealed one by one."""

from itertools import combinations


def around(cell: int, rows: int, cols: int) -> list[int]:
    row, col = divmod(cell, cols)
    return [
        r * cols + c
        for r in range(rows)
        for c in range(cols)
        if max(abs(r - row), abs(c - col)) == 1
    ]


def count(cell: int, mines: set[int], rows: int, cols: int) -> int:
    return sum(near in mines for near in around(cell, rows, cols))


def layouts(view: bytes, rows: int, cols: int, mines: int) -> list[set[int]]:
    """Every layout that agrees with what is shown."""
    unknown = [cell for cell, code in enumerate(view) if code in b"#F"]
    shown = [(cell, code - ord("0")) for cell, code in enumerate(view) if code not in b"#F"]
    return [
        set(layout)
        for layout in combinations(unknown, mines)
        if all(count(cell, set(layout), rows, cols) == number for cell, number in shown)
    ]


def revealed(view: bytes, mines: set[int], cell: int, rows: int, cols: int) -> bytes:
    """What is seen after a safe cell is revealed: by recursion, a cell at a time."""
    number = count(cell, mines, rows, cols)
    view = view[:cell] + str(number).encode() + view[cell + 1 :]
    if number == 0:
        for near in around(cell, rows, cols):
            if view[near] == ord("#"):
                view = revealed(view, mines, near, rows, cols)
    return view
