"""In which order a rater sees the items: balanced over raters, and a pure function of the study and a number."""

from collections.abc import Sequence
from math import ceil

from a2ibench.rating.study import Item, Study, shuffled

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

    The main items come in blocks in which each clip stands once, so one clip's images lie far apart. Which of
    a clip's images stands in which block is a row of the balanced square. A repeat stands half a study away from
    its original, the controls are spread evenly, and neither beside another item of its clip where that can be.
    """
    cycle = _cycle(study)
    return [_order(study, number) for number in range(cycle * ceil(ORDERS_AT_LEAST / cycle))]


def mirrored(study: Study, number: int) -> bool:
    """Whether the rater with this order sees the first image of each pair on the right."""
    return study.design == "pairwise" and number % 2 == 1


def _groups(study: Study) -> list[list[int]]:
    """For each clip the places of its main items; by treatment (a method, or a pair of them), in one order for all."""
    clips: dict[str, list[int]] = {}
    for place, item in enumerate(study.items):
        if item.kind == "main":
            clips.setdefault(item.clip_id, []).append(place)
    return [sorted(places, key=lambda p: sorted(study.items[p].methods)) for _, places in sorted(clips.items())]


def _cycle(study: Study) -> int:
    rows = len(balanced_square(len(_groups(study)[0])))
    # In pairs two neighbouring raters share a row and have their sides exchanged.
    return rows * (2 if study.design == "pairwise" else 1)


def _order(study: Study, number: int) -> list[int]:
    groups = _groups(study)
    square = balanced_square(len(groups[0]))
    row = number // 2 if study.design == "pairwise" else number
    clips = shuffled(range(len(groups)), study.seed, "clips", number)
    half = (len(clips) + 1) // 2
    found: list[int] = []
    for block in range(len(groups[0])):
        # Halves keep to themselves: so a clip comes back after at least half a block.
        parts = (clips[:half], clips[half:])
        turn = [c for i, part in enumerate(parts) for c in shuffled(part, study.seed, "block", number, block, i)]
        found += [groups[clip][square[(row + clip) % len(square)][block]] for clip in turn]
    main = list(found)
    kinds = {kind: [p for p, item in enumerate(study.items) if item.kind == kind] for kind in ("repeat", "control")}
    where = {study.items[place].item: index for index, place in enumerate(main)}
    wanted = [((where[str(study.items[p].repeat_of)] + len(main) // 2) % len(main), p) for p in kinds["repeat"]]
    controls = shuffled(kinds["control"], study.seed, "controls", number)
    wanted += [((2 * k + 1) * len(main) // (2 * len(controls)), p) for k, p in enumerate(controls)]
    for target, place in sorted(wanted, reverse=True):
        _insert(found, place, target, study.items)
    return found


def _insert(order: list[int], place: int, target: int, items: Sequence[Item]) -> None:
    """Insert an item as near to `target` as can be without a neighbour of the same clip."""
    clip = items[place].clip_id
    gaps = sorted(range(len(order) + 1), key=lambda gap: (abs(gap - target), gap))
    free = [gap for gap in gaps if all(items[p].clip_id != clip for p in order[max(0, gap - 1) : gap + 1])]
    order.insert((free or gaps)[0], place)
