"""Sudoku by sets and plain backtracking: slow, and nothing in common with the solver tested."""

from itertools import product

BOX = {4: (2, 2), 6: (2, 3), 9: (3, 3)}


def free_digits(grid: list[list[int]], row: int, col: int) -> set[int]:
    """Digits that are not yet in the cell's row, column or box."""
    size = len(grid)
    high, wide = BOX[size]
    top, left = row - row % high, col - col % wide
    seen = set(grid[row]) | {line[col] for line in grid}
    seen |= {grid[top + r][left + c] for r, c in product(range(high), range(wide))}
    return set(range(1, size + 1)) - seen


def count_solutions(grid: list[list[int]], most: int = 2) -> int:
    """Ways to fill the grid, at most ``most``."""
    places = product(range(len(grid)), repeat=2)
    empty = [(row, col) for row, col in places if not grid[row][col]]
    if not empty:
        return 1
    row, col = min(empty, key=lambda at: len(free_digits(grid, *at)))
    count = 0
    for digit in free_digits(grid, row, col):
        grid[row][col] = digit
        count += count_solutions(grid, most - count)
        grid[row][col] = 0
        if count >= most:
            break
    return count


def rows_of(cells: bytes) -> list[list[int]]:
    size = {16: 4, 36: 6, 81: 9}[len(cells)]
    return [list(cells[i : i + size]) for i in range(0, len(cells), size)]


def is_solved(grid: list[list[int]]) -> bool:
    """Every row, column and box has each digit once."""
    size = len(grid)
    high, wide = BOX[size]
    boxes = [
        [grid[top + r][left + c] for r, c in product(range(high), range(wide))]
        for top, left in product(range(0, size, high), range(0, size, wide))
    ]
    columns = [list(column) for column in zip(*grid, strict=True)]
    return all(sorted(unit) == list(range(1, size + 1)) for unit in [*grid, *columns, *boxes])
