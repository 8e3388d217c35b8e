"""Comparing two results: only like with like, paired, corrected, and in the right direction."""

import json

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.stats import holm, paired_difference
from a2ibench.results import Clips, Provenance, Result, Score
from a2ibench.show.compare import compare_results, comparison_report

PROVENANCE = Provenance(
    a2ibench="0", python="3", platform="x", packages={}, device="cpu", threads=1, created="2026-01-01T00:00:00Z",
    seconds={},
)  # fmt: skip


def result(method, digest="d", signature="v:1", lower_is_better=(), fid=None, **metrics):
    """A result of these per-clip values, one list per metric; NaN stands for nothing to compare with."""
    scores, items = [], {}
    for metric, values in metrics.items():
        kept = [value for value in values if not np.isnan(value)]
        scores.append(
            Score(
                metric=metric,
                value=sum(kept) / len(kept),
                low=min(kept),
                high=max(kept),
                n=len(kept),
                higher_is_better=metric not in lower_is_better,
                unit="%",
                signature=f"{metric}|{signature}",
            )
        )
        for index, value in enumerate(values):
            items.setdefault(f"c{index:02d}", {})[metric] = None if np.isnan(value) else value
    if fid is not None:
        scores.append(
            Score(metric="FID", value=fid, stderr=1.0, n=9, higher_is_better=False, unit="", signature="FID|v:1")
        )
    return Result(
        method=method,
        suite="mini@1",
        clips=Clips(name="mini", n=len(items), digest=digest),
        scores=scores,
        items=items,
        labels=dict.fromkeys(items, "frog croaking"),
        provenance=PROVENANCE,
    )


def test_difference_is_a_minus_b_paired_by_clip():
    first, second = [90.0, 80.0, 70.0, 60.0, 50.0], [80.0, 80.0, 75.0, 30.0, 20.0]
    (found,) = compare_results([result("a", AIS=first), result("b", AIS=second)])
    assert (found.metric, found.n, found.wins, found.losses, found.ties) == ("AIS", 5, 3, 1, 1)
    assert found.difference == pytest.approx(13.0)
    assert (found.a, found.b) == (70.0, 57.0)
    assert found.low <= 13.0 <= found.high
    assert found.signature == "AIS|v:1"
    turned = compare_results([result("b", AIS=second), result("a", AIS=first)])[0]
    assert turned.difference == pytest.approx(-13.0)
    assert (turned.wins, turned.losses) == (1, 3)
    assert turned.p_value == found.p_value


def test_different_clips_are_refused():
    with pytest.raises(A2IBenchError, match="different clips"):
        compare_results([result("a", AIS=[1.0, 2.0]), result("b", digest="e", AIS=[1.0, 2.0])])


def test_differing_signatures_are_never_compared():
    first = result("a", AIS=[1.0, 2.0], IIS=[1.0, 2.0])
    with pytest.raises(A2IBenchError, match="no metric with the same signature"):
        compare_results([first, result("b", signature="v:2", AIS=[1.0, 2.0], IIS=[1.0, 2.0])])
    half = result("b", AIS=[3.0, 2.0])
    assert [c.metric for c in compare_results([first, half])] == ["AIS"]


def test_a_metric_that_is_not_in_both_is_refused_by_name():
    first, second = result("a", AIS=[1.0, 2.0], IIS=[1.0, 2.0]), result("b", AIS=[1.0, 2.0])
    with pytest.raises(A2IBenchError, match="AIS"):
        compare_results([first, second], ["IIS"])
    assert len(compare_results([first, second], ["AIS"])) == 1


def test_statistics_of_whole_sets_are_compared_by_their_errors_as_on_a_board():
    from a2ibench.results.pairs import set_difference

    first, second = result("a", fid=50.0, AIS=[1.0, 2.0]), result("b", fid=60.0, AIS=[2.0, 2.0])
    assert [c.metric for c in compare_results([first, second])] == ["AIS", "FID"]
    (found,) = compare_results([first, second], ["FID"])
    told = set_difference(50.0, 1.0, 60.0, 1.0)
    assert (found.difference, found.low, found.high, found.p_value) == told[:4]
    assert (found.wins, found.losses, found.ties, found.n, found.clips_needed) == (0, 0, 0, 0, None)
    assert not found.higher_is_better


def test_a_score_with_neither_values_per_clip_nor_an_error_is_left_out():
    plain = [result(name, fid=50.0, AIS=[1.0, 2.0]) for name in "ab"]
    bare = [
        each.model_copy(update={"scores": [s.model_copy(update={"stderr": None}) for s in each.scores]})
        for each in plain
    ]
    assert [c.metric for c in compare_results(bare)] == ["AIS"]
    with pytest.raises(A2IBenchError, match="FID has neither values per clip nor a standard error"):
        compare_results(bare, ["FID"])


def test_lower_is_better_turns_wins_and_not_the_difference():
    first, second = [1.0, 1.0, 5.0], [2.0, 3.0, 4.0]
    low = {"lower_is_better": ("distance",)}
    (found,) = compare_results([result("a", **low, distance=first), result("b", **low, distance=second)])
    assert (found.wins, found.losses) == (2, 1)
    assert found.difference == pytest.approx(-2 / 3)


def test_other_metrics_beside_it_change_no_p_value():
    rng = np.random.default_rng(0)
    base = rng.uniform(20, 60, 12)
    values = {name: list(base + shift + rng.normal(0, 8, 12)) for name, shift in (("A", 20), ("B", 6), ("C", 3))}
    second = {name: list(base) for name in values}
    found = compare_results([result("a", **values), result("b", **second)])
    raw = [paired_difference(np.array(values[n]), np.array(second[n])).p_value for n in "ABC"]
    assert [c.p_value for c in found] == raw
    alone = compare_results([result("a", **values), result("b", **second)], ["A"])
    assert alone[0].p_value == raw[0]


def test_a_clip_without_a_value_in_either_is_left_out():
    nan = float("nan")
    (found,) = compare_results([result("a", S=[1.0, nan, 3.0, 5.0]), result("b", S=[0.0, 9.0, nan, 1.0])])
    assert (found.n, found.wins) == (2, 2)
    assert found.difference == pytest.approx(2.5)


def test_equal_results_have_no_difference():
    (found,) = compare_results([result("a", AIS=[10.0, 20.0]), result("b", AIS=[10.0, 20.0])])
    assert (found.difference, found.low, found.high, found.p_value, found.ties) == (0, 0, 0, 1, 2)
    assert found.clips_needed is None


def test_the_table_names_both_and_shows_each_metric():
    from rich.console import Console

    first, second = result("loud", AIS=[90.0, 80.0, 70.0]), result("quiet", AIS=[10.0, 20.0, 30.0])
    console = Console(width=120)
    with console.capture() as capture:
        console.print(comparison_report(["loud", "quiet"], compare_results([first, second])))
    text = capture.get()
    for word in ("loud", "quiet", "AIS", "+60.0", "3/0/0", "Holm"):
        assert word in text


# ------------------------------------------------------------------------------------------- more than two


def three(clips=60, metrics=("AIS", "IIS")):
    rng = np.random.default_rng(1)
    base = rng.uniform(30, 70, clips)
    levels = {"best": 8, "close": 7, "worst": 0}
    return [
        result(name, **{metric: list(base + level + rng.normal(0, 6, clips)) for metric in metrics})
        for name, level in levels.items()
    ]


def test_every_pair_of_several_is_compared_and_corrected_over_its_metric():
    results = three()
    found = compare_results(results)
    assert [(c.metric, c.first, c.second) for c in found] == [
        (metric, *pair) for metric in ("AIS", "IIS") for pair in ((0, 1), (0, 2), (1, 2))
    ]
    alone = [compare_results([results[c.first], results[c.second]], [c.metric])[0] for c in found]
    raw = [c.p_value for c in alone]
    assert [c.p_value for c in found] == pytest.approx([*holm(raw[:3]), *holm(raw[3:])], rel=1e-9)
    for among, single in zip(found, alone, strict=True):
        assert (among.difference, among.wins, among.n) == pytest.approx((single.difference, single.wins, single.n))
    assert found[1].p_value < 0.05 < found[0].p_value


def test_a_metric_must_be_in_all_of_them():
    *others, last = three()
    half = last.model_copy(update={"scores": last.scores[:1]})
    assert {c.metric for c in compare_results([*others, half])} == {"AIS"}
    with pytest.raises(A2IBenchError, match="different clips"):
        compare_results([*others, result("a", digest="e", AIS=[1.0, 2.0])])


def test_ratings_have_an_interval_but_no_clips_and_are_left_out():
    human = Score(
        metric="human", value=4.0, low=3.8, high=4.2, n=15, higher_is_better=True, unit="", signature="human|v:1"
    )
    rated = [each.model_copy(update={"scores": [*each.scores, human]}) for each in three()]
    assert {c.metric for c in compare_results(rated)} == {"AIS", "IIS"}
    with pytest.raises(A2IBenchError, match="human"):
        compare_results(rated, ["human"])


@pytest.mark.parametrize("count", [0, 1, 27])
def test_one_or_too_many_cannot_be_compared(count):
    with pytest.raises(A2IBenchError, match=f"{count} results can't be compared"):
        compare_results([result("a", AIS=[1.0, 2.0])] * count)


@pytest.mark.parametrize("count", [2, 3, 7, 9])
def test_the_report_fits_80_columns(count):
    from rich.console import Console

    names = ("AIS", "AIS.same-class", "cosine")
    results = [three(30, names)[place % 3] for place in range(count)]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(comparison_report([f"method {place}" for place in range(count)], compare_results(results)))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("Row minus column") == (2 < count <= 7)


def test_the_command_takes_runs_rows_and_files(run_cli, tmp_path):
    for each, place in zip(three(), ("runs/a", "leaderboards/mini/b", "c"), strict=True):
        each.model_copy(update={"method": "same"} if place != "c" else {}).save(tmp_path / place / "result.json")
    paths = ("runs/a", "leaderboards/mini/b", "c/result.json")
    outcome = run_cli("compare", *paths)
    assert outcome.code == 0
    assert "A  same (runs/a)\nB  same (leaderboards/mini/b)\nC  worst\n" in outcome.out
    found = json.loads(run_cli("compare", *paths, "--metric", "IIS", "--json").out)
    assert [method["method"] for method in found["methods"]] == ["same", "same", "worst"]
    assert [(c["first"], c["second"], c["metric"]) for c in found["comparisons"]] == [
        (0, 1, "IIS"), (0, 2, "IIS"), (1, 2, "IIS"),
    ]  # fmt: skip
    assert "did you mean 'IIS'" in run_cli("compare", *paths, "--metric", "ISS").sentence
    assert "no nowhere" in run_cli("compare", "runs/a", "c", "nowhere").sentence
