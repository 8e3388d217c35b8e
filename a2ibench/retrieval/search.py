"""The nearest rows to queries: exact, in blocks, ties in the order of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
BLOCK = 8192
_QUERIES = 512
_SLACK = 16
_ERROR = 2e-7  # per dimension: what float32 may be off by in the product of two unit vectors, generously


@dataclass(frozen=True)
class Found:
    """What was found for one query: rows of the index, the best first, and their cosines.

    There are fewer than were asked for where the index, without what is left out, is smaller.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def nearest(
    queries: Float32,
    rows: Float32,
    k: int,
    without: Sequence[NDArray[np.int64]] | None = None,
    *,
    block: int = BLOCK,
) -> list[Found]:
    """Find the `k` rows with the largest cosine to each query.

    A score is a sum in float64 over its own two vectors alone, so neither the other queries nor the size of the blocks
    change a bit of it; equal scores stand in the order of the rows. Products in float32 only choose the candidates,
    with a margin for what they may be off by.

    Parameters
    ----------
    queries, rows
        Unit vectors ``[m, d]`` and ``[n, d]``; `rows` may be mapped from a file, and is read by blocks.
    k
        How many; more than there are gives all.
    without
        For each query the rows that are left out.
    block
        Rows at a time: memory is ``512 × block`` numbers.

    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    without = without if without is not None else [np.empty(0, np.int64)] * len(queries)
    found: list[Found] = []
    for start in range(0, len(queries), _QUERIES):
        some = slice(start, start + _QUERIES)
        found += _nearest(queries[some], rows, k, without[some], block)
    return found


def _nearest(queries: Float32, rows: Float32, k: int, without: Sequence[NDArray[np.int64]], block: int) -> list[Found]:
    kept = k + _SLACK
    best = np.empty((len(queries), 0), np.float32)
    which = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(rows), block):
        scores = queries @ np.asarray(rows[start : start + block]).T
        for query, out in enumerate(without):
            inside = out[(out >= start) & (out < start + block)]
            scores[query, inside - start] = -np.inf
        if scores.shape[1] > kept:
            top = np.argpartition(scores, -kept, axis=1)[:, -kept:]
        else:
            top = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        best = np.concatenate([best, np.take_along_axis(scores, top, 1)], 1)
        which = np.concatenate([which, top + start], 1)
        if best.shape[1] > kept:
            top = np.argpartition(best, -kept, axis=1)[:, -kept:]
            best, which = np.take_along_axis(best, top, 1), np.take_along_axis(which, top, 1)
    margin = 2 * _ERROR * queries.shape[1]
    return [
        _exact(query, rows, k, which[i][np.isfinite(best[i])], best[i][np.isfinite(best[i])], without[i], margin, block)
        for i, query in enumerate(queries)
    ]


def _exact(
    query: Float32,
    rows: Float32,
    k: int,
    which: NDArray[np.int64],
    rough: Float32,
    out: NDArray[np.int64],
    margin: float,
    block: int,
) -> Found:
    """Score the candidates in float64; all rows where more than the candidates lie within the margin."""
    kth = np.sort(rough)[-min(k, len(rough))] if len(rough) and k else np.inf
    allowed = len(rows) - len(np.unique(out))
    if len(rough) < allowed and len(rough) and k and rough.min() >= kth - margin:
        which = np.setdiff1d(np.arange(len(rows)), out)
    which = np.sort(which)
    wide = query.astype(np.float64)
    parts = [
        (np.asarray(rows[which[start : start + block]], dtype=np.float64) * wide).sum(axis=-1)
        for start in range(0, len(which), block)
    ]
    scores = np.concatenate([np.empty(0, np.float64), *parts])
    order = np.argsort(-scores, kind="stable")[:k]
    return Found(which[order], scores[order])
