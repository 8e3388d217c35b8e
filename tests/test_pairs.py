"""One answer to "is A better than B?": the same p, interval and verdict in `compare`, on a board and in Table 1."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats as scipy_stats
from test_compare import result

from a2ibench.board.standings import Standing, _ranked
from a2ibench.errors import A2IBenchError
from a2ibench.metrics.stats import bca_interval, holm
from a2ibench.paper import table1
from a2ibench.paper.tables import footnotes
from a2ibench.results.pairs import ALPHA, NO_ERROR, Pair, alike, by_clip, by_error, of_results, set_difference
from a2ibench.show.compare import compare_results

METHODS = ("audiotoken", "imagebind", "wav2clip")  # in the paper's order by AIS
RNG = np.random.default_rng(0)
HARD = RNG.normal(50, 15, 60)
VALUES = np.stack([HARD + shift + RNG.normal(0, 6, 60) for shift in (4, 0, -1)], axis=1)

GOLDEN_SMALL = (3.5, 1.542353505415, 5.5)
GOLDEN = (
    1.688605159687,
    -0.592859115718,
    3.856869344527,
    0.13850402832,
)  # difference, low, high, p of the second against the third


def standing(score, values=None) -> Standing:
    return Standing(SimpleNamespace(values=values or {}), score)


def test_compare_boards_and_the_table_say_the_same_by_clip():
    results = [result(name, AIS=list(VALUES[:, place])) for place, name in enumerate(METHODS)]
    compared = {(c.first, c.second): c for c in compare_results(results)}
    ordered = {(o.better, o.worse): o for o in table1.orderings(table1.load_published(), results)}
    order = sorted(range(3), key=lambda place: -results[place].scores[0].value)
    tested = [standing(results[place].scores[0], {"AIS": VALUES[:, place]}) for place in order]
    ranked = _ranked("AIS", tested, 1, True)
    for (i, j), pair in of_results("AIS", results).items():
        assert (compared[i, j].difference, compared[i, j].low, compared[i, j].high) == pair[:3]
        assert compared[i, j].p_value == pair.p_value
        row = ordered[METHODS[i], METHODS[j]]
        assert (row.low, row.high, row.p_value) == pair[1:4]
        assert (row.verdict in ("agrees", "differs")) == pair.told_apart
        shared = set(ranked[order.index(i)].letters) & set(ranked[order.index(j)].letters)
        assert (not shared) == pair.told_apart
        if order[0] in (i, j):
            gap = ranked[order.index(j if order[0] == i else i)].gap
            assert gap[:4] == pytest.approx((pair.turned if order[0] == i else pair)[:4], rel=1e-9)


@pytest.mark.parametrize("errors", [(1.0, 2.0), (0.0, 2.0), (0.0, 0.0), (NO_ERROR, 0.0)])
def test_boards_and_the_table_say_the_same_by_error(errors):
    results = [result(name, fid=10.0 + 7 * place, AIS=[1.0, 2.0]) for place, name in enumerate(("sd-text", "wav2clip"))]
    scores = [r.scores[1].model_copy(update={"stderr": e}) for r, e in zip(results, errors, strict=True)]
    results = [r.model_copy(update={"scores": [s]}) for r, s in zip(results, scores, strict=True)]
    (row,) = table1.orderings(table1.load_published(), results)
    _, last = _ranked("FID", [standing(score) for score in scores], -1, False)
    pair = set_difference(10.0, errors[0], 17.0, errors[1])
    assert (row.low, row.high, row.p_value) == pair[1:4]
    assert last.gap == pair.turned
    assert (last.rank == "2") == pair.told_apart == (row.verdict == "agrees")
    if max(errors) <= NO_ERROR:
        assert pair == Pair(-7.0, -7.0, -7.0, 1.0)
    else:
        assert pair.p_value == pytest.approx(2 * scipy_stats.norm.sf(7 / sum(errors)), rel=1e-12)
        assert (pair.low, pair.high) == pytest.approx(scipy_stats.norm.interval(0.95, -7, sum(errors)), rel=1e-12)


def test_p_values_are_corrected_over_the_pairs_of_the_metric():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    values, errors = [10.0, 13.0, 17.0, 30.0], [1.0, 0.5, 1.0, 2.0]
    alone = [set_difference(values[i], errors[i], values[j], errors[j]).p_value for i, j in by_error(values, errors)]
    found = [pair.p_value for pair in by_error(values, errors).values()]
    assert found == holm(alone)
    assert found == pytest.approx(multitest.multipletests(alone, alpha=ALPHA, method="holm")[1], rel=1e-12)


def test_by_clip_agrees_with_scipy():
    a, b = VALUES[:, 1], VALUES[:, 2]
    pair = by_clip(np.stack([a, b], axis=1))[0, 1]

    def mean(x, y, axis):
        return np.mean(x - y, axis=axis)

    test = scipy_stats.permutation_test(
        (a, b), mean, permutation_type="samples", vectorized=True, n_resamples=200_000, batch=10_000,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    # Theirs is twice the smaller tail, with a standard error of 0.0011; ours has 0.0014 at most.
    assert pair.p_value == pytest.approx(test.pvalue, abs=0.005)
    theirs = scipy_stats.bootstrap(
        (a, b), mean, paired=True, vectorized=True, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (pair.low, pair.high) == pytest.approx(tuple(theirs), abs=0.06 * (theirs.high - theirs.low))


def test_turned_is_the_second_against_the_first():
    pair, turned = by_clip(VALUES[:, :2])[0, 1], by_clip(VALUES[:, 1::-1])[0, 1]
    assert pair.turned == pytest.approx(turned, rel=1e-9)
    assert by_clip(np.repeat(VALUES[:, :1], 2, axis=1))[0, 1] == Pair(0, 0, 0, 1, 0, 0, 60, 60)


def test_a_result_without_an_error_is_not_compared():
    known, bare = result("sd-text", fid=10.0, AIS=[1.0]), result("wav2clip", AIS=[1.0])
    assert of_results("FID", [known, bare]) == {}


@pytest.mark.parametrize("other", [{"signature": "v:1|clips:59/60"}, {"digest": "e"}])
def test_only_equal_signatures_and_clips_are_compared(other):
    """One row of another protocol, as where clips failed, is compared with none, and changes nothing for the others."""
    rows = [result(name, AIS=list(VALUES[:, place])) for place, name in enumerate(METHODS)]
    strange = result("audiotoken-cl", AIS=list(VALUES[:, 0] + 9), **other)
    with pytest.raises(A2IBenchError, match="audiotoken and audiotoken-cl have different signatures or clips in AIS"):
        of_results("AIS", [rows[0], strange])
    with pytest.raises(A2IBenchError):
        compare_results([rows[0], strange])
    assert alike("AIS", [strange, *rows]) == rows
    published = table1.load_published()
    assert table1.orderings(published, [strange, *rows]) == table1.orderings(published, rows) != []
    table = table1.build(published, "mini", "mini@1", [*rows, strange], [rows[0]], {})
    assert "audiotoken-cl: AIS has another signature than most rows', and is compared with none." in footnotes(table)
    assert "signature" not in " ".join(footnotes(table.model_copy(update={"results": rows})))


def test_golden_values():
    """What must not change unnoticed; the p-values by hand: 2 of 2^n sign vectors, and 2 Phi(-7/3)."""
    pair = by_clip(np.array([[3.0, 1.0], [5.0, 2.0], [4.0, 3.0], [9.0, 4.0], [8.0, 4.0], [7.0, 1.0]]))[0, 1]
    assert pair.p_value == 2 / 2**6
    assert (pair.difference, pair.low, pair.high) == pytest.approx(GOLDEN_SMALL, rel=1e-9)
    pair = of_results("AIS", [result(name, AIS=list(VALUES[:, place])) for place, name in enumerate(METHODS)])[1, 2]
    assert pair[:4] == pytest.approx(GOLDEN, rel=1e-9)
    assert set_difference(10.0, 1.0, 17.0, 2.0)[:4] == pytest.approx((-7, -12.879892, -1.120108, 0.0196308), abs=1e-6)


def test_draws_that_are_the_mean_but_for_rounding_count_one_half():
    values = np.tile([0.0, 0.1, 0.2], 20)
    rng = np.random.default_rng(0)
    drawn = rng.choice(values, (2_000, 60)).mean(axis=1)
    mean = values.mean()
    on_it = np.abs(drawn - mean) < 1e-12
    assert on_it.sum() > 20
    ends = [bca_interval(np.where(on_it, mean + off, drawn), values) for off in (-1e-16, 0.0, 1e-16)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-14)
    assert ends[2] == pytest.approx(ends[1], abs=1e-14)


def test_the_level_is_written_once():
    root = Path(table1.__file__).parents[1]
    sources = [
        file.read_text(encoding="utf-8") for file in (*root.rglob("*.py"), *(root.parent / "metrics").glob("*.py"))
    ]
    for name in ("ALPHA = ", "SIGNIFICANT = ", "FloatArray = NDArray"):
        assert sum(f"\n{name}" in text for text in sources) == (name != "SIGNIFICANT = "), name
