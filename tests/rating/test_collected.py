"""Ratings collected elsewhere: every layout gives what a study with the same ratings gives; what is refused."""

import io
import json
import re
from itertools import combinations

import numpy as np
import pytest
from test_aggregate import CHOSEN, ITEMS, PAIRS, TYPED, F, ratings_of, result, saved, study_of

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.reliability import krippendorff_alpha
from a2ibench.rating.aggregate import UNPROTECTED, aggregate, aggregate_collected
from a2ibench.rating.collected import read_collected
from a2ibench.rating.column import human_scores
from a2ibench.rating.correlation import orders
from a2ibench.rating.names import parse_columns
from a2ibench.rating.picture import human_picture
from a2ibench.rating.scale import Scale
from a2ibench.rating.tables import human_report, write_tables
from a2ibench.results import HUMAN, Result

MAIN = [item for item in ITEMS if item[2] == "main"]
ROWS = [(rater, item[3][0], item[1], row[item[0]]) for rater, row in TYPED.items() for item in MAIN]


def read(tmp_path, text, columns=(), scale=None, name="ratings.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_collected([tmp_path / name], columns=parse_columns(columns), scale=scale and Scale.parse(scale))


def table(head, rows):
    return "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n"


def by_rater_and(part):
    """A column for each method (1) or clip (2)."""
    names = sorted({row[part] for row in ROWS})
    other = 3 - part
    keys = sorted({(row[0], row[other]) for row in ROWS})
    value = {(row[0], row[other], row[part]): row[3] for row in ROWS}
    return names, [(*key, *(value[(*key, name)] for name in names)) for key in keys]


def numbered():
    found = []
    for rater in TYPED:
        mine = [(clip, method, value) for who, method, clip, value in ROWS if who == rater]
        found += [(rater, *mine[i], *mine[i + 1]) for i in range(0, 6, 2)]
    return found


def per_rater():
    return [(rater, *(row[3] for row in ROWS if row[0] == rater)) for rater in TYPED]


WIDE_NAMES = [f"{item[3][0]}_{item[1]}" for item in MAIN]
LAYOUTS = {
    "long": (table("rater,method,clip,rating", ROWS), ()),
    "other names": (table("Worker ID,Model,Sound,Score", ROWS), ()),
    "columns named": (table("x,y,z,w", ROWS), ("rater=x", "method=Y", "clip=z", "rating=w")),
    "Mechanical Turk": (table("HITId,WorkerId,Input.method,Input.clip,Answer.rating", [("h", *r) for r in ROWS]), ()),
    "paths": (
        table("WorkerId,url,rating", [(r, f"https://e.e/{m}/images/{c}.png?x=1", v) for r, m, c, v in ROWS]),
        ("image=url",),
    ),
    "a column per method": (table(f"rater,clip,{','.join(by_rater_and(1)[0])}", by_rater_and(1)[1]), ()),
    "a column per clip": (table(f"rater,method,{','.join(by_rater_and(2)[0])}", by_rater_and(2)[1]), ()),
    "a column per rater": (
        table(
            f"method,clip,{','.join(TYPED)}",
            [(i[3][0], i[1], *(TYPED[rater][i[0]] for rater in TYPED)) for i in MAIN],
        ),
        (),
    ),
    "numbered": (
        table("WorkerId,Input.clip1,Input.method1,Answer.rating1,Input.clip2,Input.method2,Answer.rating2", numbered()),
        (),
    ),
    "numbered by a pattern": (
        table("who,c1,m1,v1,c2,m2,v2", numbered()),
        ("rater=who", "clip=c{n}", "method=m{n}", "rating=v{n}"),
    ),
    "marks": (
        table(
            "WorkerId,Input.method,Input.clip," + ",".join(f"Answer.rating.{i}" for i in range(1, 6)),
            [(r, m, c, *("true" if i == v else "false" for i in range(1, 6))) for r, m, c, v in ROWS],
        ),
        (),
    ),
    "one row per rater": (table(f"rater,{','.join(WIDE_NAMES)}", per_rater()), ("rating={method}_{clip}",)),
    "with words": (table("rater,method,clip,rating", [(r, m, c, f"{v} - fine") for r, m, c, v in ROWS]), ()),
    "twice": (table("rater,method,clip,rating", ROWS + ROWS[:4]), ()),
    "missing ones": (table("rater,method,clip,rating", [*ROWS, ("Ann", "c", "c9", "NA"), ("Bob", "c", "c9", "")]), ()),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_what_a_study_gives(name, tmp_path):
    text, columns = LAYOUTS[name]
    found = aggregate_collected(read(tmp_path, text, columns))
    study = aggregate(ratings_of({r: {i: v for i, v in row.items() if i < 6} for r, row in TYPED.items()}),
                      study_of(MAIN, ["a", "b"]))  # fmt: skip
    assert found.kept == study.kept
    assert [r.agreement for r in found.raters] == [r.agreement for r in study.raters]
    assert (found.source, found.excluded, found.rule, found.clip_count) == ("table", 0, {}, 3)
    assert found.warnings[0] == UNPROTECTED
    assert found.repeated_answers == (4 if name == "twice" else 0)


# With names that are no side of a pair, as a and b are.
CHOICES = [(i, clip, kind, [f"m{m}" for m in both], again) for i, clip, kind, both, again in PAIRS if kind == "main"]


def pairs(word):
    """The pairs of `CHOSEN`, with the choice as `word` writes it."""
    return [
        (rater, item[1], *item[3], word(item[3], row[item[0]])) for rater, row in CHOSEN.items() for item in CHOICES
    ]


@pytest.mark.parametrize(
    "text",
    [
        table("rater,clip,method_a,method_b,choice", pairs(lambda m, v: m[v != F].upper())),
        table("rater,clip,model_a,model_b,winner", pairs(lambda m, v: "model_a" if v == F else "model_b")),
        table("rater,clip,left,right,preferred", pairs(lambda m, v: "Left" if v == F else "right")),
        table("rater,clip,method 1,method 2,answer", pairs(lambda m, v: 1 + (v != F))),
        table(
            "rater,clip,winner,loser",
            [
                (r, clip, *((a, b) if won == "1" else (b, a)))
                for r, clip, a, b, won in pairs(lambda m, v: str(+(v == F)))
            ],
        ),
    ],
)
def test_pairs_in_every_spelling_give_what_a_study_gives(text, tmp_path):
    found = aggregate_collected(read(tmp_path, text)).kept
    study = aggregate(ratings_of({r: {i: v for i, v in row.items() if i < 6} for r, row in CHOSEN.items()}),
                      study_of(CHOICES, ["ma", "mb", "mc"], "pairwise"))  # fmt: skip
    assert found.methods == study.kept.methods
    assert (found.comparisons, found.wins) == (study.kept.comparisons, study.kept.wins)


def test_ties_are_half_a_win_by_hand(tmp_path):
    rows = [("r1", "c0", "x"), ("r1", "c1", "tie"), ("r2", "c0", "no preference"), ("r2", "c1", "y")]
    text = table("rater,clip,method_a,method_b,choice", [(r, c, "x", "y", v) for r, c, v in rows])
    found = aggregate_collected(read(tmp_path, text))
    x, y = found.kept.methods
    assert (x.mean, y.mean, x.histogram, y.histogram) == (50, 50, [1, 2, 1], [1, 2, 1])
    assert (x.strength, y.strength) == (pytest.approx(0), pytest.approx(0))
    assert found.kept.wins == {"x": {"y": 1}, "y": {"x": 1}}
    files = write_tables(found, ["r1", "r2"], tmp_path / "out")
    assert "lost · tied · won" in files[0].read_text()


# Krippendorff 2011, section C, as in tests/metrics/test_reliability.py: 0.815 ordinal, 0.849 interval.
KRIPPENDORFF = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]


@pytest.mark.parametrize(("scale", "level", "published"), [(None, "ordinal", 0.815), ("0-100", "interval", 0.849)])
def test_a_published_alpha(scale, level, published, tmp_path):
    rows = [(f"r{i}", "m", f"c{j}", v) for i, row in enumerate(KRIPPENDORFF) for j, v in enumerate(row) if v != "."]
    alpha = aggregate_collected(read(tmp_path, table("rater,method,clip_id,rating", rows), scale=scale)).kept.alpha
    assert (alpha.level, round(alpha.value, 3)) == (level, published)
    assert alpha.low < alpha.value < alpha.high


def test_a_linear_change_of_the_scale_changes_only_the_numbers(tmp_path):
    tenfold = [(r, m, c, 10 * v + 3) for r, m, c, v in ROWS]
    a = aggregate_collected(read(tmp_path, LAYOUTS["long"][0])).kept
    b = aggregate_collected(read(tmp_path, table("rater,method,clip,rating", tenfold), scale="13-53")).kept
    for one, other in zip(a.methods, b.methods, strict=True):
        assert [other.mean, other.low, other.high, other.median] == pytest.approx(
            [10 * v + 3 for v in (one.mean, one.low, one.high, one.median)]
        )
        assert other.sd == pytest.approx(10 * one.sd)
    assert [p.p_value for p in a.comparisons] == [p.p_value for p in b.comparisons]


@pytest.mark.parametrize(
    ("scale", "values", "steps", "histogram"),
    [
        ("1-5", [1, 5, 5], ["1", "2", "3", "4", "5"], [1, 0, 0, 0, 2]),
        ("1-5", [1.5, 5], ["1", "1.5", "2", "2.5", "3", "3.5", "4", "4.5", "5"], [0, 1, 0, 0, 0, 0, 0, 0, 1]),
        ("1-5", [1.25, 5], ["1 to 1.8", "1.8 to 2.6", "2.6 to 3.4", "3.4 to 4.2", "4.2 to 5"], [1, 0, 0, 0, 1]),
        ("0-10", [0, 10], [str(i) for i in range(11)], [1, *[0] * 9, 1]),
        ("0-100", [0, 20, 100], ["0 to 20", "20 to 40", "40 to 60", "60 to 80", "80 to 100"], [1, 1, 0, 0, 1]),
        ("0..1", [0.6, 0.59], ["0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1"], [0, 0, 1, 1, 0]),
        ("-3..3", [-3, 0], ["-3", "-2", "-1", "0", "1", "2", "3"], [1, 0, 0, 1, 0, 0, 0]),
    ],
)
def test_scales(scale, values, steps, histogram):
    found = Scale.parse(scale).fitted(np.array(values, dtype=float))
    assert (found.steps, found.histogram(np.array(values, dtype=float))) == (steps, histogram)
    assert Scale.parse(found.name) == Scale(found.low, found.high, None)


@pytest.mark.parametrize("scale", ["0-10", "1-4", "0-100", "-3..3"])
def test_every_scale_is_drawn_and_written(scale, tmp_path):
    low, high = Scale.parse(scale).bounds
    rng = np.random.default_rng(0)
    rows = [(f"r{r}", m, f"c{c}", int(rng.integers(low, high + 1))) for r in range(4) for m in "ab" for c in range(5)]
    found = aggregate_collected(read(tmp_path, table("rater,method,clip,rating", rows), scale=scale))
    assert human_picture(found).width == 1980
    files = write_tables(found, [f"r{r}" for r in range(4)], tmp_path / "out")
    assert f"on a scale of {low:g} to {high:g}" in files[0].read_text()
    assert "Nobody was left out" in files[0].read_text()
    assert human_scores(found)["a"].signature.startswith(f"human|v:1|design:likert|scale:{Scale.parse(scale).name}|")


def test_the_later_of_two_ratings_counts_where_a_time_tells(tmp_path):
    rows = [("r", "m", "c", 2, "2026-01-02T00:00:00Z"), ("r", "m", "c", 5, "2026-01-01T00:00:00Z")]
    found = aggregate_collected(read(tmp_path, table("rater,method,clip,rating,timestamp", rows)))
    assert (found.kept.methods[0].mean, found.changed_answers) == (2, 1)
    with pytest.raises(A2IBenchError, match="no time says which is later"):
        read(tmp_path, table("rater,method,clip,rating", [row[:4] for row in rows]))


def test_rejected_work_is_warned_of_and_the_digest_is_of_what_was_rated(tmp_path):
    head = "rater,method,clip,rating,AssignmentStatus"
    found = read(tmp_path, table(head, [("r", "m", "c", 2, "Rejected"), ("s", "m", "c", 3, "Approved")]))
    assert "1 rating stands in a row with the status Rejected" in found.notes[0]
    more = read(tmp_path, table(head, [(r, "m", "c", 3, "Approved") for r in "rstu"]))
    other = read(tmp_path, table(head, [("r", "m", "d", 2, "x")]))
    assert found.digest == more.digest != other.digest


@pytest.mark.parametrize(
    ("text", "columns", "sentence"),
    [
        ("rater,method,clip,rating\nr,m,c,9\n", (), "line 2: the rating '9' is off the scale 1-5; give the scale"),
        ("rater,method,clip,rating\nr,m,c,good\n", (), "the rating 'good' is no number"),
        ("rater,method,clip,rating\n,m,c,4\n", (), "the rater is empty, but there is a rating"),
        ("rater,method,clip,rating\nr,m,c,\n", (), "There is no rating in"),
        ("rater,method,clip,rating\nr,M,c,4\nr,m,c,4\n", (), "differ in capitals only"),
        ("rater,method,clip,rating\nr,real images,c,4\n", (), "can't be called 'real images'"),
        ("worker,annotator,method,clip,rating\nr,r,m,c,4\n", (), "either may be the rater; say which with --column"),
        ("rater,method,clip,relevance,quality\nr,m,c,4,4\n", (), "either may be the rating"),
        ("rater,x,y\nr,1,2\n", (), "has no column for the method, the clip and the rating, found: 'rater', 'x', 'y'"),
        ("method,clip,who,stars_given\nm,c,r,4\n", (), "no column for the rater, and 'who' may be it"),
        ("method,clip,who,given\nm,c,1,4\nm,c,2,3\n", (), "no column for the rater and the rating"),
        ("rater,clip,a,b\nr,c,4,x\ns,c,4,3\n", (), "the column 'b' holds ratings, but here 'x'"),
        ("rater,clip,a,height\nr,c,4,170\n", (), "in the column 'height' is off the scale 1-5"),
        ("rater,clip_1,rating_1,clip_2,rating_3\nr,c,4,d,4\n", (), "number"),
        ("rater,method,clip,rating\nr,m,c,4\n", ("rater=Workr",), "that is called 'Workr'"),
        ("rater,method,clip,rating\nr,m,c,4\n", ("who=rater",), "no part of a rating that is called 'who'"),
        ("rater,method,clip,rating\nr,m,c,4\n", ("rater",), "write for example rater=WorkerId"),
        ("rater,method,clip,rating\nr,m,c,4\n", ("rater=rater", "rater=clip"), "names the rater twice"),
        ("rater,a_b_c\nr,4\n", ("rating={method}_{clip}",), "can be split by .* in two ways"),
        ("rater,ab\nr,4\n", ("rating={method}_{clip}",), "no column like"),
        ("rater,ab\nr,4\n", ("rating={methd}_{clip}",), "must hold some of"),
        ("rater,url,rating\nr,c0.png,4\n", ("image=url",), "is no path like METHOD/CLIP.png"),
        ("rater,clip,a,b,choice\nr,c,x,y,z\n", (), "the choice 'z' is neither of the two"),
        ("rater,clip,a,b,choice\nr,c,x,x,x\n", (), "is compared with itself"),
        ("rater,clip,a,b,choice\nr,c,b,a,a\n", (), "may be either side"),
    ],
)
def test_what_is_refused_gets_one_sentence(text, columns, sentence, tmp_path):
    with pytest.raises(A2IBenchError, match=sentence) as caught:
        read(tmp_path, text, columns)
    assert not re.search(r"[\x00-\x1f]|\. [A-Z]", str(caught.value))


def test_hostile_fields_stay_text(tmp_path):
    bad = "\x1b[31m<b>|=1"
    text = table("rater,method,clip,rating", [(bad, bad, bad, 4), ("s", bad, bad, 3)])
    found = aggregate_collected(read(tmp_path, text))
    for file in write_tables(found, [bad, "s"], tmp_path / "out"):
        assert file.suffix == ".png" or b"\x1b" not in file.read_bytes()
    with pytest.raises(A2IBenchError) as caught:
        read(tmp_path, table("rater,method,clip,\x1b[2J\x07", [("r", "m", "c", "\x1b")]))
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


# ----------------------------------------------------------------------------------- the order of the methods


def four(tmp_path, means):
    rows = [(f"r{r}", m, f"c{c}", v + (r + c) % 2) for r in range(9) for c in range(9) for m, v in means.items()]
    return aggregate_collected(read(tmp_path, table("rater,method,clip,rating", rows))).kept


def scored(scores, **kind):
    return {m: result(m, {"c0": v, "c1": v}, **kind) for m, v in scores.items()}


def test_orders_by_hand(tmp_path):
    people = four(tmp_path, {"a": 4, "b": 3, "c": 2, "d": 1})
    (same,) = orders(people, scored({"a": 9.0, "b": 7.0, "c": 5.0, "d": 1.0}))
    assert (same.alike, same.pairs, same.methods, same.told, same.told_alike) == (100, 6, 4, 6, 6)
    # All alike, Wilson with n = 4 / 2: 1 / (1 + z² / n).
    assert (same.low, same.high) == pytest.approx((100 / (1 + 1.959964**2 / 2), 100))
    (turned,) = orders(people, scored({"a": 9.0, "b": 7.0, "c": 5.0, "d": 1.0}, better=False))
    assert (turned.alike, turned.told_alike) == (0, 0)
    # Of ab ac ad bc bd cd only bc is otherwise; cd is a tie of the metric.
    (some,) = orders(people, scored({"a": 9.0, "b": 2.0, "c": 5.0, "d": 5.0}))
    assert some.alike == pytest.approx(100 * (3 + 0 + 0 + 0.5) / 6)
    assert orders(people, scored({"a": 9.0})) == []
    assert [one.metric for one in orders(people, scored({"a": 1.0, "b": 2.0}, metric=HUMAN))] == []


def test_orders_do_not_depend_on_names_or_monotone_changes(tmp_path):
    rng = np.random.default_rng(3)
    means = {"a": 4, "b": 3, "c": 2, "d": 1}
    values = dict(zip("abcd", rng.random(4).tolist(), strict=True))
    (one,) = orders(four(tmp_path, means), scored(values))
    (bent,) = orders(four(tmp_path, means), scored({m: np.exp(5 * v) for m, v in values.items()}))
    assert one.alike == bent.alike
    turn = dict(zip("abcd", "dbca", strict=True))
    (other,) = orders(
        four(tmp_path, {turn[m]: v for m, v in means.items()}), scored({turn[m]: v for m, v in values.items()})
    )
    assert one.model_copy(update={"signature": ""}) == other.model_copy(update={"signature": ""})


def test_chance_is_half(tmp_path):
    people = four(tmp_path, {"a": 4, "b": 3, "c": 2, "d": 1})
    rng = np.random.default_rng(0)
    found = [orders(people, scored(dict(zip("abcd", rng.random(4).tolist(), strict=True))))[0] for _ in range(400)]
    assert np.mean([one.alike for one in found]) == pytest.approx(50, abs=3)
    assert all(one.low <= one.alike <= one.high for one in found)


def test_alpha_of_many_values_needs_no_matrix_of_them():
    ratings = np.random.default_rng(0).random((5, 3000)) + np.linspace(0, 2, 3000)
    value = krippendorff_alpha(ratings, level="interval")
    pool, n = ratings.ravel(), ratings.size
    within = sum(((ratings[i] - ratings[j]) ** 2).sum() for i, j in combinations(range(5), 2)) * 2 / 4
    assert value == pytest.approx(1 - (within / n) / (2 * n * pool.var() / (n - 1)))
    assert np.isnan(krippendorff_alpha(np.full((3, 4), 0.1), level="interval"))


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_from_table_to_runs(run_cli, tmp_path):
    (tmp_path / "form.csv").write_text(
        "\ufeff" + LAYOUTS["long"][0].replace("c0", "audio/c0.wav").replace(",", ";").replace("\n", "\r\n")
    )
    clips = ("c0", "c1", "c2")
    runs = {m: saved(tmp_path / m, result(m, {c: 10.0 * i + len(m) for i, c in enumerate(clips)})) for m in "ab"}
    done = run_cli("rate", "aggregate", "form.csv", "--json", "--write-results", "--results", "a", "--results", "b=b")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["source"], found["suite"], found["clips"]) == ("table", "tiny@1", "digest")
    assert [c["metric"] for c in found["correlations"]] == ["AIS"]
    assert found["orders"][0]["pairs"] == 1
    assert "no hidden controls" in done.err
    assert "rater = 'rater'" in done.err
    assert {file.name for file in (tmp_path / "form-results").iterdir()} == {
        "human.md", "human.csv", "human.tex", "human.png", "human.json", "raters.csv",
    }  # fmt: skip
    score = Result.load(runs["a"] / "result.json").scores[1]
    assert (score.metric, score.value) == ("human", pytest.approx(39 / 9))
    assert score.signature.endswith(f"|table:{found['study']}")
    again = run_cli("rate", "aggregate", "form.csv", "--write-results", "--results", "a", "--results", "b")
    assert again.code == 0, again.err
    assert "Which metric orders the methods as people do" in again.out
    (tmp_path / "other.csv").write_text(LAYOUTS["long"][0].replace("c0", "c7"))
    for arguments, sentence in (
        (("other.csv", "--results", "a"), "no clip in the results that is called 'c7'"),
        (("form.csv", "--results", "x=a"), "no method in the ratings that is called 'x'"),
        (("form.csv", "--results", "a", "--results", "a=b"), "are both of the method a"),
        (("form.csv", "--write-results"), "There is no result to write the human scores into"),
        (("form.csv", "--scale", "5"), "is no scale"),
        (("form.csv", "--scale", "1-5", "--study", "."), "leave them out with --study"),
        (("none.csv",), "There is no none.csv"),
    ):
        assert sentence in run_cli("rate", "aggregate", *arguments).sentence


def test_a_table_in_a_study_folder_is_not_taken_for_its_answers(tiny_study, run_cli):
    folder = tiny_study(methods=("alphadraw", "betapaint"))
    (folder / "elsewhere.csv").write_text(LAYOUTS["long"][0])
    assert run_cli("rate", "aggregate", folder / "elsewhere.csv", "--json").code == 0
    (folder / "sent.csv").write_text("study,rater,item,value\n0,r,i,4\n")
    assert "must have the columns study" in run_cli("rate", "aggregate", folder / "sent.csv").sentence


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_gets_whole_numbers(width, tmp_path):
    from rich.console import Console

    found = aggregate_collected(read(tmp_path, LAYOUTS["long"][0]))
    out = io.StringIO()
    Console(width=width, file=out).print(human_report(found))
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "4.33 ± 0.71" in out.getvalue()
    assert re.search(r"\[\d\.\d\d, \d\.\d\d\]", out.getvalue())


def test_a_terminal_without_unicode_gets_plain_characters(monkeypatch, tmp_path):
    import sys

    from a2ibench.cli.shared import console

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    console().print(human_report(aggregate_collected(read(tmp_path, LAYOUTS["long"][0]))))
    assert b"4.33 +- 0.71" in raw.getvalue()
