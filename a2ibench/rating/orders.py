"""In which order a rater sees the items: balanced over raters, and a pure function of the study and a number."""

from collections.abc import Sequence
from math import ceil

from a2ibench.rating.study import Item, Study, picked, shuffled

ORDERS_AT_LEAST = 32


def balanced_square(n: int) -> list[list[int]]:
    """Build Williams' balanced Latin square: n columns; n rows for an even n (and for 1), 2n for an odd one.

    Over the rows each treatment stands equally often at each place, and comes directly after each other one
    equally often, so that neither tiredness nor the neighbour favours one. Source: E. J. Williams (1949),
    Experimental designs balanced for the estimation of residual effects of treatments.
    """
    zigzag = [(place + 1) // 2 if place % 2 else -place // 2 for place in range(n)]
    rows = [[(row + step) % n for step in zigzag] for row in range(n)]
    return rows if n % 2 == 0 or n == 1 else rows + [row[::-1] for row in rows]


def orders(study: Study) -> list[list[int]]:
    """Give all orders, each a permutation of the places in ``study.items``; rater n has the n-th, modulo their number.

    The main items come in blocks in which each clip stands once, so one clip's outputs lie far apart. Which of
    a clip's outputs stands in which block is a row of the balanced square. The controls stand anywhere, a repeat
    anywhere at least a third of the study from its original, drawn separately for each order: a place in many orders
    then tells little of what kind an item is. Neither stands beside another item of its clip where that can be.
    Which row and which column is whose follows from the study's salt.
    """
    cycle = _cycle(study)
    return [_order(study, number) for number in range(cycle * ceil(ORDERS_AT_LEAST / cycle))]


def mirrored(study: Study, number: int) -> bool:
    """Whether the rater with this order sees the first output of each pair on the right."""
    return study.design == "pairwise" and number % 2 == 1


def _groups(study: Study) -> list[list[int]]:
    """For each clip the places of its main items; by treatment (a method, or a pair of them), in one order for all."""
    clips: dict[str, list[int]] = {}
    for place, item in enumerate(study.items):
        if item.kind == "main":
            clips.setdefault(item.clip_id, []).append(place)
    treatments = sorted({tuple(sorted(item.methods)) for item in study.items if item.kind == "main"})
    turn = shuffled(treatments, study.salt, "treatments")
    return [
        sorted(places, key=lambda p: turn.index(tuple(sorted(study.items[p].methods))))
        for places in shuffled([places for _, places in sorted(clips.items())], study.salt, "rows")
    ]


def _cycle(study: Study) -> int:
    rows = len(balanced_square(len(_groups(study)[0])))
    # In pairs two neighbouring raters share a row and have their sides exchanged.
    return rows * (2 if study.design == "pairwise" else 1)


def _order(study: Study, number: int) -> list[int]:
    groups = _groups(study)
    square = balanced_square(len(groups[0]))
    row = number // 2 if study.design == "pairwise" else number
    key = (study.salt, study.seed, number)
    clips = shuffled(range(len(groups)), *key, "clips")
    half = (len(clips) + 1) // 2
    found: list[int] = []
    for block in range(len(groups[0])):
        # Halves keep to themselves: so a clip comes back after at least half a block.
        parts = (clips[:half], clips[half:])
        turn = [c for i, part in enumerate(parts) for c in shuffled(part, *key, "block", block, i)]
        found += [groups[clip][square[(row + clip) % len(square)][block]] for clip in turn]
    kinds = {kind: [p for p, item in enumerate(study.items) if item.kind == kind] for kind in ("repeat", "control")}
    for place in shuffled(kinds["control"], *key, "controls"):
        _insert(found, place, range(len(found) + 1), study.items, *key, "control", place)
    places = {item.item: place for place, item in enumerate(study.items)}
    least = ceil((len(found) + len(kinds["repeat"])) / 3)
    for place in shuffled(kinds["repeat"], *key, "repeats"):
        original = found.index(places[str(study.items[place].repeat_of)])
        away = {gap: original + 1 - gap if gap <= original else gap - original for gap in range(len(found) + 1)}
        far = [gap for gap in away if away[gap] >= least] or [max(away, key=away.__getitem__)]
        _insert(found, place, far, study.items, *key, "repeat", place)
    return found


def _insert(order: list[int], place: int, gaps: Sequence[int], items: Sequence[Item], *salt: object) -> None:
    """Insert an item into any of the gaps, where that can be without a neighbour of the same clip."""
    clip = items[place].clip_id
    free = [gap for gap in gaps if all(items[p].clip_id != clip for p in order[max(0, gap - 1) : gap + 1])] or gaps
    order.insert(free[picked(len(free), *salt)], place)
