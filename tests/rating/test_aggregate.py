"""Studies whose answers were typed in and whose numbers are known; the tables; the command; the human column."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from a2ibench.errors import A2IBenchError
from a2ibench.files import sha256_file
from a2ibench.metrics.reliability import krippendorff_alpha
from a2ibench.rating.aggregate import aggregate
from a2ibench.rating.column import human_scores, rated_runs, write_results
from a2ibench.rating.correlation import correlate
from a2ibench.rating.exclusion import Blind, conduct, reasons
from a2ibench.rating.findings import Human
from a2ibench.rating.picture import human_picture
from a2ibench.rating.readers import Answer, Ratings
from a2ibench.rating.study import Exclusion, Item, Study
from a2ibench.rating.tables import comma_separated, latex, markdown, raters_csv, write_tables
from a2ibench.results import Clips, Provenance, Result, Score
from a2ibench.show.compare import compare_results

REAL, SHUFFLED = "real images", "shuffled images"
PROVENANCE = Provenance(
    a2ibench="0", python="3", platform="x", packages={}, device="cpu", threads=1, created="2026-01-01T00:00:00Z",
    seconds={},
)  # fmt: skip


def study_of(items, methods, design="likert", exclusion=None, title="Known"):
    """A study without files; ``items`` are (id, clip, kind, methods, repeat_of)."""
    made = [
        Item(
            item=f"{number:012x}",
            clip_id=clip,
            label="bell ringing",
            kind=kind,
            repeat_of=None if again is None else f"{again:012x}",
            methods=sides,
            images=["0" * 64] * len(sides),
            shown=["0" * 12 + ".webp"] * len(sides),
        )
        for number, clip, kind, sides, again in items
    ]
    return Study(
        title=title, design=design, seed=0, question="q", instructions="", consent="", scale={},
        exclusion=exclusion or {}, suite="tiny@1", clips="digest", methods=methods, salt="0" * 32, runs={}, items=made,
    )  # fmt: skip


def ratings_of(rows, changed=()):
    """Answers from ``{rater: {item number: value}}``; each took two seconds."""
    answers = [
        Answer(rater, f"{item:012x}", value, 2.0, None)
        for rater, row in sorted(rows.items())
        for item, value in sorted(row.items())
    ]
    return Ratings(tuple(answers), ("r.csv",), 0, tuple(changed))


# Items 0-2 are a, 3-5 are b on three clips; 6 repeats 1, 7 and 8 are real images.
ITEMS = [
    *((i, f"c{i}", "main", ["a"], None) for i in range(3)),
    *((3 + i, f"c{i}", "main", ["b"], None) for i in range(3)),
    (6, "c1", "repeat", ["a"], 1),
    *((7 + i, f"c{i}", "control", [REAL], None) for i in range(2)),
]
TYPED = {
    "Ann": {0: 5, 1: 4, 2: 4, 3: 2, 4: 1, 5: 3, 6: 4, 7: 5, 8: 5},
    "Bob": {0: 4, 1: 5, 2: 3, 3: 1, 4: 2, 5: 2, 6: 4, 7: 5, 8: 4},
    "Cleo": {0: 5, 1: 5, 2: 4, 3: 3, 4: 2, 5: 2, 6: 2, 7: 4, 8: 5},
}


@pytest.fixture(scope="module")
def known():
    return aggregate(ratings_of(TYPED), study_of(ITEMS, ["a", "b"]))


def test_the_numbers_typed_in(known):
    a, b, real = known.kept.methods
    # a: 5 4 4 / 4 5 3 / 5 5 4; squared deviations from 13/3 add up to 4.
    assert (a.method, a.n, a.raters, a.clips, a.median) == ("a", 9, 3, 3, 4)
    assert (a.mean, a.sd) == pytest.approx((39 / 9, np.sqrt(4 / 8)))
    assert a.histogram == [0, 0, 1, 4, 4]
    assert 1 <= a.low < a.mean < a.high <= 5
    assert (b.method, b.mean, b.histogram) == ("b", 2, [2, 5, 2, 0, 0])
    assert (real.method, real.control, real.n, real.mean, real.clips) == (REAL, True, 6, 28 / 6, 2)
    (pair,) = known.kept.comparisons
    assert (pair.a, pair.b, pair.n) == ("a", "b", 9)
    assert pair.value == pytest.approx(39 / 9 - 2)
    assert pair.p_value == 2**-2  # three raters and three clips can't show more
    main = np.array([[row[i] for i in range(6)] for row in TYPED.values()], dtype=float)
    assert known.kept.alpha.value == pytest.approx(krippendorff_alpha(main))
    assert known.kept.alpha.level == "ordinal"
    assert (known.answers, known.excluded, known.clip_count) == (27, 0, 3)
    assert known.everyone == known.kept


def test_how_each_rater_worked(known):
    ann, bob, cleo = known.raters
    assert [rater.rater for rater in known.raters] == ["rater 1", "rater 2", "rater 3"]
    assert (ann.answers, ann.answered, ann.median_seconds) == (9, 1.0, 2.0)
    assert [(r.consistency, r.identical) for r in known.raters] == [(1, 1), (1, 0), (0, 0)]
    assert [r.control for r in known.raters] == [5, 4.5, 4.5]
    # Ann's 5 4 4 2 1 3 against Bob's and Cleo's means 4.5 5 3.5 2 2 2: ranks 6 4.5 4.5 2 1 3 and 5 6 4 2 2 2.
    x, y = np.array([6, 4.5, 4.5, 2, 1, 3]), np.array([5, 6, 4, 2, 2, 2])
    assert ann.agreement == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert min(bob.agreement, cleo.agreement) > 0.5


def test_repeats_and_controls_do_not_count_for_the_methods(known):
    spoilt = {rater: {**row, 6: 1, 7: 1, 8: 1} for rater, row in TYPED.items()}
    found = aggregate(ratings_of(spoilt), study_of(ITEMS, ["a", "b"]))
    assert found.kept.methods[:2] == known.kept.methods[:2]
    assert found.kept.alpha == known.kept.alpha
    assert found.kept.comparisons == known.kept.comparisons


def test_missing_answers_are_left_out():
    rows = {rater: dict(row) for rater, row in TYPED.items()}
    del rows["Ann"][0], rows["Bob"][1], rows["Bob"][5]
    found = aggregate(ratings_of(rows), study_of(ITEMS, ["a", "b"]))
    a, b, _ = found.kept.methods
    assert (a.n, b.n, found.kept.raters_per_image) == (7, 8, 2)
    assert (a.mean, b.mean) == pytest.approx(((39 - 10) / 7, (18 - 2) / 8))
    assert found.kept.comparisons[0].n == 6


def test_few_raters_are_warned_of():
    study = study_of(ITEMS, ["a", "b"])
    few = aggregate(ratings_of({f"R{i}": TYPED["Ann"] for i in range(16)}), study)
    enough = aggregate(ratings_of({f"R{i}": TYPED[("Ann", "Bob")[i % 2]] for i in range(17)}), study)
    assert "Only 16 raters of an image" in few.warnings[0]
    assert "at least 17" in few.warnings[0]
    assert enough.warnings == []


def test_one_rater_gives_means_without_intervals():
    found = aggregate(ratings_of({"Ann": TYPED["Ann"]}), study_of(ITEMS, ["a", "b"]))
    assert [(row.low, row.high) for row in found.kept.methods] == [(None, None)] * 3
    assert found.kept.alpha.value is None
    assert found.raters[0].agreement is None
    assert any("No interval can be given for a, b, real images" in warning for warning in found.warnings)
    assert any("Alpha can't be computed" in warning for warning in found.warnings)
    assert "| – |" in markdown(found)
    human_picture(found)


def test_changed_answers_are_warned_of():
    found = aggregate(ratings_of(TYPED, changed=["Ann"]), study_of(ITEMS, ["a", "b"]))
    assert found.changed_answers == 1
    assert any("1 rater gave some items two different answers" in warning for warning in found.warnings)


# ---------------------------------------------------------------------------------------------- exclusion


def blind(values, seconds=2.0, design="likert"):
    """Items: two main ones, a repeat of the first, two controls (right: first, second)."""
    values = np.array(values, dtype=float)
    return Blind(
        design, values, np.full(values.shape, seconds), np.array([[2, 0]]), np.array([3, 4]), np.array([1.0, 0.0])
    )


RULE = Exclusion(least_answered=0.8, least_consistency=1, least_median_seconds=1, least_control=3)


@pytest.mark.parametrize(
    ("row", "seconds", "expected"),
    [
        ([3, 2, 4, 3, 3], 2.0, []),
        ([3, 2, 5, 4, 4], 2.0, ["answered 0% of the repeats alike, less than 100%"]),
        ([3, 2, 4, 3, 2], 2.0, ["rated the real images 2.50, less than 3.00"]),
        ([3, 2, 4, 3, 3], 0.9, ["took 0.90 s per item, less than 1.00 s"]),
        ([3, np.nan, 4, 3, 3], 2.0, []),  # four of five is the threshold itself
        (
            [3, 2, np.nan, np.nan, np.nan],
            2.0,
            ["answered 40% of the items, less than 80%", "answered no repeat", "answered no control"],
        ),
    ],
)
def test_the_rule_as_it_stands(row, seconds, expected):
    found = blind([row], seconds)
    assert reasons(conduct(found)[0], RULE, found) == expected


@pytest.mark.parametrize(
    ("row", "consistency", "control"),
    [([1, 0, 0, 1, 0], 1, 1), ([1, 0, 1, 1, 0], 0, 1), ([0, 0, 1, 0, 0], 1, 0.5), ([0, 0, 0, 0, 1], 0, 0)],
)
def test_repeated_pairs_have_their_sides_exchanged(row, consistency, control):
    (found,) = conduct(blind([row], design="pairwise"))
    assert (found.consistency, found.identical, found.control) == (consistency, consistency, control)


def test_a_threshold_that_the_study_has_nothing_for_does_not_count():
    nothing = Blind(
        "likert", np.ones((1, 2)), np.full((1, 2), np.nan), np.empty((0, 2), int), np.empty(0, int), np.empty(0)
    )
    assert reasons(conduct(nothing)[0], RULE, nothing) == []
    assert reasons(conduct(blind([[3, 2, 5, 1, 1]]))[0], Exclusion(), blind([[3, 2, 5, 1, 1]])) == []


def test_the_excluded_are_counted_and_shown_and_the_results_given_with_them_too(known):
    rows = {**TYPED, "Dan": {**dict.fromkeys(range(6), 1), 6: 1, 7: 1, 8: 1}}
    found = aggregate(ratings_of(rows), study_of(ITEMS, ["a", "b"], exclusion={"least_control": 3.0}))
    assert found.excluded == 1
    assert [rater.excluded for rater in found.raters] == [[], [], [], ["rated the real images 1.00, less than 3.00"]]
    assert found.kept.methods == known.kept.methods
    assert found.everyone.raters == 4
    assert found.everyone.methods[0].mean == pytest.approx((39 + 3) / 12)
    text = markdown(found)
    assert "Excluded by the pre-registered rule: 1 of 4 raters." in text
    assert "## With nobody left out" in text
    # The others' agreement does not depend on who was left out.
    assert found.raters[0].agreement == known.raters[0].agreement


def test_nobody_left_is_said():
    rule = {"least_median_seconds": 2.5}
    with pytest.raises(A2IBenchError, match=r"leaves out all 3 raters .the first one took 2.00 s per item, less"):
        aggregate(ratings_of(TYPED), study_of(ITEMS, ["a", "b"], exclusion=rule))


def test_only_controls_answered_is_said():
    with pytest.raises(A2IBenchError, match="Nobody rated an image of the methods yet"):
        aggregate(ratings_of({"Ann": {7: 5}}), study_of(ITEMS, ["a", "b"]))


# ----------------------------------------------------------------------------------------------- pairwise

# Two clips; a-b, b-c (as c, b) and a-c on each; 6 repeats 0 with its sides exchanged; 7 is a control.
PAIRS = [
    (0, "c0", "main", ["a", "b"], None), (1, "c0", "main", ["c", "b"], None), (2, "c0", "main", ["a", "c"], None),
    (3, "c1", "main", ["b", "a"], None), (4, "c1", "main", ["b", "c"], None), (5, "c1", "main", ["c", "a"], None),
    (6, "c0", "repeat", ["b", "a"], 0), (7, "c1", "control", [SHUFFLED, REAL], None),
]  # fmt: skip
F, S = "first", "second"
CHOSEN = {
    "Ann": {0: F, 1: S, 2: F, 3: S, 4: F, 5: S, 6: S, 7: S},  # a over b over c, always
    "Bob": {0: F, 1: F, 2: F, 3: F, 4: F, 5: S, 6: F, 7: S},  # c over b on c0, b over a on c1
    "Cleo": {0: S, 1: S, 2: F, 3: S, 4: S, 5: F, 6: F, 7: F},  # b over a on c0, c over b and a on c1
}


def test_pairs_typed_in():
    found = aggregate(ratings_of(CHOSEN), study_of(PAIRS, ["a", "b", "c"], "pairwise"))
    assert found.kept.wins == {"a": {"b": 4, "c": 5}, "b": {"a": 2, "c": 4}, "c": {"a": 1, "b": 2}}
    a, b, c, real = found.kept.methods
    assert [(row.method, row.histogram, row.n) for row in (a, b, c)] == [
        ("a", [3, 9], 12), ("b", [6, 6], 12), ("c", [9, 3], 12),
    ]  # fmt: skip
    assert [row.mean for row in (a, b, c)] == pytest.approx([75, 50, 25])
    assert all(0 <= row.low < row.mean < row.high <= 100 for row in (a, b, c))
    # With half a win more on either side of each pair, all wins are explained by the strengths.
    strengths = np.array([a.strength, b.strength, c.strength])
    wins = np.array([[0, 4, 5], [2, 0, 4], [1, 2, 0]]) + 0.5 * (1 - np.eye(3))
    expected = ((wins + wins.T) / (1 + np.exp(strengths[None] - strengths[:, None]))).sum(axis=1)
    assert expected == pytest.approx(wins.sum(axis=1), abs=1e-6)
    assert all(row.strength_low <= row.strength <= row.strength_high for row in (a, b, c))
    assert (real.method, real.histogram, real.strength) == (REAL, [1, 2], None)
    shares = {(pair.a, pair.b): pair.value for pair in found.kept.comparisons}
    assert shares == pytest.approx({("a", "b"): 400 / 6, ("a", "c"): 500 / 6, ("b", "c"): 400 / 6})
    assert found.kept.alpha.level == "nominal"
    assert [(rater.consistency, rater.control) for rater in found.raters] == [(1, 1), (0, 1), (1, 0)]
    assert sum(sum(row.values()) for row in found.kept.wins.values()) == 18


def test_a_sweep_has_an_interval_and_finite_strengths():
    rows = {f"R{i}": {0: F, 1: S, 2: F, 3: S, 4: F, 5: S} for i in range(5)}
    found = aggregate(ratings_of(rows), study_of(PAIRS, ["a", "b", "c"], "pairwise"))
    a, b, c = found.kept.methods
    assert (a.mean, c.mean) == (100, 0)
    # Five raters, two clips: Wilson's interval of two of two.
    assert (a.low, a.high) == pytest.approx((34.2, 100), abs=0.05)
    assert np.isfinite([row.strength_high for row in (a, b, c)]).all()
    assert found.kept.comparisons[0].p_value == 1.0  # 0.5 by the signs of two clips, times three comparisons


def test_methods_that_never_met_have_no_strength():
    items = [(0, "c0", "main", ["a", "b"], None), (1, "c1", "main", ["c", "d"], None)]
    found = aggregate(ratings_of({"R1": {0: F, 1: F}, "R2": {0: F, 1: S}}), study_of(items, list("abcd"), "pairwise"))
    assert [row.strength for row in found.kept.methods] == [None] * 4
    markdown(found)
    human_picture(found)


# ------------------------------------------------------------------------------------------- correlations


def result(method, values, digest="digest", metric="AIS", signature="AIS|v:1", better=True):
    """A result of one metric: ``values`` by clip."""
    kept = [value for value in values.values() if value is not None]
    mean = float(np.mean(kept))
    score = Score(
        metric=metric,
        value=mean,
        low=mean,
        high=mean,
        n=len(kept),
        higher_is_better=better,
        unit="%",
        signature=signature,
    )
    return Result(
        method=method,
        suite="tiny@1",
        clips=Clips(name="tiny", n=len(values), digest=digest),
        scores=[score],
        items={clip: {metric: value} for clip, value in values.items()},
        labels=dict.fromkeys(values, "bell ringing"),
        provenance=PROVENANCE,
    )


HUMAN = {"a": {"c0": 4.0, "c1": 3.0, "c2": 5.0, "c3": 2.0}, "b": {"c0": 1.0, "c1": 2.0, "c2": 1.5, "c3": 2.5}}


def test_a_metric_that_follows_people_and_one_that_does_not():
    good = {m: result(m, {c: v**2 for c, v in row.items()}) for m, row in HUMAN.items()}
    (found,) = correlate(HUMAN, good, "digest")
    assert (found.rho, found.low, found.high, found.within) == pytest.approx((1, 1, 1, 1))
    assert found.images == 8
    flipped = {m: result(m, {c: -v for c, v in row.items()}, better=False) for m, row in HUMAN.items()}
    assert correlate(HUMAN, flipped, "digest")[0].rho == pytest.approx(1)  # lower is better, so it agrees
    flat = {m: result(m, dict.fromkeys(row, 50.0)) for m, row in HUMAN.items()}
    assert correlate(HUMAN, flat, "digest") == []


def test_a_correlation_by_hand_with_values_missing():
    # Ranks of the six that are left: human 5 4 6 1 2 3, metric 6 1 5 2 3 4: 1 - 6·18/(6·35).
    values = {
        "a": {"c0": 90.0, "c1": 10.0, "c2": 80.0, "c3": None},
        "b": {"c0": 20.0, "c1": 40.0, "c2": 30.0, "c3": None},
    }
    found = correlate(HUMAN, {m: result(m, row) for m, row in values.items()}, "digest")[0]
    human = [4.0, 3.0, 5.0, 1.0, 2.0, 1.5]
    given = [90.0, 10.0, 80.0, 20.0, 40.0, 30.0]
    from scipy.stats import spearmanr

    assert found.rho == pytest.approx(spearmanr(human, given).statistic)
    assert found.within == pytest.approx((spearmanr(human[:3], given[:3]).statistic + 1) / 2)
    assert found.images == 6
    assert found.low <= found.rho <= found.high


def test_metrics_of_two_signatures_are_not_mixed_and_other_clips_are_refused():
    rows = [result("a", HUMAN["a"]), result("b", HUMAN["b"], signature="AIS|v:2")]
    assert correlate(HUMAN, dict(zip("ab", rows, strict=True)), "digest") == []
    with pytest.raises(A2IBenchError, match="The result of a is of other clips"):
        correlate(HUMAN, {"a": rows[0]}, "another")


# ------------------------------------------------------------------------------------------------- tables


def test_every_table_holds_the_numbers(known, tmp_path):
    text, table, tex = markdown(known), comma_separated(known), latex(known)
    assert "| a | 4.33 ± 0.71 |" in text
    assert "| real images (hidden control) | 4.67 ± 0.52 |" in text
    assert r"a & $4.33 \pm 0.71$ & $[" in tex
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(row["method"], float(row["mean"])) for row in rows] == [("a", 39 / 9), ("b", 2), (REAL, 28 / 6)]
    assert [rows[0][f"ratings_{i}"] for i in range(1, 6)] == list("00144")
    files = write_tables(known, sorted(TYPED), tmp_path)
    assert sorted(file.name for file in files) == sorted(file.name for file in tmp_path.iterdir())
    assert Human.load(tmp_path / "human.json") == known
    with Image.open(tmp_path / "human.png") as picture:
        assert picture.width == 1980
        assert picture.info == {}
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_names_stay_in_raters_csv(known, tmp_path):
    write_tables(known, sorted(TYPED), tmp_path)
    for file in tmp_path.iterdir():
        named = [name for name in TYPED if name.encode() in file.read_bytes()]
        assert named == (sorted(TYPED) if file.name == "raters.csv" else [])
    rows = list(csv.DictReader(io.StringIO(raters_csv(known, sorted(TYPED)))))
    assert [(row["rater"], row["name"], row["answers"]) for row in rows][1] == ("rater 2", "Bob", "9")


def test_hostile_names_are_only_text():
    bad = "|<b>&_$\\=x[1](http://e.e)"
    items = [(i, clip, kind, [bad if sides == ["a"] else sides[0]], again) for i, clip, kind, sides, again in ITEMS]
    found = aggregate(ratings_of(TYPED), study_of(items, [bad, "=b"], title="# <script>|"))
    text = markdown(found)
    assert "<b>" not in text
    assert "<script>" not in text
    rows = [line for line in text.splitlines() if line.startswith("|") and "±" in line]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 7 for line in rows)
    assert "<b>" not in latex(found)
    human_picture(found)


def test_a_file_that_is_no_human_json(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(A2IBenchError, match=r"is no human\.json"):
        Human.load(tmp_path / "x.json")
    with pytest.raises(A2IBenchError, match="can't be read"):
        Human.load(tmp_path / "none.json")


# -------------------------------------------------------------------------------------------- human column


def test_the_score_of_a_method(known):
    scores = human_scores(known)
    assert set(scores) == {"a", "b"}
    score = scores["a"]
    assert (score.metric, score.value, score.n, score.unit, score.higher_is_better) == ("human", 39 / 9, 9, "", True)
    assert score.signature == f"human|v:1|design:likert|scale:1-5|items:3|raters:3|study:{known.study}"
    assert score.extra == pytest.approx({"sd": np.sqrt(0.5), "median": 4})
    pairs = aggregate(ratings_of(CHOSEN), study_of(PAIRS, ["a", "b", "c"], "pairwise"))
    score = human_scores(pairs)["a"]
    assert (score.value, score.unit, score.chance) == (75, "%", 50)
    assert score.signature == f"human|v:1|design:pairwise|items:2|raters:3|study:{pairs.study}"


def saved(folder, found):
    folder.mkdir()
    found.save(folder / "result.json")
    return folder


def test_results_get_the_score_and_keep_everything_else(known, tmp_path):
    clips = ("c0", "c1", "c2")
    runs = {m: saved(tmp_path / m, result(m, {c: 10.0 * i + len(m) for i, c in enumerate(clips)})) for m in "ab"}
    before = {m: json.loads((run / "result.json").read_text()) for m, run in runs.items()}
    write_results(known, runs)
    first = (tmp_path / "a/result.json").read_bytes()
    write_results(known, runs)
    assert (tmp_path / "a/result.json").read_bytes() == first
    for method, run in runs.items():
        after = json.loads((run / "result.json").read_text())
        assert after["scores"].pop()["metric"] == "human"
        assert after == before[method]
    results = [Result.load(run / "result.json") for run in runs.values()]
    assert [c.metric for c in compare_results(results)] == ["AIS"]


def test_another_study_or_other_clips_are_not_written_over(known, tmp_path):
    values = {"c0": 1.0, "c1": 2.0}
    ok = saved(tmp_path / "a", result("a", values))
    other = saved(tmp_path / "b", result("b", values, digest="else"))
    before = (ok / "result.json").read_bytes()
    with pytest.raises(A2IBenchError, match="of other clips than the study"):
        write_results(known, {"a": ok, "b": other})
    assert (ok / "result.json").read_bytes() == before
    score = human_scores(known)["a"].model_copy(update={"signature": "human|v:1|study:else"})
    found = result("a", values)
    saved(tmp_path / "c", found.model_copy(update={"scores": [*found.scores, score]}))
    with pytest.raises(A2IBenchError, match="holds the human score of another study"):
        write_results(known, {"a": tmp_path / "c"})
    with pytest.raises(A2IBenchError, match="no result to write the human scores into"):
        write_results(known, {})


# ------------------------------------------------------------------------------------------------ command


def answered(study, raters, value):
    """What each rater exports: ``value(rater number, item)``."""
    return [
        {
            "study": study.digest,
            "rater": f"R{number:02d}",
            "answers": [
                {"item": i.item, "value": value(number, i), "seconds": 2.5, "at": "2026-01-31T12:00:00.000Z"}
                for i in study.items
            ],
        }
        for number in range(raters)
    ]


@pytest.fixture
def rated(tiny_study, tmp_path):
    """A study with two methods on disk, answered by 17 raters: alphadraw 4 or 5, betapaint 2 or 3, real images 5."""
    folder = tiny_study(methods=("alphadraw", "betapaint"))
    study = Study.load(folder)
    base = {"alphadraw": 4, "betapaint": 2, REAL: 4}
    (folder / "sent").mkdir()
    for export in answered(study, 17, lambda number, item: base[item.methods[0]] + (number % 3 > 0)):
        (folder / "sent" / f"{export['rater']}.json").write_text(json.dumps(export))
    return folder, study


def test_the_command_gives_the_numbers_typed_in(rated, run_cli):
    folder, study = rated
    done = run_cli("rate", "aggregate", folder / "sent", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    means = {row["method"]: row["mean"] for row in found["kept"]["methods"]}
    assert means == pytest.approx({"alphadraw": 4 + 11 / 17, "betapaint": 2 + 11 / 17, REAL: 4 + 11 / 17})
    assert found["kept"]["comparisons"][0]["value"] == pytest.approx(2)
    assert found["warnings"] == []
    assert found["study"] == study.digest
    names = {"human.md", "human.csv", "human.tex", "human.png", "human.json", "raters.csv"}
    assert {file.name for file in (folder / "results").iterdir()} == names
    shown = run_cli("rate", "aggregate", folder / "sent", "--study", folder, "--out", "elsewhere")
    assert shown.code == 0
    assert "alphadraw" in shown.out
    assert "Excluded by the pre-registered rule: 0 of 17 raters." in shown.out


def test_the_command_writes_into_the_runs_that_were_rated(rated, run_cli, rating_data, tmp_path):
    folder, study = rated
    clips = sorted({item.clip_id for item in study.items})
    runs = {}
    for method in study.methods:
        images = tmp_path / "runs" / method / "images"
        images.mkdir(parents=True)
        for file in (rating_data / "runs" / method / "images").iterdir():
            (images / file.name).write_bytes(file.read_bytes())
        runs[method] = images.parent
        result(method, {c: 5.0 * i for i, c in enumerate(clips)}, digest=study.clips).save(runs[method] / "result.json")
    given = [part for run in runs.values() for part in ("--results", run)]
    plain = run_cli("rate", "aggregate", folder / "sent", "--json", *given)
    assert plain.code == 0, plain.err
    assert [c["metric"] for c in json.loads(plain.out)["correlations"]] == ["AIS"]
    assert len(Result.load(runs["alphadraw"] / "result.json").scores) == 1
    assert run_cli("rate", "aggregate", folder / "sent", "--write-results", *given).code == 0
    assert Result.load(runs["alphadraw"] / "result.json").scores[1].value == pytest.approx(4 + 11 / 17)
    assert set(rated_runs(study, folder, [f"alphadraw={runs['alphadraw']}"])) == {"alphadraw"}
    wrong = run_cli("rate", "aggregate", folder / "sent", "--results", f"alphadrew={runs['alphadraw']}")
    assert "did you mean 'alphadraw'" in wrong.sentence
    # An image that was drawn anew is not the one that was rated.
    image = runs["alphadraw"] / "images" / f"{clips[0]}.png"
    Image.new("RGB", (32, 32)).save(image)
    assert sha256_file(image) not in {digest for item in study.items for digest in item.digests}
    stale = run_cli("rate", "aggregate", folder / "sent", "--write-results", *given)
    assert f"The image of {clips[0]}" in stale.sentence
    assert "is not the one that was rated" in stale.sentence


def test_wrong_use_gets_one_sentence(rated, run_cli, tmp_path):
    folder, _ = rated
    (tmp_path / "lone.csv").write_text("a,b\n")
    (tmp_path / "lone.json").write_text("{}")
    for arguments, sentence in (
        ((tmp_path / "lone.csv",), "lone.csv has a header and no rows"),
        ((tmp_path / "lone.json",), "Give its folder with --study"),
        ((tmp_path / "lone.csv", "--study", folder), "must have the columns study, rater, item"),
        ((folder / "sent" / "nobody.json",), "There is no"),
        ((folder,), "There are no answers in"),
        ((folder / "sent", "--study", tmp_path), "There is no"),
        ((folder / "sent", "--results", tmp_path), "There is no"),
        ((folder / "sent", "--write-results"), "There is no result to write the human scores into"),
    ):
        assert sentence in run_cli("rate", "aggregate", *arguments).sentence
    assert not list(folder.glob("results/*"))


def test_with_answers_missing_the_mean_share_and_the_counts_are_each_what_they_say():
    rows = {rater: dict(row) for rater, row in CHOSEN.items()}
    clips = {}
    study = study_of(PAIRS, ["a", "b", "c"], "pairwise")
    for place, item in enumerate(study.items):
        if item.kind == "main" and "a" in item.methods:
            clips.setdefault(item.clip_id, []).append(place)
    del rows["Cleo"][clips["c0"][0]]
    a = next(row for row in aggregate(ratings_of(rows), study).kept.methods if row.method == "a")
    shares = []
    for given in rows.values():
        for places in clips.values():
            won = [(study.items[p].methods[0] == "a") == (given[p] == F) for p in places if p in given]
            shares.append(sum(won) / len(won))
    assert a.mean == pytest.approx(100 * sum(shares) / len(shares))
    assert (sum(a.histogram), a.n) == (11, 11)
    assert a.mean != pytest.approx(100 * a.histogram[1] / a.n)
