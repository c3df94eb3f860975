"""FrozenLake once more, slow and on its own: maps as lists of strings, and plain loops."""

from collections import defaultdict

from hypothesis import strategies as st

from text_envs.games.frozen_lake import DISCOUNT, MOVES, FrozenLakeState

STEPS = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}
SIDES = {
    "left": ("up", "down"),
    "right": ("up", "down"),
    "up": ("left", "right"),
    "down": ("left", "right"),
}


@st.composite
def lakes(draw, max_side=5):
    """Any board at all with one goal, solvable or not, and the player on ice."""
    rows, cols = draw(st.integers(1, max_side)), draw(st.integers(2, max_side))
    cells = draw(st.lists(st.sampled_from("FFFH"), min_size=rows * cols, max_size=rows * cols))
    start, goal = draw(st.permutations(range(rows * cols)).map(lambda p: p[:2]))
    cells[start], cells[goal] = "S", "G"
    return ["".join(cells[r * cols : (r + 1) * cols]) for r in range(rows)]


def state_of(lake):
    board = "\n".join(lake)
    codes = board.replace("S", "_").replace("F", "_").replace("H", "O").encode()
    return FrozenLakeState(codes, len(lake[0]) + 1, board.index("S"))


def at(lake, row, col):
    """The state with the player at a place, terminal or not."""
    return state_of(lake)._replace(player=row * (len(lake[0]) + 1) + col)


def stepped(lake, place, move):
    """Where a move ends that goes where it was meant: (place, reward, done)."""
    row, col = place[0] + STEPS[move][0], place[1] + STEPS[move][1]
    if not (0 <= row < len(lake) and 0 <= col < len(lake[0])):
        row, col = place
    return (row, col), float(lake[row][col] == "G"), lake[row][col] in "GH"


def branches(move, success_rate):
    aside = (1 - success_rate) / 2
    return [(success_rate, move), *((aside, side) for side in SIDES[move])]


def breadth_first(lake):
    """Moves from S to G by a plain search, or None."""
    start = next((r, row.index("S")) for r, row in enumerate(lake) if "S" in row)
    distance, queue = {start: 0}, [start]
    for place in queue:
        if lake[place[0]][place[1]] == "G":
            return distance[place]
        for move in MOVES:
            after, _, _ = stepped(lake, place, move)
            if after not in distance and lake[after[0]][after[1]] != "H":
                distance[after] = distance[place] + 1
                queue.append(after)
    return None


def slow_values(lake, success_rate, sweeps=800):
    """Value iteration in place, a dictionary and a loop for every sum."""
    value = defaultdict(float)
    places = [(r, c) for r, row in enumerate(lake) for c, cell in enumerate(row) if cell in "SF"]
    for _ in range(sweeps):
        for place in places:
            value[place] = max(slow_q(lake, value, place, success_rate).values())
    return value


def slow_q(lake, value, place, success_rate):
    return {
        move: sum(
            chance * (reward + (0 if done else DISCOUNT * value[after]))
            for chance, direction in branches(move, success_rate)
            for after, reward, done in [stepped(lake, place, direction)]
        )
        for move in MOVES
    }
