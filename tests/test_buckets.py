"""Plots of scores in buckets: what is read back, drawn, and shown on boards, reports and by compare."""

import json
from math import isnan

import numpy as np
import pytest
from boards import page_of, result_of, write_entry, write_sanity
from PIL import Image
from test_page import harmless

from a2ibench.clips import load_clips
from a2ibench.metrics.frequency import EDGES, by_frequency, read_buckets, told
from a2ibench.pictures.buckets import FEW, plots
from a2ibench.pictures.lines import _apart, line_picture
from a2ibench.results import Score
from a2ibench.show.board import write_board
from a2ibench.show.pages.run import run_page

FREQUENCY = {0: 0, 1: 3, 2: 40, 3: 800}
SIGNATURE = "CLAP.tail|v:1|n:8|edges:0,1,10,30,50,100,500|over:kinds|drop:head-tail|suite:tiny@1"


def tail(shift=0.0, n=60, signature=SIGNATURE, **changes):
    """A made-up score by frequency, on `n` clips of four kinds, of which the first is rare."""
    kinds = [[0] if index < 3 else [1 + index % 3] for index in range(n)]
    values = np.random.default_rng(0).standard_normal(n) + np.array([10.0 * kind[0] for kind in kinds]) + shift
    found = by_frequency(values, kinds, FREQUENCY, resamples=100)
    fields = {"value": found.drop.value, "stderr": found.drop.stderr, "extra": told(found)} | changes
    return Score(metric="CLAP.tail", n=n, higher_is_better=False, unit="", signature=signature, **fields)


@pytest.fixture(scope="module")
def clips(clip_folder):
    return load_clips(clip_folder)


@pytest.fixture
def with_tail(clips):
    def make(name, shift=0.0, **changes):
        result = result_of(clips, range(10, 90, 10), method=name)
        return result.model_copy(update={"scores": [*result.scores, tail(shift, **changes)]})

    return make


def test_buckets_are_read_as_they_were_told():
    score = tail()
    found = read_buckets(score.extra, EDGES)
    assert [bucket.name for bucket in found] == ["0", "1-9", "10-29", "30-49", "50-99", "100-499", "500+"]
    assert [bucket.n for bucket in found] == [3, 19, 0, 19, 0, 0, 19]
    assert [bucket.kinds for bucket in found] == [1, 1, 0, 1, 0, 0, 1]
    there = [bucket for bucket in found if bucket.n]
    kinds = [[0] if index < 3 else [1 + index % 3] for index in range(60)]
    values = np.random.default_rng(0).standard_normal(60) + np.array([10.0 * kind[0] for kind in kinds])
    assert there == list(by_frequency(values, kinds, FREQUENCY, resamples=100).buckets)


@pytest.mark.parametrize(
    "extra", [{"0": 1e300}, {"0": 1.0, "0 n": 1e200, "0 low": 5.0, "0 high": 2.0}, {"0": float("inf")}, {"0 n": -4.0}]
)
def test_what_a_stranger_tells_is_bounded(extra):
    bucket = read_buckets(extra, EDGES)[0]
    assert bucket.n == 0
    assert isnan(bucket.interval[0])
    assert isnan(bucket.value) or bucket.value == 1


def test_a_plot_has_a_line_for_each_method(with_tail):
    rows = [("a", with_tail("a")), ("b", with_tail("b", -5.0)), ("other", with_tail("c", signature=SIGNATURE + "|x:1"))]
    (plot,) = plots(rows)
    assert (plot.metric, plot.base, plot.file) == ("CLAP.tail", "CLAP", "CLAP.tail.png")
    assert plot.title == "CLAP by how often the kind occurs in training"
    assert [line.name for line in plot.lines] == ["a", "b"]  # one of another signature is never beside them
    assert [plot.clips(place) for place in (0, 1, 2)] == ["3 clips, 1 kind: few", "19 clips, 1 kind", "no clips"]
    assert plot.cell(plot.lines[0].buckets[0]).endswith("(few)")
    assert plot.cell(plot.lines[0].buckets[2]) == "–"
    assert plot.alt.count("500+: ") == 2
    assert FEW == 10
    picture = line_picture(plot, "tiny")
    assert (picture.size, picture.mode) == ((1600, 900), "RGB")
    assert picture.tobytes() == line_picture(plot, "tiny").tobytes()
    assert picture.tobytes() != line_picture(plots(rows[:1])[0], "tiny").tobytes()


def test_many_lines_are_cut_and_none_is_no_plot(with_tail, clips):
    (plot,) = plots([(f"m{index}", with_tail("m", index)) for index in range(11)])
    assert (len(plot.lines), plot.left_out) == (8, 3)
    line_picture(plot)
    assert plots([("plain", result_of(clips, range(8)))]) == []
    assert plots([("odd", with_tail("odd", signature="CLAP.tail|v:1|edges:9,1"))]) == []
    assert plots([("empty", with_tail("empty", extra={}))]) == []
    one = with_tail("flat", extra={"0": 5.0, "0 n": 1.0})
    line_picture(plots([("flat", one)])[0])  # one point, no interval, no span


def test_names_stand_apart():
    assert _apart([100.0, 101.0, 300.0]) == [100.0, 134.0, 300.0]
    low = _apart([740.0, 741.0, 742.0])
    assert low[-1] <= 750
    assert min(np.diff(low)) >= 34


@pytest.fixture
def board(tmp_path, clips, with_tail):
    folder = tmp_path / "tiny"
    real = with_tail("real images", 9.0)
    write_sanity(folder, [real, result_of(clips, [50] * 8, method="shuffled images")])
    for name, shift in (("better", 3.0), ("worse", -3.0)):
        write_entry(folder, clips, name, with_tail(name, shift), f'name = "{name} <b>"')
    return folder


def test_the_board_shows_the_plot_and_its_numbers(board, clips):
    write_board(board)
    with Image.open(board / "CLAP.tail.png") as picture:
        assert picture.size == (1600, 900)
    page = harmless(page_of(board, clips))
    (shown,) = [attributes for tag, attributes in page.tags if tag == "img" and "Plot of" in attributes.get("alt", "")]
    for word in ("better <b>", "worse <b>", "real images", "CLAP by how often", "500+: "):
        assert word in shown["alt"]
    for said in ("3 clips, 1 kind: few", "no clips", "(few)", "no method", "The numbers of this plot"):
        assert said in page.text
    assert "](CLAP.tail.png)" in (board / "README.md").read_text()
    for slug in ("better", "worse"):
        table = json.loads((board / slug / "result.json").read_text())
        table["scores"] = [score for score in table["scores"] if score["metric"] != "CLAP.tail"]
        (board / slug / "result.json").write_text(json.dumps(table))
    write_board(board)
    assert not (board / "CLAP.tail.png").exists()
    assert 'id="buckets"' not in (board / "index.html").read_text()


def test_the_report_of_a_run_shows_it_too(with_tail, tmp_path):
    page = harmless(run_page(with_tail("mine"), folder=tmp_path))
    assert "CLAP by how often the kind occurs in training" in page.text
    assert any("mine, 0: " in attributes.get("alt", "") for tag, attributes in page.tags if tag == "img")


def test_compare_draws_it(run_cli, with_tail, clips, tmp_path):
    for name, shift in (("one", 0.0), ("two", 4.0)):
        with_tail(name, shift).save(tmp_path / name / "result.json")
        result_of(clips, range(8), method=name).save(tmp_path / f"plain-{name}" / "result.json")
    done = run_cli("compare", "one", "two", "--pictures", "drawn")
    assert done.code == 0, done.err
    assert "CLAP.tail.png" in done.err
    assert (tmp_path / "drawn/CLAP.tail.png").is_file()
    refused = run_cli("compare", "plain-one", "plain-two", "--pictures", "drawn")
    assert refused.code == 2
    assert "No plot can be drawn" in refused.sentence


def test_an_index_that_may_hold_the_test_is_marked(board, clips, with_tail):
    marked = with_tail("looked up").model_copy(update={"options": {"index_with_test": True, "k": 3}})
    write_entry(board, clips, "marked", marked)
    said = "an index that may hold clips of the test"
    page = harmless(page_of(board, clips))
    assert page.text.count(said) == 1
    write_board(board)
    readme = (board / "README.md").read_text()
    assert readme.count(said) == 1
    assert "looked up <sup>1</sup>" in readme
    marked.model_copy(update={"options": {"index_with_test": False}}).save(board / "marked/result.json")
    assert said not in page_of(board, clips)
