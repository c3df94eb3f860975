"""The measured numbers as Markdown tables."""

from collections.abc import Sequence

from cases import LEVELS, PICTURES, STEPS, TASKS
from measure import Result


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; all columns but the first are numbers."""
    lines = [f"### {title}\n", f"| {' | '.join(head)} |"]
    lines.append("|---|" + "---:|" * (len(head) - 1))
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    """Write three digits, or all before the point; a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rows_of(results: Sequence[Result], keys: Sequence[str], compared: str) -> list[list[str]]:
    """Make table rows, the last column a comparison with ours of the same case and access by the
    number ``compared``: how many times as fast ours is.
    """
    rows = []
    for result in results:
        if result.problem:
            rows.append([result.name, result.problem, *[""] * len(keys)])
            continue
        own = next(r for r in results if (r.case, r.access) == (result.case, result.access))
        ratio = own.numbers.get(compared, 0.0) / result.numbers[compared]
        if compared.endswith("_ms"):
            ratio = 1 / ratio if ratio else 0.0
        written = [number(result.numbers.get(key)) for key in keys]
        rows.append([result.name, *written, "" if own is result else f"{ratio:.3g}x"])
    return rows


def report(results: dict[str, list[Result]]) -> str:
    """Write every table: what was measured (``cases`` names it) -> its results."""
    parts = [table_of_all(results["every"])]
    for title in titles(results["steps"]):
        keys = ("steps_per_s", "steps_per_s_wall", "reset_ms", "with_resets_per_s")
        chosen = [r for r in results["steps"] if r.case == title]
        rows = rows_of(chosen, keys, "steps_per_s")
        for row, result in zip(rows, chosen, strict=True):
            row[0] += f", {result.access}"
        head = ("", "steps/s", "by the wall clock", "reset, ms", "steps/s with resets", "ours is")
        parts.append(table(f"Steps: {title}", head, rows))
    for kind, what, head, keys, compared in (
        (
            "tasks",
            "Whole tasks",
            ("task, ms", "the new one, ms", "its answer, ms"),
            ("task_ms", "reset_ms", "answer_ms"),
            "task_ms",
        ),
        (
            "levels",
            "New levels",
            ("mean, ms", "median, ms", "p99, ms", "levels", "optimal moves, mean"),
            ("mean_ms", "p50_ms", "p99_ms", "levels", "optimal_moves"),
            "mean_ms",
        ),
        (
            "vectors",
            "Many games at once",
            ("steps/s by the wall clock",),
            ("steps_per_s_wall",),
            "steps_per_s_wall",
        ),
        (
            "pictures",
            "Pictures",
            ("pictures/s", "steps/s with a picture each"),
            ("pictures_per_s", "step_and_picture_per_s"),
            "step_and_picture_per_s",
        ),
    ):
        for title in titles(results[kind]):
            chosen = [r for r in results[kind] if r.case == title]
            rows = rows_of(chosen, keys, compared)
            parts.append(table(f"{what}: {title}", ("", *head, "ours is"), rows))
    return "\n".join([*parts, limits(results), reset_limits(results)])


FIVE = 5.0
CASES = {"steps": STEPS, "tasks": TASKS, "levels": LEVELS}
PARTS = {"wrappers": "Gymnasium's wrappers", "env": "`TextEnv`", "rules": "rules", "text": "text"}
COMPARED = {"steps": "steps_per_s", "tasks": "task_ms", "levels": "mean_ms"}
"""What is measured -> the number by which ours is compared."""


def limits(results: dict[str, list[Result]]) -> str:
    """Write where ours is less than five times as fast as a peer, what a step of it is spent on,
    and why.
    """
    rows = []
    why = {kind: {c.title: c.limit for c in cases} for kind, cases in CASES.items()}
    spent = {result.case: result.numbers for result in results["splits"]}
    for kind, compared in COMPARED.items():
        for title in titles(results[kind]):
            chosen = [r for r in results[kind] if r.case == title]
            rated = [(row[0], row[-1]) for row in rows_of(chosen, [compared], compared)]
            slow = [(float(x[:-1]), name) for name, x in rated if x.endswith("x")]
            factor, name = min(slow, default=(FIVE, ""))
            if factor < FIVE:
                split = spent.get(title, {}) if kind == "steps" else {}
                times = [number(split.get(f"{part}_us")) for part in ("step", *PARTS)]
                reason = why[kind][title] or "nothing but time"
                rows.append([f"{kind}: {title}", name, f"{factor:.3g}x", *times, reason])
    head = ("", "fastest peer", "ours is", "step, us", *PARTS.values(), "limit")
    return table("Where ours is less than 5x", head, rows)


def reset_limits(results: dict[str, list[Result]]) -> str:
    """Write where a reset of ours is less than five times as fast as the fastest peer's of the same
    access, and why.
    """
    rows = []
    why = {case.title: case.reset_limit for case in STEPS}
    for title in titles(results["steps"]):
        chosen = [r for r in results["steps"] if r.case == title]
        rated = rows_of(chosen, ["reset_ms"], "reset_ms")
        peers = [
            (float(row[-1][:-1]), row[0], result)
            for row, result in zip(rated, chosen, strict=True)
            if row[-1].endswith("x")
        ]
        if not peers:
            continue
        factor, name, peer = min(peers, key=lambda found: found[0])
        if factor < FIVE:
            own = find(chosen, title, peer.access)
            times = [number(1000 * n["reset_ms"]) for n in (own, peer.numbers)]
            rows.append([title, name, f"{factor:.3g}x", *times, why[title] or "nothing but time"])
    head = ("", "fastest peer", "ours is", "our reset, us", "the peer's, us", "limit")
    return table("Resets where ours is less than 5x", head, rows)


def titles(results: Sequence[Result]) -> list[str]:
    """Cases in the order in which they were measured."""
    return list(dict.fromkeys(result.case for result in results))


def table_of_all(results: Sequence[Result]) -> str:
    """Write a row for each of our environments."""
    rows = []
    for id in titles(results):
        raw, made = (find(results, id, access) for access in ("raw", "gym.make"))
        rates = (raw.get("steps_per_s"), made.get("steps_per_s"), made.get("with_resets_per_s"))
        resets = 1000 / made["reset_ms"] if "reset_ms" in made else None
        rows.append([id, *map(number, (*rates, resets))])
    head = ("", "steps/s, raw", "steps/s, `gym.make`", "steps/s with resets", "resets/s")
    return table("Every environment", head, rows)


def find(results: Sequence[Result], case: str, access: str) -> dict[str, float]:
    """Give our own numbers; none if something went wrong."""
    return next(r for r in results if (r.case, r.access) == (case, access)).numbers


def aims(results: dict[str, list[Result]]) -> str:
    """Write what TextSokoban aims at beside what was measured."""
    six, eight, ten = (case.title for case in STEPS[:3])
    made, raw = (find(results["steps"], six, access) for access in ("gym.make", "raw"))
    small, middle, large = (find(results["levels"], title, "raw") for title in (six, eight, ten))
    drawn = find(results["pictures"], PICTURES[0].title, "raw")
    rows = []
    for what, aim, value in (
        ("steps/s 6x6, raw, at least", 300_000, raw.get("steps_per_s")),
        ("steps/s 6x6, `gym.make`, at least", 150_000, made.get("steps_per_s")),
        ("level 6x6, mean ms, at most", 0.15, small.get("mean_ms")),
        ("level 8x8, mean ms, at most", 2.0, middle.get("mean_ms")),
        ("level 10x10, p99 ms, at most", 10.0, large.get("p99_ms")),
        ("pictures/s, 192x192, at least", 20_000, drawn.get("pictures_per_s")),
    ):
        met = value is not None and (value >= aim if "least" in what else value <= aim)
        rows.append([what, number(aim), number(value), "yes" if met else "no"])
    return table("TextSokoban-v0: aims", ("", "aim", "measured", "met"), rows)
