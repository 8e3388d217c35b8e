"""From images to scores: the same ones from any batch, order and run, and nothing scored that should not be."""

import json
import shutil

import numpy as np
import pytest
import torch
from encode import audio_rows, image_rows, text_rows
from PIL import Image
from tiny import TINY

from a2ibench.clips import load_clips
from a2ibench.encoders._frozen import TorchEncoder
from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.metrics import metrics
from a2ibench.results import Result
from a2ibench.scoring.sanity import sanity
from a2ibench.scoring.scorer import Scorer, chosen_metrics, interval_of, result_of
from a2ibench.suites import load_suite
from a2ibench.tasks import get as get_task

TASK = get_task("audio-to-image")
FAMILIES = {name.partition(".")[0] for name in TASK.metrics}


@pytest.fixture(scope="module")
def suite(tiny_suite):
    return load_suite(str(tiny_suite))


@pytest.fixture(scope="module")
def scorer(suite):
    return Scorer(suite, suite.clips())


@pytest.fixture(scope="module")
def references(suite):
    return {clip.clip_id: [clip.file("image")] for clip in suite.clips()}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, suite):
    """Images of noise, one per clip."""
    folder = tmp_path_factory.mktemp("outputs") / "noise"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for clip_id in suite.clips().ids:
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(folder / f"{clip_id}.png")
    return folder


@pytest.fixture
def own_outputs(outputs, tmp_path):
    return shutil.copytree(outputs, tmp_path / "own-outputs")


def images_in(folder, clips):
    return {clip_id: [next(folder.glob(f"{clip_id}.*"))] for clip_id in clips.ids}


# ------------------------------------------------------------------------------------------------- the numbers


def test_real_images_reach_the_ceiling(scorer, references):
    scored = scorer.score(references, chosen_metrics(None, TASK))
    scores, items = scored.scores, scored.items
    by_name = {score.metric: score for score in scores}
    assert by_name["IIS"].value == 100
    assert by_name["IIS.same-class"].value == 100
    assert by_name["FID"].value == pytest.approx(0, abs=1e-6)
    assert {score.n for score in scores} == {8}
    assert {item["IIS"] for item in items.values()} == {100}


def test_the_score_is_the_mean_of_the_clips(scorer, suite, outputs):
    clips = suite.clips()
    scored = scorer.score(
        images_in(outputs, clips), [m for m in metrics().values() if m.name.partition(".")[0] in FAMILIES]
    )
    scores, items = scored.scores, scored.items
    assert len(scores) > 8
    for score in scores:
        held = [item[score.metric] for item in items.values() if score.metric in item]
        if held:
            values = [value for value in held if value is not None]
            assert len(values) == score.n
            assert score.value == pytest.approx(np.mean(values))
            assert score.low <= score.value <= score.high
        else:
            assert score.metric.startswith(("FID", "KID"))


def test_signatures_name_the_encoders_the_coverage_and_the_suite(scorer, references):
    scores = scorer.score(references, chosen_metrics(["AIS", "FID"], TASK)).scores
    ais, fid = (score.signature for score in scores)
    assert ais.endswith(f"n:8|per-clip:1|clips:8/8|suite:{TINY}+{scorer.clips.digest[:12]}")
    for encoder in ("wav2clip", "clip-image"):
        assert f"{encoder}.{scorer.encoder(encoder).digest}" in ais
    assert scorer.encoder("inception").digest in fid
    assert scorer.encoder("wav2clip").digest not in fid


def test_shuffled_images_keep_no_clip_its_own(scorer, monkeypatch, fresh_cache):
    sets = {}

    def spy(scorer, images, wanted, *, method, look):
        sets[method] = images
        return result_of(scorer, images, wanted, method=method, look=look)

    monkeypatch.setattr("a2ibench.scoring.sanity.result_of", spy)
    wanted = chosen_metrics(["AIS", "IIS"], TASK)
    first = sanity(scorer, wanted)
    assert list(sets) == [result.method for result in first] == ["real images", "shuffled images"]
    real, shuffled = sets.values()
    assert sorted(real.values()) == sorted(shuffled.values())
    assert not [clip_id for clip_id in real if real[clip_id] == shuffled[clip_id]]
    sets.clear()
    assert sanity(scorer, wanted) == first
    assert sets == {}, "computed once"
    (file,) = (fresh_cache / "sanity").iterdir()
    file.write_text("[{")
    again = sanity(scorer, wanted)
    assert [result.scores for result in again] == [result.scores for result in first]


def test_users_clips_are_never_taken_for_the_suites_world(own_suite, clip_folder, tmp_path):
    """Not even where their folder has the suite's name: the world knows nothing of them."""
    own_suite.write_text(own_suite.read_text().replace("[encoders.clip]", "world = true\n\n[encoders.clip]", 1))
    own = shutil.copytree(clip_folder, tmp_path / "tiny")
    scorer = Scorer(load_suite(str(own_suite)), load_clips(own), own_data=True)
    assert [result.method for result in sanity(scorer, chosen_metrics(["IIS"], TASK))] == [
        "real images",
        "shuffled images",
    ]


def test_chosen_metrics():
    assert [metric.name for metric in chosen_metrics(None, TASK)][:3] == ["AIS", "AIS.same-class", "IIS"]
    assert [metric.name for metric in chosen_metrics(["KID", "AIS"], TASK)] == ["KID", "AIS"]
    with pytest.raises(A2IBenchError, match="did you mean 'KID'"):
        chosen_metrics(["KIDD"], TASK)


def test_a_metric_without_anything_to_compare_is_left_out_and_named(suite, references):
    clips = suite.clips().spread(3)
    assert len(set(clips.labels)) == 3
    scorer = Scorer(suite, clips)
    result = result_of(scorer, references, chosen_metrics(None, TASK), method="x")
    assert "AIS" in {score.metric for score in result.scores}
    assert not [score.metric for score in result.scores if "same-class" in score.metric]
    assert [note for note in result.notes if "AIS.same-class" in note]
    with pytest.raises(A2IBenchError, match=r"AIS\.same-class"):
        result_of(scorer, references, chosen_metrics(["AIS.same-class"], TASK), method="x")


# ------------------------------------------------------------------------------------- independent of circumstance


def _all_rows(suite, clips, batch_size):
    images = image_rows(
        [suite.encoder(name) for name in ("clip-image", "classifier", "inception")],
        [clip.file("image") for clip in clips],
        batch_size,
    )
    sounds = audio_rows(suite.encoder("wav2clip"), [clip.file("audio") for clip in clips], batch_size)
    return {**images, "wav2clip": sounds}


def test_rows_do_not_depend_on_batch_order_or_neighbours(suite, own_clips, tmp_path, monkeypatch):
    import soundfile

    wave, rate = soundfile.read(own_clips / "audio/dog-1.wav")
    soundfile.write(own_clips / "audio/dog-1.wav", wave[: rate // 2], rate)  # not all of one length
    clips = list(load_clips(own_clips))
    order = np.random.default_rng(0).permutation(8)

    def rows(name, some, batch_size, readers=0):
        monkeypatch.setenv("A2IBENCH_CACHE", str(tmp_path / name))
        monkeypatch.setenv("A2IBENCH_READERS", str(readers))
        return _all_rows(suite, some, batch_size)

    expected = rows("1", clips, 1)
    rows("half there", clips[2:5], 3)
    found = {
        "7": rows("7", clips, 7),
        "64": rows("64", clips, 64),
        "half there": rows("half there", clips, 5),
        "three readers": rows("three readers", clips, 2, 3),
        "order": {k: v[np.argsort(order)] for k, v in rows("order", [clips[i] for i in order], 3).items()},
        "alone": {k: np.concatenate([v, expected[k][2:]]) for k, v in rows("alone", clips[:2], 2).items()},
    }
    for how, arrays in found.items():
        for encoder, array in arrays.items():
            scale = np.abs(expected[encoder]).max()
            assert (array == expected[encoder]).all(), (how, encoder)
            assert np.abs(expected[encoder] - expected[encoder][0]).max() > 1e-3 * scale, "not all the same"


def test_text_rows_do_not_depend_on_neighbours(suite, tmp_path, monkeypatch):
    texts = ["dog barking", "a very long text that is cut somewhere in the middle of it", "bell", "bell ringing"]
    encoder = suite.encoder("clip-text")
    together = text_rows(encoder, texts)
    monkeypatch.setenv("A2IBENCH_CACHE", str(tmp_path / "alone"))
    alone = np.concatenate([text_rows(encoder, [text]) for text in texts])
    assert (together == alone).all()


def test_outputs_of_any_mode_and_size(scorer, suite, own_outputs):
    clips = suite.clips()
    plain = Image.open(own_outputs / "bell-0.png").convert("RGB").quantize(16).convert("RGB")
    plain.save(own_outputs / "bell-0.png")
    encoders = [scorer.encoder(name) for name in ("clip-image", "inception")]

    def encoded():
        return image_rows(encoders, [files[0] for files in images_in(own_outputs, clips).values()], 32)

    expected = encoded()["clip-image"][0]
    for image in (plain.quantize(16), plain.convert("RGBA")):
        image.save(own_outputs / "bell-0.png")
        found = encoded()["clip-image"][0]
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    (own_outputs / "bell-0.png").unlink()
    plain.convert("CMYK").resize((300, 20)).save(own_outputs / "bell-0.jpg")
    Image.new("1", (1, 1)).save(own_outputs / "bell-1.png")
    Image.new("L", (17, 90), 128).save(own_outputs / "bell-2.png")
    Image.new("I;16", (50, 50), 40_000).save(own_outputs / "dog-0.png")
    Image.new("LA", (33, 33), (3, 100)).save(own_outputs / "dog-1.png")
    rows = encoded()
    for name in ("clip-image", "inception"):
        assert np.isfinite(rows[name]).all()


# ------------------------------------------------------------------------------- several images, missing images


def test_several_outputs_per_clip(scorer, suite, references, outputs):
    """A clip's value is the mean over its images; a set statistic is of all of them."""
    clips = suite.clips()
    noise = images_in(outputs, clips)
    both = {clip_id: [*references[clip_id], *noise[clip_id]] for clip_id in clips.ids}
    wanted = chosen_metrics(["AIS", "IIS.cosine", "AIC", "FID"], TASK)
    real, noisy, mixed = (scorer.score(images, wanted) for images in (references, noise, both))
    for name in ("AIS", "IIS.cosine", "AIC"):
        for clip_id in clips.ids:
            means = (real.items[clip_id][name] + noisy.items[clip_id][name]) / 2
            assert mixed.items[clip_id][name] == pytest.approx(means, rel=1e-12)
    n = {score.metric: score.n for score in mixed.scores}
    assert (n["AIS"], n["FID"]) == (8, 16)
    signed = [{score.signature for score in scored.scores} for scored in (mixed, real)]
    assert not signed[0] & signed[1], "the mean of two images is another number than that of one"
    result = result_of(scorer, both, wanted, method="x")
    assert result.outputs_per_clip == 2
    kernels = result.provenance.kernels
    assert kernels.keys() == {"clip-image", "clip-text", "wav2clip", "classifier", "inception"}
    assert kernels["inception"] == scorer.encoder("inception").computing
    assert {len(seen) for seen in result.details["category"].values()} == {2}
    uneven = {**both, "bell-0": references["bell-0"]}
    with pytest.raises(A2IBenchError, match="'bell-0' has 1 outputs and"):
        scorer.score(uneven, wanted)


def test_a_missing_image_loses_all_its_comparisons(scorer, references):
    wanted = chosen_metrics(["AIS", "IIS", "IIS.cosine", "IIS.z", "AIC", "FID"], TASK)
    images = {**references, "bell-1": []}
    del images["dog-0"]
    whole, holed = scorer.score(references, wanted), scorer.score(images, wanted)
    assert holed.missing == ("bell-1", "dog-0")
    for clip_id, item in holed.items.items():
        for name, value in item.items():
            if name == "IIS.z":
                continue
            lost = {"AIS": 0, "IIS": 0, "AIC": 0, "IIS.cosine": -100}[name]
            assert value == (lost if clip_id in holed.missing else whole.items[clip_id][name])
    result = result_of(scorer, images, wanted, method="x")
    by_name = {score.metric: score for score in result.scores}
    assert by_name["IIS"].value == 75
    assert by_name["FID"].n == 6
    assert "IIS.z" not in by_name, "a z-score has no worst value"
    assert result.missing == ["bell-1", "dog-0"]
    assert "dog-0" not in result.details["category"]
    assert [note for note in result.notes if "2 of 8 clips have no image ('bell-1', 'dog-0')" in note]
    assert [note for note in result.notes if note.startswith("Left out") and "IIS.z" in note]
    with pytest.raises(A2IBenchError, match="There is nothing to score"):
        scorer.score({}, wanted)


def test_encoders_halve_a_batch_that_the_memory_does_not_hold(scorer, suite, monkeypatch):
    encoder = scorer.encoder("clip-image")
    images = [Image.open(clip.file("image")).convert("RGB") for clip in suite.clips()]
    whole, forward = encoder.encode(images), encoder._forward

    def narrow(batch, most):
        if len(batch) > most:
            raise torch.OutOfMemoryError
        return forward(batch)

    monkeypatch.setattr(encoder, "_forward", lambda batch: narrow(batch, 2))
    with pytest.warns(A2IBenchWarning, match="too little memory[^\n]*last digits"):
        halved = encoder.encode(images)
    assert np.abs(halved - whole).max() <= 1e-5 * np.abs(whole).max()
    monkeypatch.setattr(encoder, "_forward", lambda batch: narrow(batch, 0))
    with pytest.warns(A2IBenchWarning), pytest.raises(A2IBenchError, match="for one item"):
        encoder.encode(images)


# --------------------------------------------------------------------------------------------- the whole command


def test_eval_writes_everything_twice_the_same(run_cli, tiny_suite, tmp_path, monkeypatch):
    files = {}
    for name in ("first", "second"):
        monkeypatch.setenv("A2IBENCH_CACHE", str(tmp_path / f"cache-{name}"))
        outcome = run_cli("eval", "--method", "audiotoken", "--suite", tiny_suite, "--seed", 3, "--out", name)
        assert outcome.code == 0, outcome.err
        assert "AIS" in outcome.out
        assert "shuffled" in outcome.out
        files[name] = {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
    assert files["first"].keys() == files["second"].keys()
    assert {"run.json", "items.csv", "result.json", "contact.png", "images/dog-1.png"} <= files["first"].keys()
    assert not [name for name in files["first"] if ".part" in name]
    apart = [name for name in files["first"] if files["first"][name] != files["second"][name]]
    assert apart in ([], ["result.json"]), "only the times and dates in the result may differ"
    result = Result.load(tmp_path / "first/result.json")
    result.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == files["first"]["result.json"]
    assert (result.method, result.suite, result.seed, result.clips.n) == ("audiotoken", TINY, 3, 8)
    assert result.options["steps"] == 2
    assert {"embedder", "beats", "stable_diffusion", "clip-image", "inception"} <= result.weights.keys()
    assert next(s for s in result.scores if s.metric == "IIS").ceiling == 100
    lines = files["first"]["items.csv"].decode().splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("clip_id,label,AIS,")


def test_scoring_again_needs_no_network(run_cli, tiny_suite, outputs, tmp_path, monkeypatch):
    command = ("eval", "--outputs", outputs, "--suite", tiny_suite, "--out")
    assert run_cli(*command, "first").code == 0

    def encode(self, *arguments):
        raise AssertionError(f"{self.name} was run")

    monkeypatch.setattr(TorchEncoder, "_rows", encode)
    outcome = run_cli(*command, "second")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "first/items.csv").read_bytes() == (tmp_path / "second/items.csv").read_bytes()


def test_json_is_the_result(run_cli, tiny_suite, outputs, tmp_path):
    outcome = run_cli(
        "eval", "--outputs", outputs, "--suite", tiny_suite, "--out", "o", "--name", "mine", "--metric", "IIS", "--json"
    )
    assert outcome.code == 0
    assert json.loads(outcome.out) == json.loads((tmp_path / "o/result.json").read_text())
    result = Result.load(tmp_path / "o/result.json")
    assert [score.metric for score in result.scores] == ["IIS"]
    assert (result.method, result.seed) == ("mine", None)


def test_two_sets_of_clips_never_share_a_signature(run_cli, tiny_suite, clip_folder, own_clips, outputs, tmp_path):
    (own_clips / "audio/dog-0.wav").write_bytes((own_clips / "audio/dog-1.wav").read_bytes())
    renamed = own_clips.rename(tmp_path / clip_folder.name)  # another set under the same name
    signatures = []
    for number, data in enumerate(((), ("--data", renamed))):
        out = tmp_path / f"o{number}"
        outcome = run_cli("eval", "--outputs", outputs, "--suite", tiny_suite, *data, "--out", out)
        assert outcome.code == 0, outcome.err
        signatures.append({score.signature for score in Result.load(out / "result.json").scores})
    assert len(set.union(*signatures)) == sum(map(len, signatures))
    assert all(f"suite:{TINY}+" in signature for signature in set.union(*signatures))


def test_only_hits_and_misses_in_per_cent_get_wilsons_interval():
    """A distance that happens to be 0 everywhere is no share of hits."""
    zeros = np.zeros(6)
    assert interval_of(zeros, "%").high > 30
    assert interval_of(zeros, "octaves").high == 0
