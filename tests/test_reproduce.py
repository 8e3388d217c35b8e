"""Every row of the paper's table, whole, with random networks of the published classes; the orderings by hand."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tiny import TINY

from a2ibench.errors import A2IBenchError
from a2ibench.paper import table1
from a2ibench.paper import tables as table1_tables
from a2ibench.results import Clips, Provenance, Result, Score
from a2ibench.suites import load_suite

ROWS = ["reference", "sd-text", "wav2clip", "imagebind", "audiotoken-cl", "audiotoken"]
FILES = {"table1.md", "table1.csv", "table1.tex", "table1.png", "table1.json"}


@pytest.fixture(scope="module")
def published():
    return table1.load_published()


# ------------------------------------------------------------------------------------------------ by hand


def result(method, fid=None, licences=(), missing=(), **columns):
    """A result whose per-clip values are given: ``AIS=[…]``."""
    scores, items = [], {f"c{i}": {} for i in range(8)}
    for metric, values in columns.items():
        values = np.resize(np.array(values, dtype=float), 8)
        for clip_id, value in zip(items, values, strict=True):
            items[clip_id][metric] = float(value)
        scores.append(_score(metric, float(values.mean()), n=8, low=0.0, high=100.0))
    if fid:
        scores.append(_score("FID", fid[0], n=8, stderr=fid[1], higher_is_better=False, unit=""))
    facts = {"a2ibench": "0", "python": "3", "platform": "x", "packages": {}, "device": "cpu", "threads": 1}
    return Result(
        method=method,
        suite="hand@1",
        clips=Clips(name="hand", n=8, digest="0"),
        scores=scores,
        items=items,
        labels=dict.fromkeys(items, "bell ringing"),
        licences=list(licences),
        missing=list(missing),
        notes=["Two images failed."] if missing else [],
        provenance=Provenance(**facts, created="2026-01-01T00:00:00Z", seconds={}),
    )


def _score(metric, value, higher_is_better=True, unit="%", **rest):
    signature = f"{metric}|v:1|suite:hand@1"
    return Score(metric=metric, value=value, higher_is_better=higher_is_better, unit=unit, signature=signature, **rest)


def verdicts(published, *results):
    return {(o.metric, o.better, o.worse): o.verdict for o in table1.orderings(published, results)}


def test_the_papers_numbers(published):
    """Typed from the paper once more."""
    assert list(published.methods) == ROWS
    assert published.expected("vggsound")["audiotoken"] == {"AIC": 45.48, "FID": 56.65, "AIS": 68.23, "IIS": 76.66}
    assert published.expected("vggsound")["sd-text"] == {"AIC": 71.28, "FID": 52.85}
    assert published.expected("vggsound")["reference"] == {"AIC": 54.66}
    assert published.rows[2].human == (1.85, 0.46)
    for bands in published.bands.values():
        for band in bands.values():
            assert set(band.reasons) <= published.reasons.keys()


def test_verdicts_by_hand(published):
    # In the paper AudioToken is above ImageBind (AIS 68.23 / 67.48), and ImageBind above Wav2Clip (47.76).
    good, bad = [90, 95, 92, 94, 91, 96, 93, 97], [10, 15, 12, 14, 11, 16, 13, 17]
    found = verdicts(
        published, result("audiotoken", AIS=good), result("imagebind", AIS=good), result("wav2clip", AIS=bad)
    )
    assert found == {
        ("AIS", "audiotoken", "imagebind"): "tie",
        ("AIS", "audiotoken", "wav2clip"): "agrees",
        ("AIS", "imagebind", "wav2clip"): "agrees",
    }
    wavering = [90, 10, 80, 20, 95, 5, 60, 40]
    found = verdicts(
        published, result("audiotoken", AIS=bad), result("imagebind", AIS=good), result("wav2clip", AIS=wavering)
    )
    assert found[("AIS", "audiotoken", "imagebind")] == "differs"
    assert found[("AIS", "audiotoken", "wav2clip")] == "differs, not significantly"
    assert found[("AIS", "imagebind", "wav2clip")] == "agrees, not significantly"


def test_fid_is_better_when_lower(published):
    found = verdicts(published, result("sd-text", fid=(10.0, 1.0)), result("wav2clip", fid=(20.0, 1.0)))
    assert found == {("FID", "sd-text", "wav2clip"): "agrees"}
    found = verdicts(published, result("sd-text", fid=(20.0, 1.0)), result("wav2clip", fid=(10.0, 1.0)))
    assert found == {("FID", "sd-text", "wav2clip"): "differs"}
    (near,) = table1.orderings(published, [result("sd-text", fid=(10.0, 1.0)), result("wav2clip", fid=(11.0, 1.0))])
    assert near.verdict == "agrees, not significantly"
    # The difference is -1, its error at most 1 + 1 = 2: p = 2 Phi(-0.5), the interval -1 ± 1.96 · 2.
    assert near.p_value == pytest.approx(0.6171, abs=1e-4)
    assert (near.low, near.high) == pytest.approx((-4.9199, 2.9199), abs=1e-4)


def test_what_the_paper_does_not_give_is_not_ordered(published):
    found = verdicts(
        published, result("sd-text", AIS=[50]), result("audiotoken", AIS=[60]), result("reference", AIS=[90])
    )
    assert found == {}


def test_bands(published):
    low, high = result("audiotoken", AIC=[45.48 - 8.0]), result("audiotoken", AIC=[45.48 + 8.1])
    (check,) = table1.checks(published, "vggsound", [low])
    assert check.holds
    (check,) = table1.checks(published, "vggsound", [high])
    assert not check.holds
    assert "classifier" in check.reasons
    assert table1.checks(published, "elsewhere", [high]) == []
    table = table1.build(published, "vggsound", "vggsound@1", [high], [result("real images", AIC=[54.0])], {})
    (complaint,) = table1_tables.complaints(table)
    assert "audiotoken, AIC: 53.58, expected 45.48 ± 8" in complaint
    assert "ResNet-50" in complaint
    assert "(paper: 45.48)" in table1_tables.to_markdown(table)


def test_footnotes_name_licences_failures_and_absent_rows(published):
    rows = [
        result("imagebind", AIS=[60], licences=["imagebind-huge: CC-BY-NC-SA 4.0: not for commercial use"]),
        result("audiotoken", AIS=[70], missing=["c1"]),
    ]
    table = table1.build(published, "mini", "mini@1", rows, [result("real images", AIS=[99])], {"wav2clip": "Why not."})
    text = table1_tables.to_markdown(table).replace("\\", "")
    assert "| ImageBind† |" in text
    assert "| AudioToken‡ |" in text
    assert "† imagebind-huge: CC-BY-NC-SA 4.0" in text
    assert "‡ audiotoken: Two images failed." in text
    assert "wav2clip was not run: Why not." in text
    assert "not comparable" in text
    assert r"ImageBind$^\dagger$" in table1_tables.to_tex(table)


# ------------------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def whole(tiny_suite, tmp_path_factory):
    """The whole table once, through the library."""
    from a2ibench.paper.reproduce import table1 as run

    suite = load_suite(str(tiny_suite))
    out = tmp_path_factory.mktemp("whole")
    return run(suite, suite.clips(), out, batch_size=4), out


def test_every_row_runs_and_is_written(whole):
    table, out = whole
    assert [row.method for row in table.results] == ROWS
    assert [row.method for row in table.sanity] == ["real images", "shuffled images"]
    assert table.absent == {}
    assert FILES | set(ROWS) <= {file.name for file in out.iterdir()}
    for method in ROWS:
        assert len(list((out / method / "images").glob("*.png"))) == 8
        assert Result.load(out / method / "result.json").method == method
    again = table1.Table1.model_validate_json((out / "table1.json").read_bytes())
    assert again == table
    rows = list(csv.DictReader((out / "table1.csv").open()))
    assert {row["method"] for row in rows} == {*ROWS, "real images", "shuffled images"}
    ais = next(row for row in rows if (row["method"], row["metric"]) == ("audiotoken", "AIS"))
    held = next(s for s in table.result("audiotoken").scores if s.metric == "AIS")
    assert (float(ais["value"]), ais["paper"]) == (held.value, "68.23")
    tex = (out / "table1.tex").read_text()
    assert tex.count(r"\\") == 1 + len(ROWS) + 1, "a head, the methods, shuffled images"
    assert len(table.orderings) == 15 + 10 + 6 + 6, "pairs of 6, 5, 4 and 4 rows"
    picture = Image.open(out / "table1.png")
    assert picture.width > picture.height / 4
    assert len(set(picture.resize((50, 50)).convert("L").tobytes())) > 20


@pytest.mark.slow
def test_two_shards_make_the_same_table(whole, tiny_suite, tmp_path, monkeypatch):
    from a2ibench.paper.reproduce import table1 as run
    from a2ibench.paper.reproduce import table1_shard
    from a2ibench.runs import features, generate
    from a2ibench.runs.units import Shard

    table, out = whole
    suite = load_suite(str(tiny_suite))
    for number in (2, 1):
        mine = table1_shard(suite, suite.clips(), tmp_path, Shard(number, 2), batch_size=4)
        assert len(mine) == 4
    for method in ROWS:
        for image in (out / method / "images").iterdir():
            assert (tmp_path / method / "images" / image.name).read_bytes() == image.read_bytes()
    for module in (generate, features):
        monkeypatch.setattr(module, "perform", lambda *_: pytest.fail("something was made again"))
    merged = run(suite, suite.clips(), tmp_path, batch_size=4)
    for ours, theirs in zip(merged.results, table.results, strict=True):
        assert [score.value for score in ours.scores] == pytest.approx(
            [score.value for score in theirs.scores], rel=1e-3
        )
        assert (tmp_path / ours.method / "run.json").read_bytes() == (out / ours.method / "run.json").read_bytes()


def test_the_methods_differ(whole):
    _, out = whole
    images = {m: (out / m / "images/bell-0.png").read_bytes() for m in ROWS}
    assert len(set(images.values())) == len(ROWS)


def test_a_second_run_makes_nothing_anew(whole, tiny_suite, monkeypatch):
    from a2ibench.paper.reproduce import table1 as run
    from a2ibench.runs import generate

    table, out = whole
    times = {file: file.stat().st_mtime_ns for file in out.glob("*/images/*.png")}
    monkeypatch.setattr(generate, "_Drawing", None)
    suite = load_suite(str(tiny_suite))
    again = run(suite, suite.clips(), out, batch_size=4)
    assert {file: file.stat().st_mtime_ns for file in out.glob("*/images/*.png")} == times
    assert [row.scores for row in again.results] == [row.scores for row in table.results]
    assert again.orderings == table.orderings


def test_the_command(run_cli, tiny_suite, whole, tmp_path):
    _, out = whole
    command = ("reproduce", "table1", "--suite", tiny_suite, "--out", out, "--batch-size", 4)
    assert "nothing to check" in run_cli(*command, "--check").sentence
    assert "nothing to check" in run_cli("reproduce", "table1", "--check", "--limit", 3, "--out", out).sentence
    shown = run_cli(*command)
    assert shown.code == 0
    assert f"NOT comparable with {TINY}" in " ".join(shown.out.split())
    assert "pairs of rows that the paper orders" in shown.out
    found = json.loads(run_cli(*command, "--json").out)
    assert found["suite"] == TINY
    assert [row["method"] for row in found["results"]] == ROWS


def test_a_number_outside_its_band_exits_1(run_cli, tiny_suite, whole, monkeypatch, tmp_path, published):
    _, out = whole
    band = table1.Band(within=0.5, reasons=("sampler",))
    off = published.model_copy(
        update={"bands": {"tiny": {"AIS": band}}, "recorded": {"tiny": {"audiotoken": {"AIS": 1000.0}}}}
    )
    monkeypatch.setattr("a2ibench.paper.published.load_published", lambda file: off)
    outcome = run_cli("reproduce", "table1", "--suite", tiny_suite, "--out", out, "--batch-size", 4, "--check")
    assert outcome.code == 1
    assert "audiotoken, AIS" in outcome.err
    assert "0 of 1 numbers lie in their bands" in outcome.out


def test_the_papers_suite_names_the_first_missing_weight(run_cli, clip_folder, fresh_cache, tmp_path):
    outcome = run_cli("reproduce", "table1", "--suite", "vggsound", "--data", clip_folder, "--out", tmp_path / "out")
    assert "ViT-B" in outcome.sentence or "clip" in outcome.sentence.lower()
    assert "https://" in outcome.sentence
    assert "licence" in outcome.sentence
    assert "MB" in outcome.sentence or "GB" in outcome.sentence
    assert not list((tmp_path / "out").glob("*/images/*"))


def test_a_row_that_nobody_published_is_named(published, own_suite):
    from a2ibench.paper.reproduce import _prepared

    text = own_suite.read_text()
    own_suite.write_text(text.replace('file = "weights/audiotoken-cl.safetensors"', 'absent = "Never published."'))
    suite = load_suite(str(own_suite))
    runs, absent = _prepared(suite, published.runnable, 0, {})
    assert absent == {"audiotoken-cl": "Never published."}
    assert [*runs] == [row for row in ROWS if row != "audiotoken-cl"]
    own = {"audiotoken-cl": {"embedder": own_suite.parent / "weights/audiotoken.safetensors"}}
    runs, absent = _prepared(suite, published.runnable, 0, own)
    assert absent == {}
    assert [*runs] == ROWS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("table2",), "did you mean 'table1'"),
        (("table1", "--suite", "minni"), "did you mean 'mini'"),
        (("table1", "--weights", "embedder=x"), "METHOD.PART=FILE"),
        (("table1", "--weights", "audiotoken.embedder=absent.safetensors"), "do not exist"),
        (("table1", "--weights", "audiotoken.embeder=x"), "did you mean 'embedder'"),
        (("table1", "--weights", "audiotokn.embedder=x"), "did you mean 'audiotoken'"),
    ],
)
def test_wrong_words(run_cli, arguments, words):
    assert words in run_cli("reproduce", *arguments, "--out", "out").sentence


def test_unknown_methods_in_weights_are_refused(published):
    from a2ibench.paper.reproduce import _prepared

    with pytest.raises(A2IBenchError, match="did you mean 'audiotoken'"):
        _prepared(load_suite("mini"), published.runnable, 0, {"audiotokn": {}})
