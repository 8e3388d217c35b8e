"""The board: only like with like in a column, honest ranks, and files in which a stranger's text is only text."""

import csv
import io
import json
import os
import re
from math import fsum

import numpy as np
import pytest

from a2ibench.board.card import MethodCard
from a2ibench.board.load import load_board
from a2ibench.board.standings import standings
from a2ibench.errors import A2IBenchError
from a2ibench.results import Clips, Provenance, Result, Score
from a2ibench.show.board import write_board
from a2ibench.show.pages.board import board_page
from a2ibench.show.tables import csv_table, latex_table, markdown_page
from a2ibench.text import csv_text, latex_text, markdown_text, plain

PROVENANCE = Provenance(
    a2ibench="0", python="3", platform="x", packages={}, device="cpu", threads=1, created="2026-01-01T00:00:00Z",
    seconds={},
)  # fmt: skip
N = 40


def score(metric, value, n=N, *, stderr=None, spread=1.0, lower=False, signature=None):
    ends = {} if stderr is not None else {"low": value - spread, "high": value + spread}
    return Score(
        metric=metric, value=value, stderr=stderr, n=n, higher_is_better=not lower, unit="" if lower else "%",
        signature=signature or f"{metric}|v:1|n:{n}|suite:tiny@1", **ends,
    )  # fmt: skip


def result(name, values=(), *, more=(), digest="d" * 64, suite="tiny@1", ids=None, version=1, **fields):
    """A result with these values per clip in the column AIS, and with more scores."""
    ids = ids or [f"c{index:03d}" for index in range(len(values))]
    kept = [value for value in values if value is not None]
    signature = f"AIS|v:{version}|n:{len(kept)}|suite:tiny@1"
    own = [score("AIS", fsum(kept) / len(kept), len(kept), signature=signature)] if kept else []
    return Result(
        method=name, suite=suite, clips=Clips(name="tiny", n=max(N, len(ids)), digest=digest), scores=[*own, *more],
        items={clip_id: {"AIS": value} for clip_id, value in zip(ids, values, strict=True)},
        labels=dict.fromkeys(ids, "frog croaking"), provenance=PROVENANCE, **fields,
    )  # fmt: skip


def put(folder, slug, result, **card):
    """Write a row."""
    result.save(folder / slug / "result.json")
    (folder / slug / "method.toml").write_text(MethodCard(**{"name": result.method, **card}).toml(), encoding="utf-8")


def values(level, seed=0, noise=3.0, n=N):
    """Values around a level, on clips that are hard or easy for all."""
    hardness = np.random.default_rng(99).uniform(-8, 8, n)
    return list(np.clip(level + hardness + np.random.default_rng(seed).normal(0, noise, n), 0, 100))


@pytest.fixture
def board(tmp_path):
    """Three methods, of which two are close, with FID, below a ceiling and above chance."""
    folder = tmp_path / "tiny"
    rows = {"good": (80, 1, 50.0), "also-good": (80, 2, 51.0), "bad": (60, 3, 90.0)}
    for slug, (level, seed, fid) in rows.items():
        put(folder, slug, result(slug, values(level, seed), more=[score("FID", fid, stderr=2.0, lower=True)]))
    sanity = [
        result("real images", values(95, 4), more=[score("FID", 0.0, stderr=0.0, lower=True)], notes=["Drawn world."]),
        result(
            "shuffled images", values(50, 5), more=[score("FID", 1.0, stderr=0.1, lower=True)], notes=["Drawn world."]
        ),
    ]
    write_sanity(folder, sanity)
    return folder


def write_sanity(folder, rows):
    (folder / "sanity.json").write_text(json.dumps([row.model_dump() for row in rows]))


def pages(folder, metric="AIS"):
    found = load_board(folder)
    ranked = {name: standings(found, name) for name in found.columns}
    return markdown_page(found, ranked, metric), csv_table(found, ranked), latex_table(found, ranked, metric)


def table_rows(markdown):
    """The cells of the first table's rows."""
    lines = [line for line in markdown.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# ------------------------------------------------------------------------------------------------- standings


def test_ranks_are_intervals_and_ties_share_letters(board):
    best, second, last = standings(load_board(board), "AIS")
    assert {best.entry.slug, second.entry.slug} == {"good", "also-good"}
    assert [each.rank for each in (best, second, last)] == ["1–2", "1–2", "3"]
    assert [each.letters for each in (best, second, last)] == ["a", "a", "b"]
    assert not any(each.best for each in (best, second, last)), "nobody is told apart from all others"
    assert best.gap is None
    assert last.gap.difference == pytest.approx(last.score.value - best.score.value)
    assert last.gap.low < last.gap.difference < last.gap.high < 0
    assert last.gap.p_value < 1e-4 < second.gap.p_value


def test_a_leader_told_apart_from_all_is_the_best(board):
    put(board, "winner", result("winner", values(90, 6)))
    found = standings(load_board(board), "AIS")
    assert [(each.entry.slug, each.rank, each.best) for each in found[:2]] == [
        ("winner", "1", True),
        (found[1].entry.slug, "2–3", False),
    ]


def test_a_single_row_is_first_and_beats_nobody(board):
    for slug in ("also-good", "bad"):
        (board / slug / "result.json").unlink()
    (only,) = standings(load_board(board), "AIS")
    assert (only.rank, only.best, only.letters, only.gap) == ("1", False, "a", None)


def test_equal_rows_leave_every_rank_open(board):
    same = values(70, 7)
    for slug in ("good", "also-good", "bad"):
        put(board, slug, result(slug, same))
    found = standings(load_board(board), "AIS")
    assert [each.rank for each in found] == ["1–3"] * 3
    assert [each.entry.slug for each in found] == ["also-good", "bad", "good"], "by name, where nothing else decides"


def test_fid_is_ranked_by_its_errors_and_lower_is_better(board):
    found = standings(load_board(board), "FID")
    assert [(each.entry.slug, each.rank) for each in found] == [("good", "1–2"), ("also-good", "1–2"), ("bad", "3")]
    # 1.96 times the sum of both errors is 7.84: beyond it the two intervals do not overlap.
    for fid, rank in ((57.0, "1–3"), (60.0, "3")):
        put(board, "bad", result("bad", values(60, 3), more=[score("FID", fid, stderr=2.0, lower=True)]))
        assert standings(load_board(board), "FID")[-1].rank == rank


def test_ratings_are_a_column_without_ranks(board):
    for slug, mean in (("good", 4.1), ("bad", 1.9)):
        known = Result.load(board / slug / "result.json")
        human = score("human", mean, 15, spread=0.2)
        known.model_copy(update={"scores": [*known.scores, human]}).save(board / slug / "result.json")
    found = standings(load_board(board), "human")
    assert [(each.entry.slug, each.rank, each.letters) for each in found] == [("good", "–", ""), ("bad", "–", "")]
    assert "4.1 \\[3.9, 4.3]" in pages(board)[0]


def test_a_wrong_column_gets_the_nearest(board):
    with pytest.raises(A2IBenchError, match="did you mean 'AIS'"):
        standings(load_board(board), "AIs")


# -------------------------------------------------------------------------------------- like with like only


def test_other_settings_are_outdated_and_never_in_the_column(board):
    put(board, "old-suite", result("old-suite", values(99, 1), suite="tiny@0"))
    put(board, "other-clips", result("other-clips", values(99, 1), digest="e" * 64))
    put(board, "old-metric", result("old-metric", values(99, 1), version=0))
    found = load_board(board)
    assert [entry.slug for entry in found.outdated] == ["old-metric", "old-suite", "other-clips"]
    assert {each.entry.slug for each in standings(found, "AIS")} == {"good", "also-good", "bad"}
    markdown, table, _ = pages(board)
    top, bottom = markdown.split("## Without a rank")
    assert "old-suite" not in top.split("## ")[0]
    for word in ("old-suite", r"tiny\@0", "other-clips", "eeeeeeee", "AIS|v:0|n:40"):
        assert word in bottom
    kinds = {row["slug"]: row["kind"] for row in csv.DictReader(io.StringIO(table))}
    assert kinds["old-suite"] == "outdated"
    assert kinds["good"] == "method"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"missing": ["c001", "c002"]}, "incomplete, 38 of 40 clips have an image"),
        ({"outputs_per_clip": 2}, "2 images per clip, where this board has 1"),
    ],
)
def test_only_complete_entries_of_one_protocol_are_ranked(board, fields, why):
    """Even where the signatures are the board's: those of before said nothing of coverage."""
    put(board, "gaps", result("gaps", values(99, 9), **fields))
    found = load_board(board)
    assert "gaps" not in {entry.slug for entry in found.entries}
    (entry,) = found.outdated
    assert found.why_outdated(entry) == why
    markdown, table, _ = pages(board)
    assert why in markdown.split("## Without a rank")[1]
    assert why in board_page(found, {name: standings(found, name) for name in found.columns}, None, metric="AIS")
    assert {row["kind"] for row in csv.DictReader(io.StringIO(table)) if row["slug"] == "gaps"} == {"outdated"}


def test_fid_of_another_number_of_images_stands_apart_with_a_footnote(board):
    few = score("FID", 3.0, N - 2, stderr=1.0, lower=True)
    put(board, "gaps", result("gaps", values(85, 9), more=[few]))
    found = load_board(board)
    (entry,) = [entry for entry in found.entries if entry.slug == "gaps"]
    assert found.apart(entry) == [few]
    assert "gaps" not in {each.entry.slug for each in standings(found, "FID")}
    assert "gaps" in {each.entry.slug for each in standings(found, "AIS")}
    markdown, table, _ = pages(board)
    row = next(cells for cells in table_rows(markdown) if cells[1].startswith("gaps"))
    assert row[-1] == "–"
    assert row[1] == "gaps <sup>1</sup>"
    assert re.search(r"<sup>1</sup> FID of 38 is 3\.00 .* not in the column.*n\\:38", markdown)
    assert [row["kind"] for row in csv.DictReader(io.StringIO(table)) if row["slug"] == "gaps"] == ["method", "apart"]


def test_without_sanity_rows_most_rows_decide(board):
    (board / "sanity.json").unlink()
    put(board, "other", result("other", values(99, 1), suite="tiny@2"))
    found = load_board(board)
    assert (found.suite, len(found.entries), [e.slug for e in found.outdated]) == ("tiny@1", 3, ["other"])
    put(board, "other-2", result("other-2", values(99, 1), suite="tiny@2"))
    for slug in ("good", "also-good"):
        (board / slug / "result.json").unlink()
    put(board, "bad", result("bad", values(60, 3)))
    assert load_board(board).suite == "tiny@2"


def test_the_sanity_rows_decide_against_any_number_of_rows(board):
    for number in range(5):
        put(board, f"old-{number}", result(f"old-{number}", values(70, number), version=0))
    found = load_board(board)
    assert found.columns["AIS"].signature.startswith("AIS|v:1|")
    assert len(found.entries) == 3
    assert len(found.outdated) == 5


# ------------------------------------------------------------------------------------------------ broken rows


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda row: (row / "result.json").unlink(), "has no result.json"),
        (lambda row: (row / "result.json").write_text("{"), "not JSON"),
        (lambda row: (row / "result.json").write_text('{"schema_version": 99}'), "schema version 99"),
        (lambda row: (row / "method.toml").write_text("name = 3"), "name"),
        (lambda row: (row / "method.toml").write_bytes(b"\xff"), "not TOML"),
        (lambda row: result("x", [150.0] * N).save(row / "result.json"), "can only lie between 0 and 100"),
        (lambda row: result("x", values(50), more=[score("FID", 1e300, lower=True)]).save(row / "result.json"), "FID"),
        (
            lambda row: result("x", values(50), ids=[f"d{i}" for i in range(N)]).save(row / "result.json"),
            "not the 40 of this board",
        ),
    ],
)
def test_a_broken_row_is_listed_and_spoils_nothing(board, spoil, word):
    before = table_rows(pages(board)[0])
    put(board, "spoilt", result("spoilt", values(70)))
    spoil(board / "spoilt")
    found = load_board(board)
    assert list(found.broken) == ["spoilt"]
    assert word in found.broken["spoilt"]
    assert str(board) not in found.broken["spoilt"]
    markdown, _, _ = pages(board)
    assert table_rows(markdown) == before
    assert "- spoilt: " in markdown.split("## Broken")[1]


def test_rows_that_lack_other_values_cannot_be_paired(board):
    fid = score("FID", 0.0, stderr=0.0, lower=True)
    write_sanity(board, [result("real images", [*values(95)[:-1], None], more=[fid])])
    put(board, "good", result("good", [*values(80)[:-1], None]))
    put(board, "bad", result("bad", [None, *values(60)[1:]]))
    found = load_board(board)
    assert list(found.broken) == ["bad"]
    assert "other clips" in found.broken["bad"]
    assert [each.entry.slug for each in standings(found, "AIS")] == ["good"]
    (other,) = [entry for entry in found.entries if entry.slug != "good"]
    assert [each.metric for each in found.apart(other)] == ["AIS"], "its n, and so its signature, is another"
    assert "AIS" not in other.values


def test_hidden_folders_files_and_broken_sanity_rows(board):
    (board / ".part").mkdir()
    (board / "README.md").write_text("old")
    assert load_board(board).broken == {}
    (board / "sanity.json").write_text("[3]")
    found = load_board(board)
    assert list(found.broken) == ["sanity.json"]
    assert len(found.entries) == 3


def test_no_board_and_an_empty_board(tmp_path):
    with pytest.raises(A2IBenchError, match="There is no board"):
        load_board(tmp_path / "none")
    with pytest.raises(A2IBenchError, match="There is no board"):
        write_board(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "no row yet" in pages(tmp_path / "empty", None)[0]


# ------------------------------------------------------------------------------------------------- the tables


def test_the_markdown_table(board):
    put(
        board,
        "winner",
        result("winner", values(90, 6)),
        authors="A. B.",
        paper="https://example.org/a(b)",
        text_labels=True,
    )
    head, _, *rows = table_rows(pages(board)[0])
    assert head == ["rank", "method", "state", "AIS ↑", "FID ↓"]
    assert rows[0][:2] == ["", "*real images*"]
    assert rows[-1][:2] == ["", "*shuffled images*"]
    assert rows[1][:3] == ["1", "winner <sup>1</sup>", "self-reported"]
    assert re.fullmatch(r"\*\*\d\d\.\d\*\* \\\[\d\d\.\d, \d\d\.\d\] <sup>a</sup>", rows[1][3])
    assert rows[1][4] == "–"
    assert rows[2][4].endswith("± 2.00 <sup>a</sup>")
    markdown = pages(board)[0]
    assert "Drawn world." in markdown.splitlines()[2]
    assert "[paper](<https://example.org/a%28b%29>)" in markdown
    assert "Reads the clips' text labels." in markdown
    by_fid = table_rows(pages(board, "FID")[0])
    assert [row[1] for row in by_fid[3:7]] == ["good", "also-good", "bad", "winner <sup>1</sup>"]
    assert by_fid[6][0] == "–"


def test_remarks_are_numbered_once(board):
    for slug in ("good", "bad"):
        put(board, slug, result(slug, values(70), licences=["imagebind: CC"]), test_clips=True)
    markdown = pages(board)[0]
    marked = [cells[1] for cells in table_rows(markdown) if "<sup>" in cells[1]]
    assert marked == ["bad <sup>1, 2</sup>", "good <sup>1, 2</sup>"]
    assert markdown.count("Trained on the test clips.") == 1


def test_the_csv_reads_back_to_the_last_bit(board):
    found = load_board(board)
    rows = {(row["slug"], row["metric"]): row for row in csv.DictReader(io.StringIO(pages(board)[1]))}
    for entry in found.entries:
        for each in entry.result.scores:
            row = rows[entry.slug, each.metric]
            assert float(row["value"]) == each.value
            assert row["signature"] == each.signature
    assert (rows["bad", "AIS"]["rank_low"], rows["bad", "AIS"]["rank_high"], rows["bad", "AIS"]["letters"]) == (
        "3",
        "3",
        "b",
    )
    assert float(rows["bad", "AIS"]["behind"]) < 0
    assert rows["bad", "AIS"]["best"] == "false"


def test_equal_boards_make_equal_files_wherever_they_lie(board, tmp_path):
    import shutil

    put(board, "spoilt", result("spoilt", values(70)))
    (board / "spoilt" / "result.json").write_text("{")
    copy = shutil.copytree(board, tmp_path / "elsewhere" / "tiny")
    assert pages(board) == pages(copy)


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b | c",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "`code` *bold* _it_ ~~no~~ # head",
    "see https://evil.example and www.evil.example, me@evil.example @someone",
    "$x^2$ &lt;b&gt; &amp; \\| \\",
    "line\nbreak\r\n| new | row |\x00\x1b[31m\u202egnp.exe",
    r"\input{/etc/passwd} {unbalanced $ & % # _ ~ ^",
    "[1cm] * star",
    "=HYPERLINK(\"https://evil.example\")",
    "+1", "-2+3", "@SUM(A1)", "\t=1", "＝1",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_markdown_is_only_text(text):
    shown = markdown_text(text)
    assert "\n" not in shown
    assert not re.search(r"[\x00-\x1f\x7f\u202e]", shown)
    assert "<" not in shown
    assert ">" not in shown
    assert not re.search(r"(?<!\\)[|`*_\[\]()$@!:]", shown.replace("\\\\", "")), (
        "each sign that means something is escaped"
    )
    assert "www." not in shown
    bare = re.sub(r"\\(.)", r"\1", shown).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert bare == plain(text), "and nothing else is changed"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_latex_is_only_text(text):
    shown = latex_text(text)
    bare = re.sub(r"\\(textbackslash|text[a-z]+|ldots)\{\}|\\[{}$&#_%]|\{\[\}|\{\]\}|\{\*\}", "", shown)
    assert not re.search(r"[\\{}$&#^_%~<>|\[\]*\"]", bare), shown
    assert shown.count("{") - shown.count(r"\{") == shown.count("}") - shown.count(r"\}")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_csv_is_no_formula(text):
    shown = csv_text(text)
    assert not re.match(r"[=+\-@＝＋－＠\t\r]", shown)
    assert shown.lstrip("'") == plain(text)


def test_a_hostile_row_leaves_the_table_in_its_shape(board):
    shape = [len(row) for row in table_rows(pages(board)[0])]
    name = "<b>x</b> | =1+1 [a](javascript:b)"
    hostile = result(name, values(70), licences=["<script>| x"], notes=["| a | b |\n# head", "[x](y)"])
    put(board, "hostile", hostile, authors="<i>| me", notes="<hr>", licence="`| MIT", training_data="$ |")
    markdown, table, latex = pages(board)
    assert [len(row) for row in table_rows(markdown)] == [*shape, shape[0]]
    for tag in ("<b>", "<script>", "<i>", "<hr>"):
        assert tag not in markdown
    assert set(re.findall(r"<[^>]*>", markdown)) <= {"<sup>", "</sup>", "<br>"}
    assert [len(row) for row in csv.reader(io.StringIO(table))] == [32] * (1 + 4 + 3 + 4)
    lines = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {3}


def test_two_rows_of_one_name_are_told_apart_by_their_folders(board):
    put(board, "copycat", result("Good", values(70)), name="GOOD")
    names = {cells[1] for cells in table_rows(pages(board)[0])}
    assert {r"good \(good\)", r"GOOD \(copycat\)"} <= names


# -------------------------------------------------------------------------------------------------- all files


def test_write_board_writes_all_files_and_leaves_the_old_ones_where_it_fails(board):
    import a2ibench.show.tables

    write_board(board)
    files = ("README.md", "leaderboard.csv", "leaderboard.tex", "index.html")
    before = {name: (board / name).read_bytes() for name in files}
    assert before["README.md"].decode() == pages(board)[0]
    assert b"also-good" in before["index.html"]
    write_board(board)
    assert {name: (board / name).read_bytes() for name in files} == before
    put(board, "winner", result("winner", values(90, 6)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(a2ibench.show.tables, "latex_table", {}.__getitem__)
        with pytest.raises(TypeError):
            write_board(board)
    assert {name: (board / name).read_bytes() for name in files} == before
    with pytest.raises(A2IBenchError, match="did you mean 'FID'"):
        write_board(board, metric="FDI")
    write_board(board, metric="FID")
    assert "by FID" in (board / "README.md").read_text()


# ------------------------------------------------------------------------------------------- hostile rows


@pytest.mark.parametrize("name", ["result.json", "method.toml", "run.json", "verified.json", "hashes.csv", "items.csv"])
@pytest.mark.parametrize(
    "place",
    [
        os.mkfifo,
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path.parent.parent / "good" / "result.json"),
    ],
)
def test_a_row_of_pipes_devices_and_links_is_broken_and_never_opened(board, name, place):
    put(board, "spoilt", result("spoilt", values(70)))
    (board / "spoilt" / "verified.json").write_text("{}")
    (board / "spoilt" / name).unlink(missing_ok=True)
    place(board / "spoilt" / name)
    found = load_board(board)
    assert list(found.broken) == ["spoilt"]
    assert name in found.broken["spoilt"]
    assert len(found.entries) == 3


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), ValueError("x"), OverflowError("y"), RecursionError()]
)
def test_whatever_goes_wrong_with_one_row_leaves_the_others(board, monkeypatch, error):
    parse = Result.parse.__func__

    def fail(cls, data, path):
        if path.parent.name == "bad":
            raise error
        return parse(cls, data, path)

    monkeypatch.setattr(Result, "parse", classmethod(fail))
    found = load_board(board)
    assert list(found.broken) == ["bad"]
    assert found.broken["bad"].startswith("It can't be read (")
    assert [entry.slug for entry in found.entries] == ["also-good", "good"]


def test_numbers_too_large_to_add_up_and_folders_that_are_links(board):
    text = (board / "bad" / "result.json").read_text()
    for slug, number in (("large", "1.7e308"), ("larger", "1" + "0" * 400), ("largest", "1" + "0" * 5000)):
        (board / slug).mkdir()
        (board / slug / "result.json").write_text(re.sub(r'"AIS": [0-9.]+', f'"AIS": {number}', text))
    (board / "linked").symlink_to(board / "good")
    found = load_board(board)
    assert list(found.broken) == ["large", "larger", "largest", "linked"]
    assert len(found.entries) == 3
    write_board(board)


def test_a_score_without_values_per_clip_is_no_row(board):
    whole = result("bare", values(99))
    put(board, "bare", whole.model_copy(update={"items": {}}))
    assert "has no values per clip" in load_board(board).broken["bare"]
    (board / "sanity.json").unlink()
    found = standings(load_board(board), "AIS")  # nothing to hold it against: then it stands below what was tested
    assert [each.rank for each in found] == ["1–2", "1–2", "3", "–"]
    assert found[-1].entry.slug == "bare"
    assert found[-1].score.value > found[0].score.value


@pytest.mark.parametrize("error", [0.0, 1e-300])
def test_without_a_standard_error_nothing_is_told_apart_but_the_real_images(board, error):
    put(board, "sure", result("sure", values(70), more=[score("FID", 1.0, stderr=error, lower=True)]))
    found = standings(load_board(board), "FID")
    assert [each.entry.slug for each in found] == ["good", "also-good", "bad", "sure"]
    assert (found[-1].rank, found[-1].letters, found[-1].best) == ("–", "", False)
    put(board, "real", result("real", values(95, 4), more=[score("FID", 0.0, stderr=error, lower=True)]))
    found = standings(load_board(board), "FID")
    assert (found[0].entry.slug, found[0].rank, found[0].best) == ("real", "1", True)


def test_a_row_brings_no_columns_of_its_own_but_ratings(board):
    more = [score(f"m{number}", 1.0) for number in range(100)]
    put(board, "many", result("many", values(70), more=[*more, score("human", 4.0)]))
    found = load_board(board)
    assert sorted(found.columns) == ["AIS", "FID", "human"]
    markdown, table, _ = pages(board)
    assert "m0, m1, m2, m3, m4 and 95 more: no column of this board" in markdown.replace("\\", "")
    kinds = [row["kind"] for row in csv.DictReader(io.StringIO(table)) if row["slug"] == "many"]
    assert kinds == ["method"] * 2 + ["apart"] * 100
    write_board(board)
    assert "m4 and 95 more" in (board / "index.html").read_text()


def test_labels_are_the_boards_and_no_rows(board):
    found = load_board(board)
    assert set(found.labels.values()) == {"frog croaking"}
    other = result("liar", values(70))
    put(board, "liar", other.model_copy(update={"labels": dict.fromkeys(other.labels, "<b>mine")}))
    put(board, "more", other.model_copy(update={"labels": {**other.labels, "zzz": "stranger"}}))
    found = load_board(board)
    assert list(found.broken) == ["liar", "more"]
    assert "labels of 40 clips, among them c000" in found.broken["liar"]
    assert load_board(board).labels == found.labels


def test_the_state_names_the_method_of_ours_that_drew_the_images(board):
    run = {"method": "reference", "suite": "tiny@1", "seed": 0, "options": {}, "weights": {}, "clips": {}}
    put(board, "supernet", result("SuperNet", values(95)))
    (board / "supernet" / "run.json").write_text(json.dumps(run))
    row = next(cells for cells in table_rows(pages(board)[0]) if "SuperNet" in cells[1])
    assert row[2].replace("\\", "") == "self-reported: reference"
    write_board(board)
    page = (board / "index.html").read_text()
    assert '<span class="state">self-reported: <span class="under">reference</span></span>' in page
    assert "<dd>self-reported: reference</dd>" in page
    (board / "supernet" / "run.json").write_text("{}")
    assert "run.json" in load_board(board).broken["supernet"]


def test_a_row_does_not_drown_the_page_in_notes(board):
    put(board, "loud", result("loud", values(70), notes=[f"Note {n}." for n in range(500)]))
    markdown = pages(board)[0]
    assert markdown.count("Note ") == 20
    assert "And 480 more notes" in markdown


def test_fid_has_two_decimals_in_every_row(board):
    put(board, "near", result("near", values(70), more=[score("FID", 0.0462, stderr=0.01, lower=True)]))
    assert "**0.05** ± 0.01" in pages(board)[0]


def test_without_sanity_rows_one_row_does_not_say_which_clips_have_values(board):
    (board / "sanity.json").unlink()
    own = [*values(70)[:-1], None]  # with the signature of the others it would say n:40
    odd = result("odd", own)
    column = odd.scores[0].model_copy(update={"n": N, "signature": load_board(board).columns["AIS"].signature})
    put(board, "a-first", odd.model_copy(update={"scores": [column]}))
    found = load_board(board)
    assert list(found.broken) == ["a-first"]
    assert len(found.entries) == 3
