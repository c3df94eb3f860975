"""The assignment problem, exactly: what SciPy's ``linear_sum_assignment`` does, without SciPy."""

import numpy as np


def assignment(gain: np.ndarray) -> np.ndarray:
    """Give each row a column of its own so that the sum of the gains is greatest.

    Successive shortest augmenting paths over reduced costs (Jonker and Volgenant 1987), in time
    n^2 m.

    Args:
        gain: float [n, m], n <= m.

    Returns:
        int [n]: the column of each row.
    """
    rows, columns = gain.shape
    cost = gain.max(initial=0.0) - gain
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    column_of, row_of = np.full(rows, -1), np.full(columns, -1)
    for row in range(rows):
        distance, came_from = np.full(columns, np.inf), np.full(columns, -1)
        done = np.zeros(columns, bool)
        here, length, column = row, 0.0, -1
        while column < 0 or row_of[column] >= 0:  # until a column is free
            here = row if column < 0 else row_of[column]
            reached = length + cost[here] - row_price[here] - column_price
            better = ~done & (reached < distance)
            distance[better], came_from[better] = reached[better], here
            column = int(np.where(done, np.inf, distance).argmin())
            length, done[column] = distance[column], True
        done[column] = False  # it had no row before
        row_price[row] += length
        row_price[row_of[done]] += length - distance[done]
        column_price[done] -= length - distance[done]
        while column >= 0:  # hand the columns on along the path
            here = came_from[column]
            row_of[column] = here
            column_of[here], column = column, column_of[here]
    return column_of
