"""The shipped mini suite: its floors, and the main job itself at full size."""

import hashlib
from pathlib import Path

import pytest

from a2ibench.suites import load_suite
from a2ibench.tasks import get as get_task

WEIGHTS = Path(__file__).parents[1] / "a2ibench" / "suites" / "mini" / "weights"
FLOORS = {"AIS": 92, "AIS.same-class": 80, "IIS": 92, "IIS.same-class": 75, "AIC": 90}

TASK = get_task("audio-to-image")


def test_the_weights_are_the_listed_ones_and_small():
    lines = (WEIGHTS / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {f.relative_to(WEIGHTS).as_posix(): f for f in WEIGHTS.rglob("*") if f.is_file()}
    assert set(listed) == set(files) - {"SHA256SUMS", "CARD.md"}
    for name, digest in listed.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, name
    assert sum(f.stat().st_size for f in files.values()) < 40_000_000


def test_the_near_misses_of_aic():
    from encode import text_rows

    from a2ibench.metrics.aic import match_table
    from a2ibench.suites.mini import world

    texts = load_suite("mini").encoder("clip-text")
    table = match_table(text_rows(texts, list(world.CATEGORIES)), text_rows(texts, list(world.LABELS)))
    for index in range(len(table)):
        assert table[index, index] > 0.75, world.CATEGORIES[index]
    # One wrong pair counts, and not the other way round: a bird for an owl's hoot, but no owl for a bird's chirp.
    bird, owl = world.CATEGORIES.index("bird"), world.CATEGORIES.index("owl")
    assert table[bird, owl] > 0.75 > table[owl, bird]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run the main job on all 240 clips, and Stable Diffusion on the labels; score both."""
    from a2ibench.runs.generate import generate
    from a2ibench.runs.prepare import prepare
    from a2ibench.scoring.sanity import sanity
    from a2ibench.scoring.scorer import Scorer, chosen_metrics, result_of

    suite = load_suite("mini")
    clips = suite.clips()
    wanted = chosen_metrics(None, TASK)
    scorer = Scorer(suite, clips)
    found = {row.method: row for row in sanity(scorer, wanted)}
    for method in ("audiotoken", "sd-text"):
        images = generate(prepare(suite, method), clips, tmp_path_factory.mktemp(method)).images()
        found[method] = result_of(scorer, images, wanted, method=method)
    return found


def values(result):
    return {score.metric: score.value for score in result.scores}


@pytest.mark.slow
def test_real_images_are_the_ceiling_and_shuffled_ones_are_chance(runs):
    real, shuffled = values(runs["real images"]), values(runs["shuffled images"])
    assert real["AIS"] >= 98
    assert real["AIS.same-class"] >= 88
    assert real["AIC"] >= 95
    assert real["IIS"] == 100
    assert abs(real["FID"]) < 1e-6
    assert abs(shuffled["AIS"] - 50) <= 4
    assert abs(shuffled["IIS"] - 50) <= 4


@pytest.mark.slow
def test_the_sound_says_more_than_the_label(runs):
    everything = values(runs["drawn afresh: kind, count, size, place"])
    counted, kind = values(runs["drawn afresh: kind and count"]), values(runs["drawn afresh: kind only"])
    assert everything["AIS.same-class"] - kind["AIS.same-class"] > 30
    assert everything["AIS.same-class"] > counted["AIS.same-class"] > kind["AIS.same-class"]
    assert abs(kind["AIS.same-class"] - 50) < 6


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "floor"), FLOORS.items())
def test_audiotoken_reaches_its_floors(runs, metric, floor):
    assert values(runs["audiotoken"])[metric] >= floor


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["AIS.same-class", "IIS.same-class"])
def test_listening_beats_reading_the_label(runs, metric):
    from a2ibench.show.compare import compare_results

    (comparison,) = compare_results([runs["audiotoken"], runs["sd-text"]], [metric])
    assert comparison.low > 0
    assert comparison.p_value < 0.05


def test_other_clips_are_not_taken_for_the_shipped_ones(tmp_path):
    import shutil

    from a2ibench import A2IBenchError

    folder = tmp_path / "mini"
    shutil.copytree(WEIGHTS.parent, folder, ignore=shutil.ignore_patterns("weights", "build", "__pycache__"))
    suite = load_suite(str(folder / "suite.toml"))
    assert len(suite.clips()) == 240
    manifest = folder / "test" / "clips.csv"
    manifest.write_text(manifest.read_text().replace("frog croaking", "bird chirping", 1))
    with pytest.raises(A2IBenchError, match="not those that were shipped"):
        suite.clips()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "least", "kinds"), [("wav2clip", 70, 12), ("imagebind", 85, 60)])
def test_the_other_baselines_hear(tmp_path, method, least, kinds):
    """Every tenth clip: AIS far above the chance of 50, AIC above its share by chance (1 in 12)."""
    from a2ibench.runs.generate import generate
    from a2ibench.runs.prepare import prepare
    from a2ibench.scoring.scorer import Scorer, chosen_metrics

    suite = load_suite("mini")
    clips = suite.clips().spread(24)
    images = generate(prepare(suite, method), clips, tmp_path).images()
    scores = {
        s.metric: s for s in Scorer(suite, clips).score(images, chosen_metrics(["AIS", "IIS", "AIC"], TASK)).scores
    }
    assert scores["AIS"].value > least
    assert scores["IIS"].value > least
    assert scores["AIC"].value > kinds
