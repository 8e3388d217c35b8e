"""Papers as data: rows of one method with other options, digits that are not known, claims and findings."""

import csv
import io

import numpy as np
import pytest
from safetensors.torch import save_file
from seeded import seeded_state
from test_reproduce import _score, result
from test_sounds_scored import NETWORKS, suite_toml
from tiny import write_sums

from a2ibench.baselines import get as get_method
from a2ibench.baselines import methods
from a2ibench.baselines.base import Method
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.paper import published as papers
from a2ibench.paper import table1, tables
from a2ibench.paper.published import Published
from a2ibench.results import Result
from a2ibench.suites import load_suite
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.clips import write_scenes
from a2ibench.tasks import get as get_task

ALL, CAUSAL, OWN = (f"foleygen attention={name}" for name in ("all-frame", "causal", "frame-specific"))


@pytest.fixture(scope="module")
def foleygen():
    return papers.load_published(papers.paper_file("foleygen"))


def sounds(method, fad, kl, ib, onset, error=0.1):
    """A result of video to audio with its FAD, and values per clip of the others, which all differ a little."""
    spread = [0, 0.01, -0.01, 0.02, -0.02, 0.03, -0.03, 0.005]
    made = result(method, KL=[kl + x for x in spread], IB=[ib + x for x in spread], ONSET=[onset + x for x in spread])
    scores = [score.model_copy(update={"higher_is_better": score.metric != "KL"}) for score in made.scores]
    if fad is not None:
        scores.append(_score("FAD", fad, n=8, stderr=error, higher_is_better=False, unit=""))
    return made.model_copy(update={"scores": scores, "task": "video-to-audio"})


def build(published, *rows, sanity=(), absent=None):
    beside = [sounds("real sounds", 0.0, 0.0, 30, 100), *sanity]
    return table1.build(published, "own", "own@1", rows, beside, absent or {})


# ---------------------------------------------------------------------------------------------------- the data


def test_each_paper_is_found_by_its_name():
    assert {"table1", "foleygen"} <= papers.papers().keys()
    with pytest.raises(A2IBenchError, match="did you mean 'foleygen'"):
        papers.paper_file("foleygan")


def test_only_whole_numbers_of_the_paper_are_numbers(foleygen):
    """All that our copy has whole is FAD of the three attentions."""
    expected = foleygen.expected("vggsound-foley")
    assert {key: scores for key, scores in expected.items() if scores} == {
        ALL: {"FAD": 1.65}, CAUSAL: {"FAD": 2.18}, OWN: {"FAD": 2.49},
    }  # fmt: skip
    assert all(text.rstrip("?").rstrip(".").isdigit() for row in foleygen.rows for text in row.unsure.values())
    assert foleygen.printed(ALL, "KL") == "2.?"
    assert foleygen.printed(ALL, "ONSET") is None


def test_rows_of_one_method_have_names_and_folders_of_their_own(foleygen):
    assert len(set(foleygen.keys)) == len({row.folder for row in foleygen.runnable}) == 8
    assert [row.folder for row in foleygen.runnable if row.key == CAUSAL] == ["foleygen-attention=causal"]
    for row in foleygen.runnable:
        method = get_method(row.method)
        assert method.task == foleygen.task
        assert row.options.keys() <= method.options.keys()


def test_directions_are_the_metrics_own(foleygen):
    assert foleygen.better == {"FAD": "lower", "KL": "lower", "IB": "higher", "ONSET": "higher"}
    assert set(foleygen.better) == set(get_task("video-to-audio").metrics)
    wrong = foleygen.model_dump() | {"better": {"FAD": "higher"}}
    with pytest.raises(ValueError, match="FAD is better lower"):
        Published.model_validate(wrong)


def test_claims_are_of_rows(foleygen):
    lost = foleygen.model_dump()
    lost["claims"] = [{"metrics": ["KL"], "better": "foleygen attention=casual", "worse": []}]
    with pytest.raises(ValueError, match="no row is called foleygen attention=casual"):
        Published.model_validate(lost)


def test_what_table1_writes_is_as_before():
    dumped = papers.load_published().model_dump()
    assert [*dumped] == ["title", "source", "url", "suite", "better", "rows", "reasons", "bands", "recorded"]
    assert [*dumped["rows"][0]] == ["method", "name", "scores", "human"]


# ------------------------------------------------------------------------------------------------------ by hand


def test_claims_by_hand(foleygen):
    shuffled = sounds("shuffled sounds", None, 5.0, 10, 20)
    table = build(
        foleygen, sounds(ALL, 1.0, 1.0, 26, 30), sounds(CAUSAL, 2.0, 0.5, 25, 50), sounds(OWN, 1.05, 1.0, 24, 40),
        sanity=[shuffled],
    )  # fmt: skip
    found = {(o.metric, o.better, o.worse): o.verdict for o in table.orderings}
    assert found == {
        ("FAD", ALL, CAUSAL): "agrees",
        ("FAD", ALL, OWN): "agrees, not significantly",
        ("KL", ALL, CAUSAL): "differs",
        ("KL", ALL, OWN): "tie",
        ("KL", ALL, "shuffled sounds"): "agrees",
        ("IB", ALL, "shuffled sounds"): "agrees",
        ("ONSET", ALL, "shuffled sounds"): "agrees",
    }
    assert next(o.paper for o in table.orderings if o.metric == "KL") == ("2.?", "2.?")
    leads = {(each.title, each.metric): (each.leader, each.second) for each in table.findings}
    assert leads["Of the paper's attentions", "ONSET"] == (CAUSAL, OWN)
    assert leads["Of the paper's attentions", "IB"] == (ALL, CAUSAL)
    assert not any(title == "Of the visual encoders" for title, _ in leads)
    assert table1.Table1.model_validate_json(table.model_dump_json()) == table
    lines = tables.to_markdown(table).replace("\\", "").splitlines()

    def says(words):  # by lines: pytest takes long to explain a long text
        return any(words in line for line in lines)

    assert says(f"| KL | {ALL} | {CAUSAL} | 2.? / 2.? | 1.00 / 0.50 |")
    assert says("Of the paper's attentions, ONSET: foleygen attention=causal with 50.00")
    assert not says("Of all attentions"), "the same rows again"
    assert says("Of 7 pairs of rows whose order is expected, 4 agree")
    assert says("3 more can't be tested here")
    assert says("| Table 1: Im2Wav (CLIP) | 6.? | 2.? | – | 16.? | 31.? | – |")
    assert says("| Table 3: FoleyGen (causal) | 2.18 | 2.? | 25.? | 14.? | – | 13.? |")
    assert says("| aligned attention (ours) (not in this suite) | – | – | – | – |")
    assert says("| real sounds |")
    assert not says("human")
    assert "Im2Wav" not in tables.to_tex(table)
    written = [*csv.DictReader(io.StringIO(tables.to_csv(table)))]
    assert {row["paper"] for row in written if row["method"] == ALL} == {"1.65", "2.?", "26.?", ""}
    assert tables.to_terminal(table).renderables


def test_in_the_papers_suite_the_papers_numbers_stand_beside(foleygen):
    rows = [sounds(ALL, 1.0, 1.0, 26, 30), sounds(CAUSAL, 4.0, 0.5, 25, 50)]
    real = [sounds("real sounds", 0.0, 0.0, 30, 100)]
    table = table1.build(foleygen, "vggsound-foley", "vggsound-foley@1", rows, real, {})
    text = tables.to_markdown(table)
    for words in ("(paper: 1.65)", "(paper: 2.?)", "Table 1: Im2Wav"):
        assert words in text.replace("\\", "")
    (complaint,) = tables.complaints(table)
    assert f"{CAUSAL}, FAD: 4.00, expected 2.18 ± 1" in complaint


def test_a_suite_without_an_attention_says_so(tmp_path):
    lacks = get_method("foleygen").lacks
    (tmp_path / "causal.safetensors").touch()
    parts = {"foleygen": {"file": tmp_path}}
    assert lacks(parts, {"attention": "causal"}) is None
    assert "'all-frame'" in lacks(parts, {"attention": "all-frame"})
    assert lacks({"foleygen": {"file": tmp_path / "causal.safetensors"}}, {"attention": "all-frame"}) is None


# ------------------------------------------------------------------------------------------------------ run


def _paper(**more):
    rows = [
        {"method": "sd-text", "name": "few", "scores": {"AIC": 1.0}, "options": {"guidance": 1.0}},
        {"method": "sd-text", "name": "more", "scores": {}, "options": {"guidance": 5.0}, "unsure": {"AIC": "2.?"}},
        {"method": "sd-text", "name": "few again", "scores": {}, "options": {"guidance": 1.0}, "table": "Table 9"},
        {"name": "numbers alone", "scores": {"AIC": 3.0}},
    ]
    claims = [{"metrics": ["AIC"], "better": "sd-text guidance=5.0", "worse": ["shuffled images"]}]
    asked = [{"title": "Of both", "metrics": ["AIC"], "rows": ["sd-text guidance=1.0", "sd-text guidance=5.0"]}]
    facts = {"title": "A, B", "source": "C", "url": "https://d", "suite": "e", "better": {"AIC": "higher"}, "name": "f"}
    given = {"rows": rows, "reasons": {}, "bands": {}, "beside": (), "claims": claims, "findings": asked}
    return Published.model_validate({**facts, **given, **more})


def test_rows_of_one_method_run_apart_and_once(tiny_suite, tmp_path):
    from a2ibench.paper.reproduce import reproduce

    suite = load_suite(str(tiny_suite))
    table = reproduce(_paper(), suite, suite.clips(), tmp_path, batch_size=4)
    assert [row.method for row in table.results] == ["sd-text guidance=1.0", "sd-text guidance=5.0"]
    assert [row.options["guidance"] for row in table.results] == [1.0, 5.0]
    assert {file.name for file in tmp_path.iterdir()} == {
        "sd-text-guidance=1.0", "sd-text-guidance=5.0", "f.md", "f.csv", "f.tex", "f.json", "f.png",
    }  # fmt: skip
    kept = Result.load(tmp_path / "sd-text-guidance=5.0/result.json")
    assert kept.method == "sd-text guidance=5.0"
    assert len(table.findings) == 1
    assert [(o.better, o.worse) for o in table.orderings] == [("sd-text guidance=5.0", "shuffled images")]


def _hum(parts, options, device):
    wave = np.sin(np.arange(32_000) * 2 * np.pi * options["pitch"] / 16_000).astype(np.float32)
    return lambda clips, seeds: [(wave * np.float32(0.1 + seed % 7 / 10), 16_000) for seed in seeds]


def test_sounds_for_videos_in_shards_and_whole(tmp_path, fresh_cache, monkeypatch):
    """Directions, shuffled sounds, a row that is not in the suite, and the picture, from files."""
    from a2ibench.paper.reproduce import reproduce, reproduce_shard
    from a2ibench.runs.units import Shard

    task = "video-to-audio"
    for name, parts in (("hum", ()), ("hum-eyes", ("eyes",))):
        hum = Method(name, "A hum.", "video", _hum, parts, {"pitch": 100.0}, task=task)
        monkeypatch.setitem(methods(), name, hum)
    (tmp_path / "weights").mkdir()
    for name, network in NETWORKS.items():
        state = {k: v.abs() + 0.5 if k.endswith("running_var") else v for k, v in seeded_state(network).items()}
        save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / f"weights/{name}.safetensors")
    write_sums(tmp_path / "weights")
    (tmp_path / "sounds.toml").write_text(suite_toml(task))
    scenes = ((f"c{i}", world.draw_scene("test", i)) for i in range(4))
    write_scenes(scenes, tmp_path / "data", "wav", ("audio", "video"))
    suite, clips = load_suite(str(tmp_path / "sounds.toml")), load_clips(tmp_path / "data", task=get_task(task))
    low, high = "hum pitch=300.0", "hum pitch=900.0"
    rows = [
        {"method": "hum", "name": "low", "scores": {"FAD": 2.0}, "options": {"pitch": 300.0}},
        {"method": "hum", "name": "high", "scores": {}, "options": {"pitch": 900.0}, "unsure": {"FAD": "3.?"}},
        {"method": "hum-eyes", "name": "seeing", "scores": {}, "optional": True},
    ]
    claims = [
        {"metrics": ["FAD", "KL"], "better": low, "worse": [high]},
        {"metrics": ["IB"], "better": low, "worse": ["shuffled sounds"]},
    ]
    paper = _paper(
        rows=rows, claims=claims, findings=[], task=task, better={"FAD": "lower", "KL": "lower", "IB": "higher"}
    )
    out = tmp_path / "out"
    for number in (1, 2):
        assert len(reproduce_shard(paper, suite, clips, out, Shard(number, 2), batch_size=2)) == 2
    table = reproduce(paper, suite, clips, out, batch_size=2)
    assert [row.method for row in table.results] == [low, high]
    assert [row.method for row in table.sanity] == ["real sounds", "shuffled sounds"]
    assert "brings no 'eyes'" in table.absent["hum-eyes"]
    assert {(o.metric, o.worse) for o in table.orderings} == {("FAD", high), ("KL", high), ("IB", "shuffled sounds")}
    for o in table.orderings:
        gain = (o.ours[0] - o.ours[1]) * (1 if o.metric == "IB" else -1)
        assert o.verdict.startswith("agrees") == (gain > 0)
    assert len(list((out / "hum-pitch=900.0/sounds").glob("*.wav"))) == 4
    assert {"f.md", "f.png"} <= {file.name for file in out.iterdir()}


def test_another_tasks_suite_is_refused(run_cli, tiny_suite, tmp_path):
    outcome = run_cli("reproduce", "foleygen", "--suite", tiny_suite, "--out", tmp_path / "out")
    assert "is of the task video-to-audio" in outcome.sentence
    assert not (tmp_path / "out").exists()
    assert "vggsound-foley" in run_cli("reproduce", "foleygen", "--suite", tiny_suite, "--check").sentence
