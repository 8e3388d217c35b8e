"""Narrow terminals, and terminals that can't show every character: no score is ever cut off."""

import io
import re

import pytest
from rich.console import Console
from rich.table import Table
from tiny import TINY

from a2ibench.results import Result
from a2ibench.show.fitting import Fitting
from a2ibench.show.terminal import score_report


def printed(thing, width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(thing)
    return stream.getvalue()


def table():
    made = Table("metric", title="A title", box=None)
    made.add_column("score", no_wrap=True)
    made.add_column("what it says", min_width=12)
    made.add_row("AIS.same-class", "74.1 [70.7, 77.2]", "wins against clips of its own class")
    made.add_row("KID", "–", "")
    return made


@pytest.mark.parametrize("width", [20, 30, 40, 60, 200])
def test_a_table_or_lines_and_never_half_a_score(width):
    text = printed(Fitting(table()), width)
    assert "A title" in text
    assert "74.1" in text
    assert max(map(len, text.splitlines())) <= width
    if width > 50:
        assert "74.1 [70.7, 77.2]" in text
        assert text.count("score") == 1, "a table"


@pytest.mark.parametrize("width", [30, 44, 60, 80, 200])
@pytest.mark.parametrize("count", [2, 3])
def test_every_difference_stands_in_a_comparison_at_any_width(result, width, count):
    from a2ibench.show.compare import compare_results, comparison_report

    results = [result.model_copy(update={"method": name}) for name in "abc"[:count]]
    comparisons = compare_results(results)
    text = printed(comparison_report([each.method for each in results], comparisons), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    joined = text.replace("\n", "").replace(" ", "")
    for each in comparisons:
        assert all(part in joined for part in each.metric.split("."))  # a name may be broken at its dot
        assert f"{each.difference:+.1f}" in text


def test_lines_leave_out_what_is_empty():
    text = printed(Fitting(table()), 30)
    assert text.splitlines()[-1].strip() == "KID"


@pytest.fixture(scope="module")
def result(tmp_path_factory, tiny_suite):
    import a2ibench as a2i

    return a2i.evaluate("reference", str(tiny_suite), out=tmp_path_factory.mktemp("run") / "reference")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_score_stands_in_the_report_at_any_width(result, width):
    text = printed(score_report([result], [result]), width)
    for score in result.scores:
        assert re.search(rf"\b{re.escape(score.metric)}\b", text)
        assert f"{score.value:.1f}" in text
    assert max(map(len, text.splitlines())) <= width
    assert TINY in text.replace("\n", "").replace(" ", "")


def test_what_means_little_says_so_first(result):
    careful = Result.model_validate({**result.model_dump(), "caution": "Only drawings."})
    text = printed(score_report([careful]), 80)
    assert text.startswith("NOT MEANINGFUL: Only drawings.")
    assert "(not meaningful)" in text


def test_own_data_on_a_suite_of_drawings(run_cli, own_suite, clip_folder, tmp_path):
    own_suite.write_text(own_suite.read_text().replace("version = 1", 'version = 1\nown_data = "Only noise."', 1))
    outcome = run_cli(
        "eval", "--method", "reference", "--suite", own_suite, "--data", clip_folder, "--out", tmp_path / "o"
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("NOT MEANINGFUL: Only noise.")
    assert Result.load(tmp_path / "o/result.json").caution == "Only noise."


def test_a_pipe_without_unicode(run_cli, tiny_suite, tmp_path, monkeypatch):
    """The result is written before anything is printed, and what can't be shown is replaced."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    from a2ibench.cli.shared import console

    console().print("84.1 ± 0.5 ↑ é 日")
    stream.flush()
    assert stream.buffer.getvalue().decode("ascii").startswith("84.1 +- 0.5")


def test_ascii_keeps_arrows_letters_and_columns(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    from a2ibench.cli.shared import console

    console()
    stream.write("AIS ↑ FID ↓ Fréchet 语\ud800")
    stream.flush()
    assert stream.buffer.getvalue() == b"AIS ^ FID v Frechet ??"
