"""Search: against a loop in float64, with ties, exclusions, and blocks of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2ibench.retrieval import nearest


def unit(rng, n, d=16):
    rows = rng.standard_normal((n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slowly(query, rows, k, out=()):
    """By the book: every cosine in float64, sorted by score, then by row."""
    scores = [float(np.sum(query.astype(np.float64) * row.astype(np.float64))) for row in rows]
    order = sorted((row for row in range(len(rows)) if row not in set(out)), key=lambda row: (-scores[row], row))
    return order[:k], [scores[row] for row in order[:k]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(1, 60), st.integers(1, 40), st.booleans())
def test_it_is_the_loops(seed, n, k, block, coarse):
    rng = np.random.default_rng(seed)
    rows, queries = unit(rng, n), unit(rng, 3)
    if coarse:  # many ties
        rows = rows[rng.integers(max(1, n // 5), size=n)]
    out = [rng.choice(n, size=rng.integers(n + 1), replace=False) for _ in queries]
    for query, without, hits in zip(queries, out, nearest(queries, rows, k, out, block=block), strict=True):
        wanted, scores = slowly(query, rows, k, without)
        assert hits.rows.tolist() == wanted
        np.testing.assert_allclose(hits.scores, scores, atol=1e-12)


def test_ties_beyond_every_slack_stand_in_the_order_of_the_rows():
    rng = np.random.default_rng(0)
    rows = np.repeat(unit(rng, 3), 200, axis=0)[rng.permutation(600)]
    query = unit(rng, 1)
    hits = nearest(query, rows, 50, block=64)[0]
    assert hits.rows.tolist() == slowly(query[0], rows, 50)[0]


def test_neither_the_batch_nor_the_blocks_change_a_bit():
    rng = np.random.default_rng(1)
    rows, queries = unit(rng, 3000, 64), unit(rng, 700, 64)
    whole = nearest(queries, rows, 50)
    for block in (7, 500):
        for one, other in zip(whole[:40], nearest(queries[:40], rows, 50, block=block), strict=True):
            np.testing.assert_array_equal(one.rows, other.rows)
            assert one.scores.tobytes() == other.scores.tobytes()
    alone = nearest(queries[5:6], rows, 50)[0]
    assert alone.scores.tobytes() == whole[5].scores.tobytes()


@pytest.mark.parametrize(("k", "left", "found"), [(50, 0, 4), (50, 3, 1), (50, 4, 0), (0, 0, 0)])
def test_k_above_the_index_gives_all_there_are(k, left, found):
    rng = np.random.default_rng(2)
    hits = nearest(unit(rng, 1), unit(rng, 4), k, [np.arange(left)])
    assert len(hits[0]) == found
    assert not set(hits[0].rows.tolist()) & set(range(left))
